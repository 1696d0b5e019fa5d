//! Answers worth remembering: what was once worked out and cannot change, and names people gave.

use kbs_plan::id::{BlobId, ConfigureKey, TreeId};
use redb::ReadableTable as _;

use crate::error::StoreError;
use crate::store::Store;
use crate::tables::{CONFIGURED, GIT_BLOBS, IMAGE_NAMES, SELECTIONS};

/// A git object id.
pub(crate) type GitOid = [u8; 20];

impl Store {
    /// The normalised configuration text that was remembered for `key`.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn configured(&self, key: ConfigureKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.read("look up a configuration", |txn| {
            Ok(txn.open_table(CONFIGURED)?.get(key)?.map(|text| text.value().to_vec()))
        })
    }

    /// Remembers the normalised configuration text of `key`.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn remember_configured(&self, key: ConfigureKey, text: &[u8]) -> Result<(), StoreError> {
        self.write("remember a configuration", |txn| {
            txn.open_table(CONFIGURED)?.insert(key, text)?;
            Ok(())
        })
    }

    /// The source tree that was remembered for a selection of paths and git objects; whether it is
    /// still there is for [`source`](Self::source) to say.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn selection(&self, id: [u8; 32]) -> Result<Option<TreeId>, StoreError> {
        self.db.read("look up a selection", |txn| {
            Ok(txn.open_table(SELECTIONS)?.get(&id)?.map(|tree| tree.value()))
        })
    }

    /// Remembers which source tree a selection is.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn remember_selection(&self, id: [u8; 32], tree: TreeId) -> Result<(), StoreError> {
        self.write("remember a selection", |txn| {
            txn.open_table(SELECTIONS)?.insert(&id, tree)?;
            Ok(())
        })
    }

    /// The digest that an image name stands for.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn image_name(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.db.read("look up an image name", |txn| {
            Ok(txn.open_table(IMAGE_NAMES)?.get(name)?.map(|digest| digest.value().to_owned()))
        })
    }

    /// Makes an image name stand for a digest, whatever it stood for before.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn set_image_name(&self, name: &str, digest: &str) -> Result<(), StoreError> {
        self.write("name an image", |txn| {
            txn.open_table(IMAGE_NAMES)?.insert(name, digest)?;
            Ok(())
        })
    }

    /// Every image name with its digest, by name.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn image_names(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.db.read("list the image names", |txn| {
            let mut names = Vec::new();
            for row in txn.open_table(IMAGE_NAMES)?.iter()? {
                let (name, digest) = row?;
                names.push((name.value().to_owned(), digest.value().to_owned()));
            }
            Ok(names)
        })
    }

    /// Forgets an image name; returns what it stood for.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn remove_image_name(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.write("forget an image name", |txn| {
            let mut table = txn.open_table(IMAGE_NAMES)?;
            let removed = table.remove(name)?.map(|digest| digest.value().to_owned());
            Ok(removed)
        })
    }

    /// The blob, and its size in bytes, that a git object was stored as; whether it still is, the
    /// files say.
    pub(crate) fn git_blob(&self, oid: &GitOid) -> Result<Option<(BlobId, u64)>, StoreError> {
        self.db.read("look up a git object", |txn| {
            Ok(txn.open_table(GIT_BLOBS)?.get(oid)?.map(|found| found.value()))
        })
    }

    /// Remembers what git objects were stored as.
    pub(crate) fn remember_git_blobs(
        &self,
        learned: &[(GitOid, (BlobId, u64))],
    ) -> Result<(), StoreError> {
        if learned.is_empty() {
            return Ok(());
        }
        self.write("remember git objects", |txn| {
            let mut table = txn.open_table(GIT_BLOBS)?;
            for (oid, found) in learned {
                table.insert(oid, found)?;
            }
            Ok(())
        })
    }
}
