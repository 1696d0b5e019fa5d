//! Answers worth remembering: what was once worked out and cannot change, and names people gave.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use kbs_plan::id::ConfigureKey;
use redb::ReadableTable as _;

use crate::changes::Change;
use crate::error::StoreError;
use crate::meta::encode;
use crate::store::Store;
use crate::tables::{CONFIGURED, IMAGE_NAMES};

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
        let change = Change::PutConfigured { key, text: text.to_vec() };
        self.submit("remember a configuration", vec![change])
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
        let (name, digest) = (name.to_owned(), digest.to_owned());
        self.change_image_names(Change::NameImage { name, digest })
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
        let known = self.image_name(name)?;
        if known.is_some() {
            self.change_image_names(Change::UnnameImage { name: name.to_owned() })?;
        }
        Ok(known)
    }

    /// Changes the names in their file, from which they can be read again, and in their table.
    fn change_image_names(&self, change: Change) -> Result<(), StoreError> {
        // No image is taken away between its name and its row.
        let _adding = self.locks.add();
        let _one = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: BTreeMap<_, _> = self.image_names()?.into_iter().collect();
        match &change {
            Change::NameImage { name, digest } => {
                names.insert(name.clone(), digest.clone());
            }
            Change::UnnameImage { name } => {
                names.remove(name);
            }
            _ => unreachable!("only names change here"),
        }
        self.place_meta(&self.paths().image_names(), &encode(&names))?;
        self.submit("name an image", vec![change])
    }
}
