//! Has the disk begin while more is being written, so that the sync at the end finds little left.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use rustix::fs::syncfs;

use crate::error::{At as _, StoreError};

/// After so many bytes, those before them are sent to the disk.
const EVERY_B: u64 = 32 << 20;

/// What is being written, by any number of threads.
#[derive(Debug)]
pub(crate) struct Writing<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    root: &'env Path,
    state: &'env Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that were written since the last were sent.
    waiting_b: u64,
    /// A thread is sending.
    busy: bool,
    error: Option<StoreError>,
}

impl Writing<'_, '_> {
    /// Notes that so many bytes more were written.
    pub(crate) fn wrote(&self, size_b: u64) {
        let mut state = lock(self.state);
        state.waiting_b += size_b;
        if state.waiting_b >= EVERY_B && !state.busy {
            state.busy = true;
            let (root, state) = (self.root, self.state);
            self.scope.spawn(move || send(root, state));
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends what waits, until too little does.
fn send(root: &Path, state: &Mutex<State>) {
    loop {
        lock(state).waiting_b = 0;
        let synced =
            File::open(root).and_then(|dir| Ok(syncfs(&dir)?)).at("sync the file system of", root);
        let mut state = lock(state);
        if let Err(error) = synced {
            // Still busy: nobody tries again.
            state.error = Some(error);
            return;
        }
        if state.waiting_b < EVERY_B {
            state.busy = false;
            return;
        }
    }
}

/// Runs `work`, which writes files on the file system of `root`, and sends them to the disk meanwhile. It
/// does not replace the sync at the end.
///
/// # Errors
/// That of `work`, or [`StoreError::Io`] where the disk refuses what was written: the kernel tells that
/// only once.
pub(crate) fn while_writing<T, E: From<StoreError>>(
    root: &Path,
    work: impl FnOnce(&Writing<'_, '_>) -> Result<T, E>,
) -> Result<T, E> {
    let state = Mutex::default();
    let done = thread::scope(|scope| work(&Writing { scope, root, state: &state }))?;
    let State { error, .. } = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    error.map_or(Ok(done), |error| Err(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn what_the_work_says_comes_back() {
        let root = root();
        let done = while_writing(root.path(), |writing| {
            (0..5).for_each(|_| writing.wrote(EVERY_B));
            Ok::<_, StoreError>(7)
        });
        assert_eq!(done.unwrap(), 7);
        let missing = || StoreError::Io {
            action: "write",
            path: "x".into(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        let failed = while_writing(root.path(), |_| Err::<(), _>(missing()));
        assert!(failed.unwrap_err().to_string().contains("cannot write x"));
    }

    #[test]
    fn what_the_disk_refuses_is_told() {
        let nowhere = root().path().join("nowhere");
        let done = while_writing(&nowhere, |writing| {
            writing.wrote(EVERY_B);
            Ok::<_, StoreError>(())
        });
        assert!(done.unwrap_err().to_string().contains("nowhere"));
    }
}
