//! Room that is kept for the worst day: to remove something, a full file system must be written to.

use std::fs::{self, File};
use std::io;

use rustix::fs::{FallocateFlags, fallocate};

use crate::disk::free_b;
use crate::store::Store;

const BALLAST_B: u64 = 4 << 20;

/// Room on a full disk, for as long as it lives; then it is taken back.
#[derive(Debug)]
pub(crate) struct Room<'s>(&'s Store);

impl Store {
    /// Takes room on the disk, if there is some and none is held.
    pub(crate) fn load_ballast(&self) {
        let place = self.paths().ballast();
        if place.exists() {
            return;
        }
        let load = || {
            let file = File::create_new(&place)?;
            Ok::<_, io::Error>(fallocate(&file, FallocateFlags::empty(), 0, BALLAST_B)?)
        };
        if let Err(error) = load() {
            drop(fs::remove_file(&place));
            tracing::debug!(%error, "no room can be kept for a collection");
        }
    }

    /// Gives room to a removal where there is next to none.
    pub(crate) fn room(&self) -> Room<'_> {
        if free_b(self.paths().root()).is_ok_and(|free_b| free_b < BALLAST_B) {
            drop(fs::remove_file(self.paths().ballast()));
        }
        Room(self)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.load_ballast();
    }
}
