//! Files that share their bytes: clones where the file system can, links where they may be seen.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use kbs_plan::id::BlobId;
use kbs_plan::path::RelPath;
use kbs_plan::tree::{Entry, Tree};
use rustix::fs::ioctl_ficlone;

use crate::blobs::{hash_of, holds};
use crate::checkout::cannot_link;
use crate::disk;
use crate::error::{At as _, StoreError};
use crate::ingest::{Stage, finish_file};
use crate::layout::{Executable, Purpose, Variant};
use crate::meta::{TreeMeta, encode};
use crate::parallel;
use crate::store::Store;
use crate::thing::{Pinned, Thing};

/// Smaller files fill a block of the file system each, shared or not.
const WORTH_SHARING_B: usize = 4096;

impl Store {
    /// Whether two files here can have the same bytes on disk and nothing else in common.
    pub fn can_share_bytes(&self) -> bool {
        *self.clones.get_or_init(|| {
            let scratch = self.paths().scratch();
            let try_it = || {
                let mut one = tempfile::tempfile_in(&scratch)?;
                one.write_all(&[7; WORTH_SHARING_B])?;
                let other = tempfile::tempfile_in(&scratch)?;
                Ok::<_, io::Error>(ioctl_ficlone(&other, &one)?)
            };
            try_it().is_ok()
        })
    }

    /// Makes `place` a file of these bytes that shares them with a blob; says whether it could. The
    /// blob is made where it is not there.
    pub(crate) fn clone_bytes(
        &self,
        (blob, bytes): (BlobId, &[u8]),
        variant: Variant,
        place: &Path,
        stage: &Stage,
    ) -> Result<bool, StoreError> {
        if bytes.len() < WORTH_SHARING_B || !self.can_share_bytes() {
            return Ok(false);
        }
        let plain = Variant::ALL[0];
        let anchor = self.paths().blob(blob, plain);
        let mut file = disk::create_file(place)?;
        if holds(&anchor, blob, bytes.len() as u64, plain) {
            let original = File::open(&anchor).at("open", &anchor)?;
            ioctl_ficlone(&file, &original).at("clone a blob to", place)?;
        } else {
            disk::write(&mut file, bytes, place, (0, bytes.len() as u64))?;
            let waiting = stage.join(&format!("blob-{}", blob.hex()));
            // Equal files of one layer come here at the same time; one of them makes the blob.
            if let Ok(copy) = File::create_new(&waiting) {
                ioctl_ficlone(&copy, &file).at("clone a file to", &waiting)?;
                finish_file(&copy, plain).at("set the mode and time of", &waiting)?;
                let dir = anchor.parent().expect("blobs lie two levels down");
                disk::create_dir_if_absent(dir)?;
                disk::rename(&waiting, &anchor, "rename a new blob to")?;
            }
        }
        finish_file(&file, variant).at("set the mode and time of", place)?;
        Ok(true)
    }

    /// Takes an image that is in its place into the store: its files become links to blobs, so that
    /// images with equal files share them, and it has a row. One that has a row already is left as it
    /// is. Nobody may be using the image.
    ///
    /// # Errors
    /// [`StoreError`]; the image is whole, whatever came of it.
    pub fn adopt_image(&self, image: [u8; 32], now_unix_s: u64) -> Result<(), StoreError> {
        let thing = Thing::Image(image);
        if self.tree_row(thing)?.is_some() {
            return Ok(());
        }
        let top = self.paths().rootfs(image);
        let _adding = self.locks.add();
        let stage = Stage::new(self.paths())?;
        let (tree, pinned) = self.share_tree(&top, &stage)?;
        let meta = TreeMeta::new(thing, now_unix_s, tree);
        self.place_meta(&self.paths().meta_of(thing), &encode(&meta))?;
        disk::sync_all_of(self.paths().root())?;
        self.submit("record an image", vec![meta.put(thing)])?;
        drop(pinned);
        Ok(())
    }

    /// Makes every file below `top` a link to its blob, and lists them all.
    fn share_tree(&self, top: &Path, stage: &Stage) -> Result<(Tree, Pinned), StoreError> {
        let found = walk(top)?;
        let hashed = parallel::for_each(found.files.len(), &|number| {
            let (path, _) = &found.files[number];
            let place = top.join(path.as_path());
            File::open(&place).and_then(|mut file| hash_of(&mut file)).at("read", &place)
        })?;
        let mut pinned = self.pins.none();
        let mut tree = found.rest;
        for ((path, facts), blob) in found.files.into_iter().zip(hashed) {
            let executable = facts.mode() & 0o111 != 0;
            pinned.add(blob);
            if facts.len() > 0 {
                let variant = Variant::of(Purpose::Source, Executable::of(executable));
                self.link_to_blob(&top.join(path.as_path()), &facts, (blob, variant), stage)?;
            }
            let entry = Entry::File { blob, size: facts.len(), executable };
            tree.insert(path, entry)?;
        }
        crate::checkout::stamp_directories(&tree, top, Purpose::Source)?;
        Ok((tree, pinned))
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
        let dir = anchor.parent().expect("blobs lie two levels down");
        match fs::symlink_metadata(&anchor) {
            Ok(there) if there.ino() == facts.ino() && there.dev() == facts.dev() => return Ok(()),
            Ok(_) if holds(&anchor, blob, facts.len(), variant) => {
                let waiting = stage.join("link");
                match disk::hard_link(&anchor, &waiting) {
                    Ok(()) => return disk::rename(&waiting, file, "rename a link to a blob to"),
                    Err(error) if cannot_link(&error) => return Ok(()),
                    Err(error) => return Err(error).at("link a blob to", &waiting),
                }
            }
            // One that is damaged is replaced.
            _ => {}
        }
        disk::create_dir_if_absent(dir)?;
        let waiting = stage.join("blob");
        match disk::hard_link(file, &waiting) {
            Ok(()) => disk::rename(&waiting, &anchor, "rename a new blob to"),
            Err(error) if cannot_link(&error) => Ok(()),
            Err(error) => Err(error).at("link a file to", &waiting),
        }
    }
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
