//! Where Kconfig files come from: the caller has them, this room only asks.

use std::collections::BTreeMap;
use std::error::Error;

/// Largest Kconfig file in bytes.
pub const FILE_MAX_B: usize = 16 * 1024 * 1024;
/// Most bytes in all the Kconfig files of a project, each counted as often as it is sourced.
pub const FILES_MAX_B: usize = 100_000_000;

/// Why the caller could not give a file.
pub type FileFault = Box<dyn Error + Send + Sync>;

/// Gives the files of a source tree.
///
/// Paths are relative to the root of the tree, with `/` between plain names: never empty, never
/// absolute, without `.` and `..`.
pub trait Files {
    /// Reads the file at `path`, `None` if there is no such file.
    ///
    /// # Errors
    /// Whatever kept the caller from reading a file that exists.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileFault>;

    /// Lists the names in the directory `dir`, in any order; the root is the empty path.
    ///
    /// A directory that does not exist has no names.
    ///
    /// # Errors
    /// Whatever kept the caller from listing it.
    fn names(&self, dir: &str) -> Result<Vec<String>, FileFault>;
}

/// Files in memory, by path.
#[derive(Debug, Clone, Default)]
pub struct FileMap {
    files: BTreeMap<String, Vec<u8>>,
}

impl FileMap {
    /// Puts a file at `path`, in place of what was there.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), content.into());
    }
}

impl<P: Into<String>, C: Into<Vec<u8>>> FromIterator<(P, C)> for FileMap {
    fn from_iter<I: IntoIterator<Item = (P, C)>>(files: I) -> Self {
        Self { files: files.into_iter().map(|(path, c)| (path.into(), c.into())).collect() }
    }
}

impl Files for FileMap {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileFault> {
        Ok(self.files.get(path).cloned())
    }

    fn names(&self, dir: &str) -> Result<Vec<String>, FileFault> {
        let mut names: Vec<String> = self
            .files
            .keys()
            .filter_map(|path| match dir {
                "" => Some(path.as_str()),
                dir => path.strip_prefix(dir)?.strip_prefix('/'),
            })
            .filter_map(|rest| rest.split('/').next())
            .map(str::to_owned)
            .collect();
        names.dedup();
        Ok(names)
    }
}

/// Brings `path` into the form that [`Files`] takes; `None` if it leaves the tree.
pub(crate) fn inside(path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Whether `path` is a pattern for several files.
pub(crate) fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The files that `pattern` matches, sorted.
///
/// # Errors
/// As [`Files`].
pub(crate) fn glob(files: &dyn Files, pattern: &str) -> Result<Vec<String>, FileFault> {
    let mut found = vec![String::new()];
    let mut guessed = false;
    for part in pattern.split('/') {
        let mut deeper = Vec::new();
        for dir in &found {
            let join = |name: &str| match dir.as_str() {
                "" => name.to_owned(),
                dir => format!("{dir}/{name}"),
            };
            if is_glob(part) {
                guessed = true;
                let names = files.names(dir)?;
                // As in a shell, a dot at the start has to be asked for.
                let wanted = |name: &&String| part.starts_with('.') || !name.starts_with('.');
                deeper.extend(
                    names.iter().filter(wanted).filter(|n| matches(part, n)).map(|n| join(n)),
                );
            } else if !guessed || files.names(dir)?.iter().any(|name| name == part) {
                deeper.push(join(part));
            }
        }
        found = deeper;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Whether `name` has the form of `pattern`: `*`, `?`, `[abc]`, `[!a-c]`.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pieces(pattern);
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where to go on if the last `*` has to take one character more.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(Piece::Any) => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(Piece::One(set)) if set.has(name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match &mut retry {
                Some((after, taken)) => {
                    *taken += 1;
                    (p, n) = (*after, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|piece| matches!(piece, Piece::Any))
}

enum Piece {
    Any,
    One(Set),
}

struct Set {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    fn has(&self, c: char) -> bool {
        self.negated != self.ranges.iter().any(|&(low, high)| low <= c && c <= high)
    }
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let mut used = c.len_utf8();
        pieces.push(match c {
            '*' => Piece::Any,
            '?' => Piece::One(Set { negated: true, ranges: Vec::new() }),
            '[' => match set(&rest[1..]) {
                Some((set, length)) => {
                    used += length;
                    Piece::One(set)
                }
                None => Piece::One(Set { negated: false, ranges: vec![(c, c)] }),
            },
            c => Piece::One(Set { negated: false, ranges: vec![(c, c)] }),
        });
        rest = &rest[used..];
    }
    pieces
}

/// The set behind a `[` and its length with the `]`; `None` if it never ends.
fn set(text: &str) -> Option<(Set, usize)> {
    let negated = text.starts_with('!');
    let body = text.strip_prefix('!').unwrap_or(text);
    // A `]` at the start is a member.
    let first = body.chars().next()?.len_utf8();
    let end = body[first..].find(']')? + first;
    let members: Vec<char> = body[..end].chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&low) = members.get(at) {
        if let (Some('-'), Some(&high)) = (members.get(at + 1), members.get(at + 2)) {
            ranges.push((low, high));
            at += 3;
        } else {
            ranges.push((low, low));
            at += 1;
        }
    }
    Some((Set { negated, ranges }, usize::from(negated) + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_leave_the_tree() {
        for path in ["/etc/passwd", "..", "a/../../b", "", ".", "a/..", "a\0b"] {
            assert_eq!(inside(path), None, "{path}");
        }
        assert_eq!(inside("./a//b/../c").as_deref(), Some("a/c"));
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name) in [
            ("*", "a"),
            ("a*c", "abbc"),
            ("?b", "ab"),
            ("[ab]x", "bx"),
            ("[!ab]x", "cx"),
            ("[a-c]", "b"),
            ("[]]", "]"),
            ("[", "["),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a*c", "abb"), ("?", ""), ("[!ab]", "a"), ("[a-c]", "d")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn globs_are_sorted_and_leave_hidden_files_alone() {
        let files: FileMap = ["b/Kconfig", "a/Kconfig", "a/x/Kconfig", ".h/Kconfig", "Kconfig"]
            .map(|p| (p, ""))
            .into_iter()
            .collect();
        assert_eq!(glob(&files, "*/Kconfig").unwrap(), ["a/Kconfig", "b/Kconfig"]);
        assert_eq!(files.names("a").unwrap(), ["Kconfig", "x"]);
    }
}
