//! Which files of a tree are meant: plain paths and globs.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::path::RelPath;

/// A glob over paths: `*` and `?` stay inside a component, `**` crosses them.
///
/// A pattern without `/` matches a file of that name at any depth.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

/// The text is not a pattern.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{text}` is not a pattern: {reason}")]
pub struct PatternError {
    text: String,
    reason: String,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] where the glob is malformed, absolute or leads upwards.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let refuse = |reason: String| PatternError { text: text.to_owned(), reason };
        if text.is_empty() || text.starts_with('/') || text.split('/').any(|name| name == "..") {
            return Err(refuse("it must be a relative path that does not lead upwards".to_owned()));
        }
        let glob = if text.contains('/') { text.to_owned() } else { format!("**/{text}") };
        let matcher = GlobBuilder::new(&glob)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| refuse(error.kind().to_string()))?
            .compile_matcher();
        Ok(Self { text: text.to_owned(), matcher })
    }

    /// Whether `path` is meant.
    pub fn matches(&self, path: &RelPath) -> bool {
        self.matches_text(path.as_str())
    }

    /// Whether `path` is meant, which no tree may be able to hold: too long, or a lossy form of
    /// bytes that are not text.
    pub fn matches_text(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_matches_at_any_depth_and_a_path_only_there() {
        let matches = |pattern: &str, path: &str| {
            Pattern::new(pattern).unwrap().matches(&RelPath::new(path).unwrap())
        };
        assert!(matches("*.ko", "a/b/x.ko"));
        assert!(matches("*.ko", "x.ko"));
        assert!(matches("klipper.*", "klipper.elf.hex"));
        assert!(matches("arch/*/boot/bzImage", "arch/x86/boot/bzImage"));
        assert!(!matches("arch/*/boot/bzImage", "arch/x86/y/boot/bzImage"));
        assert!(matches("arch/**/bzImage", "arch/x86/y/boot/bzImage"));
        assert!(!matches("out/x", "sub/out/x"));
    }

    #[test]
    fn patterns_cannot_leave_the_tree() {
        for bad in ["", "/etc/*", "../x", "a/../b", "[", "a{"] {
            assert!(Pattern::new(bad).is_err(), "{bad:?}");
        }
    }
}
