//! Paths inside a tree: relative, plain, and the same on every machine.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// Longest path in bytes.
pub const PATH_MAX_B: usize = 4095;
/// Longest component in bytes.
pub const NAME_MAX_B: usize = 255;

/// A relative path of plain components: no `.`, `..`, empty component, NUL or trailing slash.
///
/// Orders by bytes. The root itself has no spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RelPath(String);

/// The text is not a path that a tree can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` cannot be a path in a tree: it {reason}")]
pub struct PathError {
    path: String,
    reason: &'static str,
}

impl RelPath {
    /// Checks `text` and takes it.
    ///
    /// # Errors
    /// [`PathError`] naming the rule that was broken.
    pub fn new(text: impl Into<String>) -> Result<Self, PathError> {
        let path = text.into();
        match broken_rule(&path) {
            Some(reason) => Err(PathError { path, reason }),
            None => Ok(Self(path)),
        }
    }

    /// Takes the raw bytes of a path.
    ///
    /// # Errors
    /// [`PathError`], also where the bytes are not UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::new(text),
            Err(_) => Err(PathError {
                path: String::from_utf8_lossy(bytes).escape_debug().to_string(),
                reason: "is not UTF-8",
            }),
        }
    }

    /// The path as text, components parted by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path for file system calls, relative.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The components, first to last.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The path one level up, `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// This path with `name` below it.
    ///
    /// # Errors
    /// [`PathError`] where `name` is not one or more plain components.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        Self::new(format!("{}/{name}", self.0))
    }

    /// Whether this is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn broken_rule(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.starts_with('/') {
        return Some("is absolute");
    }
    if path.len() > PATH_MAX_B {
        return Some("is longer than 4095 bytes");
    }
    if path.contains('\0') {
        return Some("contains a NUL byte");
    }
    path.split('/').find_map(|name| match name {
        "" => Some("has an empty component"),
        "." => Some("has a `.` component"),
        ".." => Some("has a `..` component"),
        long if long.len() > NAME_MAX_B => Some("has a component longer than 255 bytes"),
        _ => None,
    })
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for RelPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_leave_the_tree() {
        for bad in ["", "/etc", "..", "a/../b", "a//b", "a/", "./a", "a\0b"] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
        assert!(RelPath::new("x".repeat(256)).is_err());
        assert!(RelPath::from_bytes(b"a\xff").is_err());
    }

    #[test]
    fn within_respects_components() {
        let path = |text| RelPath::new(text).unwrap();
        assert!(path("src/a.c").is_within(&path("src")));
        assert!(path("src").is_within(&path("src")));
        assert!(!path("src2/a.c").is_within(&path("src")));
    }
}
