//! Takes artifacts out of a finished jail, never through a link and never beyond its directories.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt;

use cap_std::fs::{Dir, File, FileType, Metadata, MetadataExt as _, Permissions};
use kbs_plan::derivation::Collect;
use kbs_plan::path::RelPath;
use kbs_plan::tree::Tree;
use kbs_sandbox::ResultDirs;
use kbs_store::{Executable, Ingest};

use crate::config::Decided;
use crate::engine::outcome::Cause;
use crate::problem::{EngineError, Problem};

/// Deepest directory that is looked into.
const DEPTH_MAX: usize = 64;
/// Largest configuration that is read back.
const CONFIG_MAX_B: u64 = 16 << 20;

/// Why the artifacts of a build that succeeded cannot be kept.
#[derive(Debug)]
pub(crate) struct Unfit {
    pub(crate) cause: Cause,
    pub(crate) text: String,
}

/// Ingests every artifact, or says why that cannot be.
pub(crate) fn collect(
    dirs: ResultDirs,
    rules: &Collect,
    limits: &Decided,
    mut ingest: Ingest<'_>,
) -> Result<Result<Tree, Unfit>, Problem> {
    let root = rules.root.as_str();
    let ResultDirs { src, out } = dirs;
    let (top, below) = root.split_once('/').unwrap_or((root, ""));
    let Ok(dir) = open_root(if top == "out" { out } else { src }, below) else {
        let text = format!("the build made no directory {root}, where its artifacts should be");
        return Ok(Err(Unfit { cause: Cause::NoArtifacts, text }));
    };
    let mut search = Search::new(rules, limits);
    search
        .walk(&dir, None, 0)
        .map_err(|source| host("read the build's directory", root, source))?;
    if let Some(unfit) = search.judge() {
        return Ok(Err(unfit));
    }
    search.files.sort();
    for (path, size_b, executable) in search.files {
        let file = dir
            .open(path.as_path())
            .map_err(|source| host("open the artifact", path.as_str(), source))?;
        // Never more than was measured: a file that grew while nothing runs is not believed.
        ingest.file(path, executable, &mut file.take(size_b))?;
    }
    Ok(Ok(ingest.finish()?))
}

/// A search for artifacts, which ends with the first file too many: who makes millions of them must
/// not fill our memory with their names.
struct Search<'a> {
    rules: &'a Collect,
    limits: &'a Decided,
    /// Files that match, with their sizes in bytes.
    files: Vec<(RelPath, u64, Executable)>,
    /// By the number of a required pattern, something that it matches and that is no file.
    others: BTreeMap<usize, (RelPath, &'static str)>,
}

impl<'a> Search<'a> {
    fn new(rules: &'a Collect, limits: &'a Decided) -> Self {
        Self { rules, limits, files: Vec::new(), others: BTreeMap::new() }
    }

    fn is_over(&self) -> bool {
        self.files.len() as u64 > self.limits.output_files
    }

    fn walk(&mut self, dir: &Dir, at: Option<&RelPath>, depth: usize) -> std::io::Result<()> {
        for entry in dir.entries()? {
            let entry = entry?;
            let name = entry.file_name();
            // A name that no tree can hold cannot be an artifact either.
            let Some(name) = name.to_str() else { continue };
            let path = match at {
                Some(at) => at.join(name),
                None => RelPath::new(name),
            };
            let Ok(path) = path else { continue };
            let meta = dir.symlink_metadata(name)?;
            if meta.is_dir() {
                if depth < DEPTH_MAX {
                    self.walk(&open_shut_dir(dir, name, &meta)?, Some(&path), depth + 1)?;
                }
            } else if meta.is_file() {
                self.take_file(dir, name, path, &meta)?;
            } else {
                self.note_other(&path, kind(meta.file_type()));
            }
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn take_file(
        &mut self,
        dir: &Dir,
        name: &str,
        path: RelPath,
        meta: &Metadata,
    ) -> std::io::Result<()> {
        let Collect { root: _, required, optional } = self.rules;
        if required.iter().chain(optional).any(|pattern| pattern.matches(&path)) {
            grant(dir, name, meta, 0o600)?;
            let runs = meta.mode() & 0o111 != 0;
            let executable = if runs { Executable::Yes } else { Executable::No };
            self.files.push((path, meta.len(), executable));
        }
        Ok(())
    }

    fn note_other(&mut self, path: &RelPath, kind: &'static str) {
        for (number, pattern) in self.rules.required.iter().enumerate() {
            if pattern.matches(path) {
                self.others.entry(number).or_insert_with(|| (path.clone(), kind));
            }
        }
    }

    /// Why what was found cannot be kept.
    fn judge(&self) -> Option<Unfit> {
        let too_much = |limit, text| Some(Unfit { cause: Cause::Limit(limit), text });
        let Decided { output_b, output_files, .. } = self.limits;
        if self.is_over() {
            let text = format!(
                "the artifacts are at least {} files, more than limits.output-files allows \
                 ({output_files})",
                self.files.len()
            );
            return too_much("output-files", text);
        }
        if let Some(text) = self.missing() {
            return Some(Unfit { cause: Cause::NoArtifacts, text });
        }
        // Saturating, for sizes are the build's to choose.
        let size_b =
            self.files.iter().fold(0_u64, |sum, (_, size_b, _)| sum.saturating_add(*size_b));
        if size_b > *output_b {
            let text = format!(
                "the artifacts hold {size_b} bytes, more than limits.output allows ({output_b})"
            );
            return too_much("output", text);
        }
        None
    }

    /// What the recipe promises and is not there.
    fn missing(&self) -> Option<String> {
        let Collect { root, required, optional: _ } = self.rules;
        for (number, pattern) in required.iter().enumerate() {
            if self.files.iter().any(|(path, ..)| pattern.matches(path)) {
                continue;
            }
            return Some(match self.others.get(&number) {
                Some((path, kind)) => format!(
                    "`{pattern}` matches only {path}, which is a {kind}; only regular files are \
                     kept"
                ),
                None => format!("nothing in {root} matches `{pattern}`"),
            });
        }
        let is_empty = self.files.is_empty();
        is_empty.then(|| format!("nothing in {root} matches any pattern of the recipe"))
    }
}

/// The directory `below` the top one of a finished jail.
fn open_root(top: OwnedFd, below: &str) -> std::io::Result<Dir> {
    let top = std::fs::File::from(top);
    let mode = top.metadata()?.permissions().mode();
    if mode & 0o700 != 0o700 {
        let itself = format!("/proc/self/fd/{}", top.as_raw_fd());
        std::fs::set_permissions(itself, std::fs::Permissions::from_mode(mode & 0o777 | 0o700))?;
    }
    let mut dir = Dir::from_std_file(top);
    for name in below.split('/').filter(|name| !name.is_empty()) {
        let meta = dir.symlink_metadata(name)?;
        dir = open_shut_dir(&dir, name, &meta)?;
    }
    Ok(dir)
}

/// Opens a directory that the build may have shut: whether the daemon is root must not matter.
fn open_shut_dir(dir: &Dir, name: &str, meta: &Metadata) -> std::io::Result<Dir> {
    if !meta.is_dir() {
        return Err(std::io::ErrorKind::NotADirectory.into());
    }
    grant(dir, name, meta, 0o700)?;
    dir.open_dir(name)
}

/// Gives the owner, who we are, the rights `needed` on what is no link.
fn grant(dir: &Dir, name: &str, meta: &Metadata, needed: u32) -> std::io::Result<()> {
    let mode = meta.mode() & 0o777;
    if mode & needed == needed {
        return Ok(());
    }
    dir.set_permissions(name, Permissions::from_std(PermissionsExt::from_mode(mode | needed)))
}

fn kind(file_type: FileType) -> &'static str {
    if file_type.is_symlink() { "symbolic link" } else { "special file" }
}

fn host(action: &'static str, path: &str, source: std::io::Error) -> EngineError {
    EngineError::Host { action, path: path.into(), source }
}

/// The `.config` in the directory `below` the source of a finished jail.
pub(crate) fn read_config(src: OwnedFd, below: &str) -> std::io::Result<String> {
    let dir = open_root(src, below)?;
    let meta = dir.symlink_metadata(".config")?;
    if !meta.is_file() {
        return Err(std::io::Error::other(".config is not a regular file"));
    }
    grant(&dir, ".config", &meta, 0o600)?;
    let file: File = dir.open(".config")?;
    let mut text = Vec::new();
    file.take(CONFIG_MAX_B + 1).read_to_end(&mut text)?;
    if text.len() as u64 > CONFIG_MAX_B {
        return Err(std::io::Error::other(".config is larger than 16 MiB"));
    }
    String::from_utf8(text).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use kbs_plan::limits::Limits;
    use kbs_plan::pattern::Pattern;
    use kbs_plan::quantity::ByteSize;

    fn rules() -> Collect {
        let pattern = |text| Pattern::new(text).unwrap();
        Collect {
            root: "out".to_owned(),
            required: vec![pattern("a.*")],
            optional: vec![pattern("*.x")],
        }
    }

    fn limits(output_b: u64, output_files: u64) -> Decided {
        let limits = Limits {
            output: Some(ByteSize(output_b)),
            output_files: Some(output_files),
            ..Limits::default()
        };
        Config::new("/nonexistent".as_ref()).decide(&limits).unwrap()
    }

    #[test]
    fn a_search_holds_one_name_more_than_allowed_and_no_other() {
        let top = tempfile::tempdir().unwrap();
        for dir in ["", "1", "1/2", "3"] {
            let dir = top.path().join(dir);
            std::fs::create_dir_all(&dir).unwrap();
            for number in 0..10 {
                std::fs::write(dir.join(format!("{number}.x")), "").unwrap();
                std::fs::write(dir.join(format!("{number}.y")), "").unwrap();
                std::os::unix::fs::symlink("x", dir.join(format!("a.{number}"))).unwrap();
            }
        }
        let dir = Dir::from_std_file(std::fs::File::open(top.path()).unwrap());
        for (allowed, held) in [(0, 1), (15, 16), (39, 40), (40, 40), (50, 40)] {
            let (rules, limits) = (rules(), limits(1, allowed));
            let mut search = Search::new(&rules, &limits);
            search.walk(&dir, None, 0).unwrap();
            assert_eq!(search.files.len(), held);
            assert!(search.others.len() <= 1, "one for each pattern is enough");
            let unfit = search.judge().unwrap();
            let is_too_many = unfit.cause == Cause::Limit("output-files");
            assert_eq!(is_too_many, allowed < 40, "{}", unfit.text);
        }
    }

    #[test]
    fn sizes_whose_sum_is_no_number_are_too_large() {
        let (rules, limits) = (rules(), limits(100, 9));
        let judge = |sizes: &[u64]| {
            let mut search = Search::new(&rules, &limits);
            for (number, size_b) in sizes.iter().enumerate() {
                let path = RelPath::new(format!("a.{number}")).unwrap();
                search.files.push((path, *size_b, Executable::No));
            }
            search.judge().map(|unfit| unfit.text)
        };
        assert_eq!(judge(&[40, 60]), None);
        let told = "the artifacts hold 123 bytes, more than limits.output allows (100)";
        assert_eq!(judge(&[23, 100]).as_deref(), Some(told));
        assert!(judge(&[1 << 63, 1 << 63, 7]).unwrap().contains("limits.output allows (100)"));
    }
}
