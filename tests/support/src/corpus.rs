//! What fuzzers have found.

use std::path::{Path, PathBuf};

/// The inputs in `tests/fuzz/corpus/TARGET`, in the order of their names; there is at least one.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let paths = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(&dir)?.map(|entry| Ok(entry?.path())).collect()
    };
    let read = || {
        let mut paths = paths()?;
        paths.sort();
        paths.iter().map(std::fs::read).collect::<std::io::Result<Vec<_>>>()
    };
    let inputs = read().unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    assert!(!inputs.is_empty(), "{} is empty", dir.display());
    inputs
}
