//! Takes artifacts out of a finished jail, never through a link and never beyond its directories.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt;

use cap_std::fs::{Dir, File, Metadata, MetadataExt as _, Permissions};
use kbs_plan::derivation::Collect;
use kbs_plan::path::RelPath;
use kbs_plan::pattern::Pattern;
use kbs_plan::quantity::ByteSize;
use kbs_sandbox::ResultDirs;
use kbs_store::{Executable, Incomer, Ingest, Ingested};
use rustix::fs::FileType;

use super::left_out::{LeftOut, shown};
use crate::config::Decided;
use crate::engine::outcome::Cause;
use crate::problem::{EngineError, Problem};

/// Deepest directory that is looked into.
const DEPTH_MAX: usize = 64;
/// Largest configuration that is read back: some ten times that of a kernel with everything in it. What
/// is parsed of it takes many times its size.
const CONFIG_MAX_B: u64 = 4 << 20;

/// The artifacts of a build.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) tree: Ingested,
    /// What was asked for and is not in the tree, for people; `None` where nothing was left out.
    pub(crate) left_out: Option<String>,
}

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
) -> Result<Result<Collected, Unfit>, Problem> {
    let root = rules.root.as_str();
    let ResultDirs { src, out } = dirs;
    let (top, below) = root.split_once('/').unwrap_or((root, ""));
    let Ok(dir) = open_root(if top == "out" { out } else { src }, below) else {
        let text = format!("the build made no directory {root}, where its artifacts should be");
        return Ok(Err(Unfit { cause: Cause::NoArtifacts, text }));
    };
    let mut search = Search::new(rules, limits);
    search
        .walk(&dir, &Place::default())
        .map_err(|source| host("read the build's directory", root, source))?;
    if let Some(unfit) = search.judge() {
        return Ok(Err(unfit));
    }
    search.files.sort();
    let incomers = search.files.into_iter().map(|(path, size_b, executable)| {
        // Never more than was measured: a file that grew while nothing runs is not believed.
        Incomer { path, executable, size_b }
    });
    ingest.files(incomers.collect(), &|path| dir.open(path.as_path()))?;
    Ok(Ok(Collected { tree: ingest.finish()?, left_out: search.left_out.told() }))
}

/// Where a search stands.
#[derive(Debug, Default)]
struct Place {
    /// Lossy where the names are not text; empty at the top.
    path: String,
    /// Directories below the top.
    depth: usize,
    /// Why no tree can hold it.
    fault: Option<&'static str>,
}

impl Place {
    fn join(&self, name: &OsStr) -> Self {
        let Self { path, depth, fault } = self;
        let text = name.to_string_lossy();
        let path = if path.is_empty() { text.into_owned() } else { format!("{path}/{text}") };
        let fault = fault.or_else(|| match name.to_str() {
            None => Some("has a name that is not UTF-8"),
            // Terminals and line by line readers obey them, long after the build.
            Some(name) if name.contains(char::is_control) => {
                Some("has a name with control characters")
            }
            Some(_) if RelPath::new(path.as_str()).is_err() => Some("has too long a path"),
            Some(_) => None,
        });
        Self { path, depth: depth + 1, fault }
    }
}

/// A search for artifacts, which ends with the first file too many: who makes millions of them must
/// not fill our memory with their names.
struct Search<'a> {
    rules: &'a Collect,
    limits: &'a Decided,
    /// Files that match, with their sizes in bytes.
    files: Vec<(RelPath, u64, Executable)>,
    left_out: LeftOut,
    /// By the number of a required pattern, the first thing that it means and that is not kept.
    others: BTreeMap<usize, (String, &'static str)>,
}

impl<'a> Search<'a> {
    fn new(rules: &'a Collect, limits: &'a Decided) -> Self {
        let (left_out, others) = (LeftOut::default(), BTreeMap::new());
        Self { rules, limits, files: Vec::new(), left_out, others }
    }

    fn is_over(&self) -> bool {
        self.files.len() as u64 > self.limits.output_files
    }

    fn walk(&mut self, dir: &Dir, at: &Place) -> std::io::Result<()> {
        for entry in dir.entries()? {
            let name = entry?.file_name();
            let place = at.join(&name);
            let meta = dir.symlink_metadata(&name)?;
            if !meta.is_dir() {
                self.take(dir, &name, &place, &meta)?;
            } else if at.depth < DEPTH_MAX {
                self.walk(&open_shut_dir(dir, &name, &meta)?, &place)?;
            } else {
                // Any pattern might have matched something in it.
                self.leave_out(&place.path, "lies too deep to be looked into", |_| true);
            }
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        place: &Place,
        meta: &Metadata,
    ) -> std::io::Result<()> {
        let Collect { root: _, required, optional } = self.rules;
        let Place { path, depth: _, fault } = place;
        if !required.iter().chain(optional).any(|pattern| pattern.matches_text(path)) {
            return Ok(());
        }
        match (fault.or_else(|| unkept_kind(meta)), RelPath::new(path.as_str())) {
            (None, Ok(path)) => {
                grant(dir, name, meta, 0o600)?;
                let runs = meta.mode() & 0o111 != 0;
                let executable = if runs { Executable::Yes } else { Executable::No };
                self.files.push((path, meta.len(), executable));
            }
            (why, _) => {
                let why = why.unwrap_or("is no path in a tree");
                self.leave_out(path, why, |pattern| pattern.matches_text(path));
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, path: &str, why: &'static str, is_meant: impl Fn(&Pattern) -> bool) {
        self.left_out.note(path, why);
        for (number, _) in self.rules.required.iter().enumerate().filter(|(_, it)| is_meant(it)) {
            // The order of a directory is the file system's, and must not show.
            let first = self.others.entry(number).or_insert_with(|| (path.to_owned(), why));
            if path < first.0.as_str() {
                *first = (path.to_owned(), why);
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
                "the artifacts hold {}, more than limits.output allows ({})",
                ByteSize(size_b).rounded(),
                ByteSize(*output_b)
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
                Some((path, why)) => format!(
                    "`{pattern}` matches only `{}`, which {why} and cannot be kept",
                    shown(path)
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
        dir = open_shut_dir(&dir, name.as_ref(), &meta)?;
    }
    Ok(dir)
}

/// Opens a directory that the build may have shut: whether the daemon is root must not matter.
fn open_shut_dir(dir: &Dir, name: &OsStr, meta: &Metadata) -> std::io::Result<Dir> {
    if !meta.is_dir() {
        return Err(std::io::ErrorKind::NotADirectory.into());
    }
    grant(dir, name, meta, 0o700)?;
    dir.open_dir(name)
}

/// Gives the owner, who we are, the rights `needed` on what is no link.
fn grant(dir: &Dir, name: &OsStr, meta: &Metadata, needed: u32) -> std::io::Result<()> {
    let mode = meta.mode() & 0o777;
    if mode & needed == needed {
        return Ok(());
    }
    dir.set_permissions(name, Permissions::from_std(PermissionsExt::from_mode(mode | needed)))
}

/// Why something that is no directory is no artifact; `None` for a regular file.
fn unkept_kind(meta: &Metadata) -> Option<&'static str> {
    match FileType::from_raw_mode(meta.mode()) {
        FileType::RegularFile => None,
        FileType::Symlink => Some("is a symbolic link"),
        FileType::Fifo => Some("is a named pipe"),
        FileType::Socket => Some("is a socket"),
        _ => Some("is a device"),
    }
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
    grant(&dir, ".config".as_ref(), &meta, 0o600)?;
    let file: File = dir.open(".config")?;
    let mut text = Vec::new();
    file.take(CONFIG_MAX_B + 1).read_to_end(&mut text)?;
    if text.len() as u64 > CONFIG_MAX_B {
        return Err(std::io::Error::other(".config is larger than 4 MiB"));
    }
    String::from_utf8(text).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use kbs_plan::limits::Limits;

    fn rules() -> Collect {
        let pattern = |text| Pattern::new(text).unwrap();
        Collect {
            root: "out".to_owned(),
            required: vec![pattern("a.*")],
            optional: vec![pattern("*.x")],
        }
    }

    fn limits(output_b: u64, output_files: u64) -> Decided {
        let decided = Config::new("/nonexistent".as_ref()).decide(&Limits::default()).unwrap();
        Decided { output_b, output_files, ..decided }
    }

    fn searched<'a>(top: &std::path::Path, rules: &'a Collect, limits: &'a Decided) -> Search<'a> {
        let dir = Dir::from_std_file(std::fs::File::open(top).unwrap());
        let mut search = Search::new(rules, limits);
        search.walk(&dir, &Place::default()).unwrap();
        search
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
        for (allowed, held) in [(0, 1), (15, 16), (39, 40), (40, 40), (50, 40)] {
            let (rules, limits) = (rules(), limits(1, allowed));
            let search = searched(top.path(), &rules, &limits);
            assert_eq!(search.files.len(), held);
            assert!(search.others.len() <= 1, "one for each pattern is enough");
            let unfit = search.judge().unwrap();
            let is_too_many = unfit.cause == Cause::Limit("output-files");
            assert_eq!(is_too_many, allowed < 40, "{}", unfit.text);
        }
    }

    #[test]
    fn nothing_that_a_pattern_means_is_left_out_silently() {
        use std::os::unix::ffi::OsStrExt as _;

        let (rules, limits) = (rules(), limits(100, 100));
        let top = tempfile::tempdir().unwrap();
        let path = |name: &[u8]| top.path().join(OsStr::from_bytes(name));
        std::fs::write(path(b"b.y"), "").unwrap();
        std::os::unix::fs::symlink("b.y", path(b"b.z")).unwrap();
        std::fs::write(path(b"b.x"), "").unwrap();
        assert_eq!(searched(top.path(), &rules, &limits).left_out.told(), None);

        std::os::unix::fs::symlink("b.x", path(b"a.link")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(path(b"a.socket")).unwrap();
        drop(socket);
        for name in [&b"a.\xff"[..], b"a.\n", b"a.\x7f", "a.\u{9b}".as_bytes()] {
            std::fs::write(path(name), "").unwrap();
        }
        std::fs::create_dir(path(b"\xfe")).unwrap();
        std::fs::write(path(b"\xfe/c.x"), "").unwrap();
        let mut deep = top.path().to_owned();
        deep.extend(["d"; DEPTH_MAX]);
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("c.x"), "").unwrap();
        let search = searched(top.path(), &rules, &limits);
        let kept: Vec<_> = search.files.iter().map(|(path, ..)| path.file_name()).collect();
        assert_eq!(kept.iter().filter(|name| **name == "b.x").count(), 1);
        assert_eq!(kept.len(), 2, "{kept:?}");
        assert_eq!(
            search.left_out.told().unwrap(),
            "not kept: `a.\\n` has a name with control characters; \
             `a.link` is a symbolic link; \
             `a.socket` is a socket; \
             `a.\\u{7f}` has a name with control characters; \
             `a.\\u{9b}` has a name with control characters; \
             `a.\u{fffd}` has a name that is not UTF-8; \
             `\u{fffd}/c.x` has a name that is not UTF-8"
        );
        let why = "`a.*` matches only `a.\\n`, which has a name with control characters and cannot be \
                   kept";
        assert_eq!(search.judge().unwrap().text, why);

        std::fs::create_dir(deep.join("d")).unwrap();
        let told = searched(top.path(), &rules, &limits).left_out.told().unwrap();
        assert!(told.contains("/d` lies too deep to be looked into"), "{told}");
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
        let told = "the artifacts hold 123 B, more than limits.output allows (100)";
        assert_eq!(judge(&[23, 100]).as_deref(), Some(told));
        assert!(judge(&[1 << 63, 1 << 63, 7]).unwrap().contains("limits.output allows (100)"));
    }
}
