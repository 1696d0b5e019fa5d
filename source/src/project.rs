//! Names of projects.

use std::fmt;
use std::str::FromStr;

use kbs_plan::error::{Class, Help};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

const NAME_MAX_B: usize = 64;
/// What stands between a project's name and the number of one of its submodules' repositories.
pub(crate) const SUBMODULE_MARK: &str = ".sub.";

/// A project's name: 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, beginning with a letter or digit.
///
/// It is one component of a ref, so `..`, a final `.` and a final `.lock` are refused too, and
/// `.sub.`, which names the repositories of submodules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ProjectName(String);

/// The text cannot name a project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot name a project: it {reason}")]
pub struct ProjectNameError {
    name: String,
    reason: &'static str,
}

impl Help for ProjectNameError {
    fn class(&self) -> Class {
        Class::User
    }
}

impl ProjectName {
    /// Checks `text` and takes it.
    ///
    /// # Errors
    /// [`ProjectNameError`] naming the rule that was broken.
    pub fn new(text: impl Into<String>) -> Result<Self, ProjectNameError> {
        let name = text.into();
        match broken_rule(&name) {
            None => Ok(Self(name)),
            Some(reason) => Err(ProjectNameError { name: name.escape_debug().to_string(), reason }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn broken_rule(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > NAME_MAX_B {
        return Some("is not 1 to 64 characters long");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        return Some("does not begin with a lowercase letter or a digit");
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if !name.chars().all(plain) {
        return Some("has other characters than `a-z`, `0-9`, `.`, `_` and `-`");
    }
    if name.contains("..") || name.ends_with('.') || name.strip_suffix(".lock").is_some() {
        return Some("is not a git ref component");
    }
    name.contains(SUBMODULE_MARK).then_some("contains `.sub.`, which names submodules")
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for ProjectName {
    type Err = ProjectNameError;

    fn from_str(text: &str) -> Result<Self, ProjectNameError> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for ProjectName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_always_a_ref_component() {
        for good in ["klipper", "u-boot", "0", "a.b_c-d", "x.sub"] {
            assert!(ProjectName::new(good).is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        for bad in [
            "", "-x", ".x", "X", "a b", "a/b", "a..b", "a.", "a.lock", "a.sub.1", "a\n", "ä", &long,
        ] {
            assert!(ProjectName::new(bad).is_err(), "{bad}");
        }
    }
}
