//! Which paths of a tree are meant: plain paths and globs, walked one component at a time.

use kbs_plan::error::{Class, Help};
use kbs_plan::path::RelPath;

/// A choice of paths; an empty one means everything.
///
/// A plain path means that file, or everything below that directory. In a pattern, `*` and `?`
/// stand for characters within one component and `**` for any number of components. A pattern whose
/// last component is plain, or `**`, takes whole directories; one that ends in `*` or `?` takes
/// files only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathPatterns {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    parts: Vec<Part>,
    takes_directories: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Name(String),
    Glob(Vec<char>),
    AnyDepth,
}

/// The text is not a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is not a relative path of plain components.
    #[error("`{pattern}` cannot be a path pattern")]
    Path {
        /// The pattern.
        pattern: String,
        /// The rule it breaks.
        source: kbs_plan::path::PathError,
    },
    /// It uses characters that are kept free.
    #[error("`{pattern}` cannot be a path pattern: `[`, `{{`, `!` and `\\` have no meaning yet")]
    Reserved {
        /// The pattern.
        pattern: String,
    },
}

impl Help for PatternError {
    fn class(&self) -> Class {
        Class::User
    }

    fn help(&self) -> Option<String> {
        Some("write a path below the project's root, with `*`, `?` or `**`".to_owned())
    }
}

/// How far each pattern has been matched by the components so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Front(Vec<(usize, usize)>);

/// What the patterns say about one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Not meant, nor anything below it.
    Skip,
    /// Meant, with everything below it.
    Take,
    /// A directory in which something may be meant.
    Enter(Front),
}

/// Whether an entry can hold others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Entries,
    Nothing,
}

impl PathPatterns {
    /// Reads patterns; their order does not matter.
    ///
    /// # Errors
    /// [`PatternError`] naming the first bad one.
    pub fn new<T: AsRef<str>>(patterns: impl IntoIterator<Item = T>) -> Result<Self, PatternError> {
        let patterns = patterns.into_iter().map(|text| Pattern::new(text.as_ref()));
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// Everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// What the patterns say about the root.
    pub(crate) fn start(&self) -> Step {
        if self.patterns.is_empty() {
            return Step::Take;
        }
        let mut front = Front(Vec::new());
        for index in 0..self.patterns.len() {
            self.reach(&mut front, index, 0);
        }
        Step::Enter(front)
    }

    /// What the patterns say about the entry `name` of a directory in which they were at `front`.
    pub(crate) fn step(&self, front: &Front, name: &str, holds: Holds) -> Step {
        let mut next = Front(Vec::new());
        for &(index, at) in &front.0 {
            let pattern = &self.patterns[index];
            let matched = match &pattern.parts[at] {
                Part::Name(wanted) => wanted == name,
                Part::Glob(glob) => glob_matches(glob, name),
                Part::AnyDepth => {
                    self.reach(&mut next, index, at);
                    continue;
                }
            };
            if !matched {
                continue;
            }
            if at + 1 < pattern.parts.len() {
                self.reach(&mut next, index, at + 1);
            } else if holds == Holds::Nothing || pattern.takes_directories {
                return Step::Take;
            }
        }
        match holds {
            Holds::Entries if !next.0.is_empty() => Step::Enter(next),
            _ => Step::Skip,
        }
    }

    /// Adds a position, and the ones after it that `**` reaches by standing for nothing.
    fn reach(&self, front: &mut Front, index: usize, mut at: usize) {
        loop {
            if front.0.contains(&(index, at)) {
                return;
            }
            front.0.push((index, at));
            match self.patterns[index].parts.get(at) {
                Some(Part::AnyDepth) => at += 1,
                _ => return,
            }
        }
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, PatternError> {
        let pattern = || text.escape_debug().to_string();
        let path = RelPath::new(text.strip_suffix('/').unwrap_or(text))
            .map_err(|source| PatternError::Path { pattern: pattern(), source })?;
        if text.contains(['[', '{', '!', '\\']) {
            return Err(PatternError::Reserved { pattern: pattern() });
        }
        let mut parts: Vec<Part> = path.components().map(Part::new).collect();
        let takes_directories = match parts.last_mut() {
            Some(Part::Glob(_)) | None => false,
            Some(Part::Name(_)) => true,
            // At the end it stands for at least one component: everything in there.
            Some(last @ Part::AnyDepth) => {
                *last = Part::Glob(vec!['*']);
                true
            }
        };
        parts.dedup_by(|a, b| *a == Part::AnyDepth && *b == Part::AnyDepth);
        Ok(Self { parts, takes_directories })
    }
}

impl Part {
    fn new(text: &str) -> Self {
        match text {
            "**" => Self::AnyDepth,
            glob if glob.contains(['*', '?']) => Self::Glob(glob.chars().collect()),
            name => Self::Name(name.to_owned()),
        }
    }
}

/// `*` is any run of characters, `?` any one. Linear apart from the last `*` seen.
fn glob_matches(glob: &[char], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut g, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                retry = Some((g + 1, n));
                g += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                g += 1;
                n += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    (g, n) = (after_star, from + 1);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether the file `path` is meant.
    fn takes(patterns: &[&str], path: &str) -> bool {
        let patterns = PathPatterns::new(patterns).unwrap();
        let mut step = patterns.start();
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            let holds = if names.peek().is_some() { Holds::Entries } else { Holds::Nothing };
            step = match step {
                Step::Take => return true,
                Step::Skip => return false,
                Step::Enter(front) => patterns.step(&front, name, holds),
            };
        }
        step == Step::Take
    }

    #[test]
    fn plain_paths_take_what_is_below() {
        assert!(takes(&["src"], "src/a/b.c"));
        assert!(takes(&["src/a/b.c"], "src/a/b.c"));
        assert!(takes(&["src/"], "src/x"));
        assert!(!takes(&["src"], "src2/x"));
        assert!(!takes(&["src/a"], "src"));
        assert!(takes(&[], "any/thing"));
    }

    #[test]
    fn globs_stay_within_a_component() {
        assert!(takes(&["src/*.c"], "src/a.c"));
        assert!(!takes(&["src/*.c"], "src/a/b.c"));
        assert!(!takes(&["src/*"], "src/a/b.c"));
        assert!(takes(&["lib/*/include"], "lib/x/include/deep/y.h"));
        assert!(takes(&["?akefile"], "Makefile"));
        assert!(!takes(&["**/*.c"], "a.c/b.h"));
    }

    #[test]
    fn two_stars_cross_components() {
        assert!(takes(&["**/Kconfig"], "Kconfig"));
        assert!(takes(&["**/Kconfig"], "a/b/Kconfig"));
        assert!(takes(&["a/**/z"], "a/z"));
        assert!(takes(&["a/**/z"], "a/b/c/z/below"));
        assert!(takes(&["a/**"], "a/b"));
        assert!(!takes(&["a/**"], "a"));
        assert!(takes(&["**"], "a/b/c"));
        assert!(takes(&["a/**/**/z"], "a/z"));
    }

    #[test]
    fn refuses_what_is_not_a_path_below_the_root() {
        for bad in ["", "/etc", "../x", "a//b", "a[bc]", "!a", "a\\*", "{a,b}"] {
            assert!(PathPatterns::new([bad]).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_star_matches_any_run(before in "[ab]{0,4}", run in "[ab]{0,6}", after in "[ab]{1,4}") {
            let glob: Vec<char> = format!("{before}*{after}").chars().collect();
            let name = format!("{before}{run}{after}");
            prop_assert!(glob_matches(&glob, &name));
            let other = format!("{name}c");
            prop_assert!(!glob_matches(&glob, &other));
        }
    }
}
