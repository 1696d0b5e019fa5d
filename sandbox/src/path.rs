//! Absolute paths inside the jail.

use std::{fmt, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

/// An absolute path inside the jail: `/`, or plain components each after one `/`.
///
/// There is no `.`, `..`, empty component, trailing slash or NUL in it, so joining it to a
/// directory cannot leave that directory (symbolic links are the opener's concern).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JailPath(String);

/// The text is not a path of the jail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an absolute path of plain components")]
pub struct JailPathError {
    /// What was given.
    pub text: String,
}

impl JailPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`JailPathError`] when it is relative or a component is not plain.
    pub fn new(text: &str) -> Result<Self, JailPathError> {
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        match text.strip_prefix('/') {
            Some(rest) if rest.is_empty() || rest.split('/').all(plain) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(JailPathError { text: text.to_owned() }),
        }
    }

    /// Returns the path as text, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path as the file system API wants it, with its leading slash.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Lists the components from the top; none for `/`.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// Says whether this is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.as_path().starts_with(other.as_path())
    }
}

impl fmt::Display for JailPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for JailPath {
    type Err = JailPathError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for JailPath {
    type Error = JailPathError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<JailPath> for String {
    fn from(path: JailPath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_absolute_plain_paths_are_paths() {
        for good in ["/", "/build", "/build/src/.config", "/a b/…", "/..a/b.."] {
            assert_eq!(JailPath::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "build", "./a", "//", "/a//b", "/a/", "/..", "/a/../b", "/a/.", "/a\0b"] {
            assert!(JailPath::new(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn within_goes_by_components() {
        let path = |text| JailPath::new(text).unwrap();
        assert!(path("/build/src").is_within(&path("/build")));
        assert!(path("/build").is_within(&path("/build")));
        assert!(!path("/buildings").is_within(&path("/build")));
    }

    proptest! {
        #[test]
        fn an_accepted_path_cannot_climb(text in "[/.a\0]{0,12}") {
            if let Ok(path) = JailPath::new(&text) {
                prop_assert!(path.components().all(|part| part != ".." && part != "."));
                prop_assert_eq!(JailPath::new(path.as_str()), Ok(path));
            }
        }
    }
}
