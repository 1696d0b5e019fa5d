//! Files that share their bytes: clones where the file system can, links where they may be seen.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kbs_plan::id::BlobId;
use kbs_plan::path::RelPath;
use kbs_plan::tree::{Entry, Tree};
use rustix::fs::ioctl_ficlone;
use rustix::io::Errno;

use crate::blobs::{hash_of, holds};
use crate::checkout::cannot_link;
use crate::disk;
use crate::error::{At as _, StoreError};
use crate::ingest::finish_file;
use crate::layout::{Executable, Purpose, Variant};
use crate::meta::{TreeMeta, encode};
use crate::parallel;
use crate::stage::Stage;
use crate::store::Store;
use crate::thing::{Pinned, Thing};

/// Smaller files fill a block of the file system each, shared or not.
const WORTH_SHARING_B: usize = 4096;

impl Store {
    /// Whether two files here can have the same bytes on disk and nothing else in common.
    pub fn can_share_bytes(&self) -> bool {
        if let Some(known) = self.clones.get() {
            return *known;
        }
        let files = || {
            let scratch = self.paths().scratch();
            let mut one = tempfile::tempfile_in(&scratch)?;
            one.write_all(&[7; WORTH_SHARING_B])?;
            Ok::<_, io::Error>((one, tempfile::tempfile_in(&scratch)?))
        };
        // A full disk says nothing about what the file system can.
        let Ok((one, other)) = files() else { return false };
        match ioctl_ficlone(&other, &one) {
            Err(Errno::NOSPC | Errno::DQUOT) => false,
            answer => *self.clones.get_or_init(|| answer.is_ok()),
        }
    }

    /// Makes `place` a file of these bytes that shares them with a blob; says whether it could. The
    /// blob is made where it is not there.
    pub(crate) fn clone_bytes(
        &self,
        (blob, bytes): (BlobId, &[u8]),
        variant: Variant,
        place: &Path,
        (stage, pinned): (&Stage, &Mutex<Pinned>),
    ) -> Result<bool, StoreError> {
        if bytes.len() < WORTH_SHARING_B || !self.can_share_bytes() {
            return Ok(false);
        }
        let plain = Variant::ALL[0];
        let anchor = self.paths().blob(blob, plain);
        pinned.lock().unwrap_or_else(PoisonError::into_inner).add(blob);
        let mut file = disk::create_file(place)?;
        let is_here = holds(&anchor, blob, bytes.len() as u64, plain);
        // One that a repair takes away now is made again.
        if let Some(original) = is_here.then(|| File::open(&anchor).ok()).flatten() {
            ioctl_ficlone(&file, &original).at("clone a blob to", place)?;
        } else {
            disk::write(&mut file, bytes, place, (0, bytes.len() as u64))?;
            let waiting = stage.join(&format!("blob-{}", blob.hex()));
            // Equal files of one layer come here at the same time; one of them makes the blob.
            if let Ok(copy) = File::create_new(&waiting) {
                ioctl_ficlone(&copy, &file).at("clone a file to", &waiting)?;
                finish_file(&copy, plain).at("set the mode and time of", &waiting)?;
                disk::create_dir_if_absent(&self.paths().blob_dir(blob))?;
                // Not synced: who finds it reads it and compares it with its name first.
                if self.name_blob(&waiting, (blob, plain))? {
                    disk::remove_file(&waiting)?;
                }
            }
        }
        finish_file(&file, variant).at("set the mode and time of", place)?;
        Ok(true)
    }

    /// Whether an image is in the store. One that only lies in its place is not: nobody has compared
    /// it with anything.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn has_image(&self, image: [u8; 32]) -> Result<bool, StoreError> {
        match self.tree_row(Thing::Image(image)) {
            // Taken in again, it has another one.
            Err(StoreError::Row { .. }) => Ok(false),
            found => Ok(found?.is_some()),
        }
    }

    /// Takes an image that was just put into its place into the store: its files become links to
    /// blobs, so that images with equal files share them, and it has a row. One that has a row already
    /// is left as it is.
    ///
    /// # Errors
    /// [`StoreError`]; the image is whole, whatever came of it.
    pub fn adopt_image(&self, image: [u8; 32], now_unix_s: u64) -> Result<(), StoreError> {
        self.adopt(image, now_unix_s, &|_| Ok(()))
    }

    /// As [`adopt_image`](Self::adopt_image), for one that was found in its place. Its caller has
    /// compared it with its name; where a listing of it is there, too, it has to be that.
    ///
    /// # Errors
    /// As [`adopt_image`](Self::adopt_image); [`StoreError::Meta`] where it is not what was listed.
    pub fn adopt_found_image(&self, image: [u8; 32], now_unix_s: u64) -> Result<(), StoreError> {
        let thing = Thing::Image(image);
        self.adopt(image, now_unix_s, &|tree| match self.read_listing(thing) {
            Ok(Ok(listed)) if listed.id() != tree.id() => Err(StoreError::Meta {
                path: self.paths().rootfs(image),
                reason: "its files are not those that were listed".to_owned(),
            }),
            // One that is damaged or gone says nothing.
            _ => Ok(()),
        })
    }

    fn adopt(
        &self,
        image: [u8; 32],
        now_unix_s: u64,
        check: &dyn Fn(&Tree) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let thing = Thing::Image(image);
        let _lease = self.lease(thing);
        // Two threads would take each other's files away.
        let _one = self.adopting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_image(image)? {
            return Ok(());
        }
        let stage = Stage::new(self.paths())?;
        let found = self.look_through(&self.paths().rootfs(image))?;
        check(&found.tree)?;
        // Pins keep the blobs meanwhile, so that others need not wait.
        self.share(&found, &stage)?;
        stage.settle_all()?;
        let meta = TreeMeta::new(thing, now_unix_s, found.tree);
        let _adding = self.locks.add();
        self.place_meta(&self.paths().meta_of(thing), &encode(&meta))?;
        self.submit("record an image", vec![meta.put(thing)])?;
        drop(found.pinned);
        Ok(())
    }

    /// Hashes every file below `top`, and lists everything.
    fn look_through(&self, top: &Path) -> Result<Found, StoreError> {
        let Walked { files, rest: mut tree } = walk(top)?;
        let hashed = parallel::for_each(files.len(), &|number| {
            let place = top.join(files[number].0.as_path());
            File::open(&place).and_then(|mut file| hash_of(&mut file)).at("read", &place)
        })?;
        let mut pinned = self.pins.none();
        let mut of_blobs = Vec::new();
        for ((path, facts), blob) in files.into_iter().zip(hashed) {
            let executable = facts.mode() & 0o111 != 0;
            pinned.add(blob);
            let variant = Variant::of(Purpose::Source, Executable::of(executable));
            let (place, size) = (top.join(path.as_path()), facts.len());
            tree.insert(path, Entry::File { blob, size, executable })?;
            of_blobs.push((place, facts, (blob, variant)));
        }
        Ok(Found { top: top.to_owned(), files: of_blobs, tree, pinned })
    }

    /// Makes every file that is not empty a link to its blob.
    fn share(&self, found: &Found, stage: &Stage) -> Result<(), StoreError> {
        for (place, facts, blob) in found.files.iter().filter(|(_, facts, _)| facts.len() > 0) {
            self.link_to_blob(place, facts, *blob, stage)?;
        }
        crate::checkout::stamp_directories(&found.tree, &found.top, Purpose::Source)
    }

    /// Makes a file one of the names of its blob; a blob that is not there becomes one of the names of
    /// the file.
    fn link_to_blob(
        &self,
        file: &Path,
        facts: &fs::Metadata,
        (blob, variant): (BlobId, Variant),
        stage: &Stage,
    ) -> Result<(), StoreError> {
        let anchor = self.paths().blob(blob, variant);
        match fs::symlink_metadata(&anchor) {
            Ok(there) if there.ino() == facts.ino() && there.dev() == facts.dev() => return Ok(()),
            Ok(_) if holds(&anchor, blob, facts.len(), variant) => {
                let waiting = stage.join("link");
                match disk::hard_link(&anchor, &waiting) {
                    Ok(()) => return rename_link(&waiting, file, "rename a link to a blob to"),
                    Err(error) if cannot_link(&error) => return Ok(()),
                    Err(error) => return Err(error).at("link a blob to", &waiting),
                }
            }
            // One that is damaged is replaced.
            _ => {}
        }
        disk::create_dir_if_absent(&self.paths().blob_dir(blob))?;
        let waiting = stage.join("blob");
        match disk::hard_link(file, &waiting) {
            Ok(()) => rename_link(&waiting, &anchor, "rename a new blob to"),
            Err(error) if cannot_link(&error) => Ok(()),
            Err(error) => Err(error).at("link a file to", &waiting),
        }
    }
}

/// As [`disk::rename`], which leaves both names where they are of one file.
fn rename_link(from: &Path, to: &Path, action: &'static str) -> Result<(), StoreError> {
    disk::rename(from, to, action)?;
    disk::remove_file(from).map(drop)
}

/// What an image holds.
struct Found {
    top: PathBuf,
    /// Its files, each with its blob.
    files: Vec<(PathBuf, fs::Metadata, (BlobId, Variant))>,
    tree: Tree,
    pinned: Pinned,
}

/// What is below a directory.
struct Walked {
    files: Vec<(RelPath, fs::Metadata)>,
    /// Directories and symbolic links.
    rest: Tree,
}

fn walk(top: &Path) -> Result<Walked, StoreError> {
    let mut found = BTreeMap::new();
    let mut ahead: Vec<PathBuf> = vec![PathBuf::new()];
    while let Some(dir) = ahead.pop() {
        let place = top.join(&dir);
        for entry in fs::read_dir(&place).at("list", &place)? {
            let entry = entry.at("list", &place)?;
            let path = dir.join(entry.file_name());
            let facts = entry.metadata().at("inspect", &entry.path())?;
            if facts.is_dir() {
                ahead.push(path.clone());
            }
            let text = path.to_str().and_then(|text| RelPath::new(text).ok());
            let name = text.ok_or_else(|| StoreError::Meta {
                path: entry.path(),
                reason: "its name is none that a tree can hold".to_owned(),
            })?;
            found.insert(name, facts);
        }
    }
    let mut walked = Walked { files: Vec::new(), rest: Tree::default() };
    for (path, facts) in found {
        if facts.is_dir() {
            walked.rest.insert(path, Entry::Directory)?;
        } else if facts.is_symlink() {
            let place = top.join(path.as_path());
            let target = fs::read_link(&place).at("read", &place)?;
            let target = target.to_string_lossy().into_owned();
            walked.rest.insert(path, Entry::Symlink { target })?;
        } else {
            walked.files.push((path, facts));
        }
    }
    Ok(walked)
}
