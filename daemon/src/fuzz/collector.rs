//! Collecting out of a directory that could hold anything.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kbs_plan::derivation::Collect;
use kbs_plan::id::BlobId;
use kbs_plan::limits::Limits;
use kbs_plan::path::RelPath;
use kbs_plan::pattern::Pattern;
use kbs_plan::tree::Entry;
use kbs_sandbox::{ResultDirs, remove_scratch};
use kbs_store::Store;

use super::tree::{Content, Input, Thing, make, make_secret};
use crate::config::{Config, Decided};
use crate::engine::outcome::Cause;
use crate::stages::collect::{Collected, collect, read_config};

const SECRET: &[u8] = b"what no artifact may hold";
/// Deepest directory that is looked into.
const DEPTH_MAX: usize = 64;
const CONFIG_MAX_B: u64 = 4 << 20;

const ROOTS: [&str; 4] = ["out", "src", "src/out", "out/a/out"];
const REQUIRED: [&[&str]; 4] = [&[], &["*.elf"], &["a"], &["klipper.dict", "out/*"]];
const OPTIONAL: [&[&str]; 4] = [&["**/*"], &[], &["*.bin"], &["a/**", ".config"]];
const OUTPUT_B: [u64; 4] = [1 << 20, 100, 0, 100_000];
const OUTPUT_FILES: [u64; 4] = [100, 0, 1, 7];

/// A place to collect in and a store to collect into.
#[derive(Debug)]
pub struct Collector {
    dir: PathBuf,
    store: Store,
}

/// What is asked of a collection.
struct Asked {
    rules: Collect,
    limits: Decided,
}

impl Collector {
    /// Makes both; dropping it removes them.
    #[expect(clippy::new_without_default, reason = "it makes directories")]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("kbs-fuzz-").tempdir();
        let dir = dir.expect("the temporary directory is writable").keep();
        make_secret(&dir.join("outside"), SECRET);
        let store = Store::open(&dir.join("state")).expect("it is new");
        Self { dir, store }
    }

    /// Collects from the tree that `bytes` describe; says whether it had artifacts.
    ///
    /// Panics where what is kept is not exactly what rules and limits allow of the regular files in
    /// the tree, or anything outside was touched.
    pub fn run(&self, bytes: &[u8]) -> bool {
        let mut input = Input(bytes);
        let asked = Asked::take(&mut input);
        let work = tempfile::tempdir_in(&self.dir).expect("the directory is ours").keep();
        let [src, out] = ["src", "out"].map(|name| work.join(name));
        // Opened as the jail hands them out: before anybody can shut them.
        let open = |dir: &Path| {
            std::fs::create_dir(dir).and_then(|()| File::open(dir)).expect("the directory is ours")
        };
        let dirs = ResultDirs { src: open(&src).into(), out: open(&out).into() };
        let root = &asked.rules.root;
        let (top, below) = root.split_once('/').unwrap_or((root, ""));
        let made = make(&work.join(top), &self.dir.join("outside"), &mut input);

        let top = if top == "out" { &dirs.out } else { &dirs.src };
        check_config(top.try_clone().expect("descriptors are left"), below, &made);
        let kept = self.check(dirs, &asked, below, &made);
        remove_scratch(&work).expect("whatever a build leaves can be removed");
        self.check_outside();
        kept
    }

    /// Collects, and compares with what should be kept.
    fn check(
        &self,
        dirs: ResultDirs,
        asked: &Asked,
        below: &str,
        made: &BTreeMap<Vec<u8>, Thing>,
    ) -> bool {
        let Asked { rules, limits } = asked;
        let ingest = self.store.ingest().expect("the store is ours");
        let collected = collect(dirs, rules, limits, ingest);
        let collected = collected.expect("no tree is this machine's fault");
        let expected = asked.expected(below, made);
        match (collected, expected) {
            (Err(unfit), Err(cause)) => {
                assert_eq!(unfit.cause, cause, "{}", unfit.text);
                false
            }
            (Ok(Collected { tree, left_out }), Ok(expected)) => {
                assert_eq!(left_out.is_some(), asked.leaves_out(below, made), "{left_out:?}");
                assert!(tree.size_b() <= limits.output_b);
                let found = tree.iter().filter_map(|(path, entry)| match entry {
                    Entry::File { blob, size, executable } => {
                        assert_ne!(*blob, BlobId::of(SECRET), "{path:?} is the secret");
                        Some((path.clone(), (*blob, *size, *executable)))
                    }
                    Entry::Directory => None,
                    Entry::Symlink { .. } => panic!("{path:?} is no regular file"),
                });
                assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
                true
            }
            (collected, expected) => panic!("{collected:?} instead of {expected:?}"),
        }
    }

    fn check_outside(&self) {
        let outside = self.dir.join("outside");
        for (path, mode) in [(outside.join("secret"), 0o400), (outside, 0o500)] {
            let found = std::fs::metadata(&path).expect("it is there").permissions().mode();
            assert_eq!(found & 0o7777, mode, "{} was changed", path.display());
        }
    }
}

/// Reads a configuration back, and compares.
fn check_config(top: OwnedFd, below: &str, made: &BTreeMap<Vec<u8>, Thing>) {
    let path = if below.is_empty() { ".config".to_owned() } else { format!("{below}/.config") };
    let expected = match made.get(path.as_bytes()) {
        Some(Thing::File { content, mode: _ }) if content.size_b() <= CONFIG_MAX_B => {
            String::from_utf8(content.bytes()).ok()
        }
        _ => None,
    };
    assert_eq!(read_config(top, below).ok(), expected);
}

impl Drop for Collector {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary directory.
        drop(remove_scratch(&self.dir));
    }
}

impl Asked {
    fn take(input: &mut Input<'_>) -> Self {
        let (choice, limit) = (input.byte(), input.byte());
        let patterns = |texts: &[&str]| {
            texts.iter().map(|text| Pattern::new(text).expect("it is one")).collect()
        };
        let rules = Collect {
            root: ROOTS[choice % 4].to_owned(),
            required: patterns(REQUIRED[choice / 4 % 4]),
            optional: patterns(OPTIONAL[choice / 16 % 4]),
        };
        let decided = Config::new(Path::new("/nonexistent")).decide(&Limits::default());
        let limits = Decided {
            output_b: OUTPUT_B[limit % 4],
            output_files: OUTPUT_FILES[limit / 4 % 4],
            ..decided.expect("nothing bounds them")
        };
        Self { rules, limits }
    }

    /// What should be kept of what was made, or why nothing should.
    fn expected(
        &self,
        below: &str,
        made: &BTreeMap<Vec<u8>, Thing>,
    ) -> Result<BTreeMap<RelPath, (BlobId, u64, bool)>, Cause> {
        let Self { rules: Collect { root: _, required, optional }, limits } = self;
        let is_dir = |path: &str| {
            path.is_empty() || matches!(made.get(path.as_bytes()), Some(Thing::Directory))
        };
        let above = below.match_indices('/').map(|(at, _)| &below[..at]);
        if !above.chain([below]).all(is_dir) {
            return Err(Cause::NoArtifacts);
        }
        let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
        let mut files: BTreeMap<RelPath, (&Content, bool)> = BTreeMap::new();
        for (path, thing) in made {
            let path = path.strip_prefix(prefix.as_bytes()).map(RelPath::from_bytes);
            if let (Thing::File { content, mode }, Some(Ok(path))) = (thing, path)
                && path.components().count() <= DEPTH_MAX + 1
                && !path.as_str().contains(char::is_control)
                && required.iter().chain(optional).any(|pattern| pattern.matches(&path))
            {
                files.insert(path, (content, mode & 0o111 != 0));
            }
        }
        if files.len() as u64 > limits.output_files {
            return Err(Cause::Limit("output-files"));
        }
        let missing = |pattern: &Pattern| !files.keys().any(|path| pattern.matches(path));
        if files.is_empty() || required.iter().any(missing) {
            return Err(Cause::NoArtifacts);
        }
        if files.values().map(|(content, _)| content.size_b()).sum::<u64>() > limits.output_b {
            return Err(Cause::Limit("output"));
        }
        let kept = |(path, (content, runs)): (RelPath, (&Content, bool))| {
            (path, (BlobId::of(&content.bytes()), content.size_b(), runs))
        };
        Ok(files.into_iter().map(kept).collect())
    }

    /// Whether something that is asked for cannot be kept.
    fn leaves_out(&self, below: &str, made: &BTreeMap<Vec<u8>, Thing>) -> bool {
        let Collect { root: _, required, optional } = &self.rules;
        let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
        made.iter().any(|(path, thing)| {
            let Some(path) = path.strip_prefix(prefix.as_bytes()) else { return false };
            let depth = path.split(|byte| *byte == b'/').count();
            let text = String::from_utf8_lossy(path);
            let is_plain = RelPath::from_bytes(path)
                .is_ok_and(|path| !path.as_str().contains(char::is_control));
            let is_meant =
                || required.iter().chain(optional).any(|pattern| pattern.matches_text(&text));
            match thing {
                Thing::Directory => depth > DEPTH_MAX,
                Thing::File { .. } if is_plain => false,
                Thing::File { .. } | Thing::Other => depth <= DEPTH_MAX + 1 && is_meant(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    use kbs_testkit::corpus;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::{Config as Cases, TestRunner};

    #[test]
    fn what_fuzzers_found_holds() {
        let collector = Collector::new();
        let kept: BTreeSet<bool> =
            corpus("collector").iter().map(|bytes| collector.run(bytes)).collect();
        assert_eq!(kept.len(), 2, "some have artifacts and some have none");
    }

    #[test]
    fn any_tree_is_survived() {
        let collector = Collector::new();
        TestRunner::new(Cases::with_cases(64))
            .run(&vec(any::<u8>(), 0..400), |bytes| {
                collector.run(&bytes);
                Ok(())
            })
            .unwrap();
    }
}
