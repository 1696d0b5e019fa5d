//! The names in a configuration: symbols, and the prefix they carry in a file.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::shown::shown;

/// Longest symbol in bytes.
pub const SYMBOL_MAX_B: usize = 255;
const PREFIX_MAX_B: usize = 32;

/// A Kconfig symbol without its prefix: `MACH_STM32`, not `CONFIG_MACH_STM32`.
///
/// Starts with an ASCII letter, digit or `_`; the rest may also be `-` or `.`. Make gives none of
/// these a meaning inside a variable's name. Orders by bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(String);

/// What stands before each symbol in a `.config`. `CONFIG_` unless a project chose another.
///
/// ASCII letters, digits and `_`, beginning with a letter. Never empty: without a prefix, a line
/// of a configuration could set a variable that make itself obeys, such as `SHELL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// The text is not a name of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` cannot be {kind}: it {reason}")]
pub struct NameError {
    shown: String,
    kind: &'static str,
    reason: &'static str,
}

impl Symbol {
    /// Checks `name` and takes it.
    ///
    /// # Errors
    /// [`NameError`] naming the rule that was broken.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        match broken_symbol_rule(&name) {
            Some(reason) => Err(NameError::new(&name, "a symbol", reason)),
            None => Ok(Self(name)),
        }
    }

    /// The name, without a prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prefix {
    /// Checks `text` and takes it.
    ///
    /// # Errors
    /// [`NameError`] naming the rule that was broken.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let reason = if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
            "does not begin with a letter"
        } else if text.len() > PREFIX_MAX_B {
            "is longer than 32 bytes"
        } else if !text.bytes().all(plain) {
            "contains something else than letters, digits and `_`"
        } else {
            return Ok(Self(text));
        };
        Err(NameError::new(&text, "a prefix of symbols", reason))
    }

    /// The prefix, with its `_` if it has one.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("CONFIG_".to_owned())
    }
}

impl NameError {
    pub(crate) fn new(text: &str, kind: &'static str, reason: &'static str) -> Self {
        Self { shown: shown(text), kind, reason }
    }

    /// Says what to do next.
    pub fn help(&self) -> Option<String> {
        Some("write the name as the project's Kconfig files spell it".to_owned())
    }
}

pub(crate) fn is_symbol_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn broken_symbol_rule(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > SYMBOL_MAX_B {
        Some("is longer than 255 bytes")
    } else if name.starts_with(['-', '.']) {
        Some("begins with `-` or `.`")
    } else if !name.bytes().all(is_symbol_byte) {
        Some("contains something else than letters, digits, `_`, `-` and `.`")
    } else {
        None
    }
}

impl FromStr for Symbol {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Symbol {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_make_would_read_as_something_else_are_no_symbols() {
        for name in ["", "A B", "A:", "A+", "A=", "A$", "A#", ".SHELL", "-A", "A\n", "A\\", "Ä"] {
            assert!(Symbol::new(name).is_err(), "{name:?}");
        }
        for name in ["A", "64BIT", "_A", "PACKAGE_kmod-usb2", "lua5.3"] {
            assert_eq!(Symbol::new(name).unwrap().to_string(), name);
        }
        assert!(Symbol::new("A".repeat(SYMBOL_MAX_B)).is_ok());
        assert!(Symbol::new("A".repeat(SYMBOL_MAX_B + 1)).is_err());
    }

    #[test]
    fn a_prefix_is_never_empty_and_never_more_than_a_word() {
        for text in ["", "_", "8X_", "A-", "A B", "$(X)", "Ä_"] {
            assert!(Prefix::new(text).is_err(), "{text:?}");
        }
        assert_eq!(Prefix::default(), Prefix::new("CONFIG_").unwrap());
        assert_eq!(Prefix::new("CT_").unwrap().as_str(), "CT_");
    }

    #[test]
    fn messages_never_carry_control_characters() {
        let error = Symbol::new(format!("\x1b[2J\n{}", "é".repeat(500))).unwrap_err();
        let message = error.to_string();
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(message.chars().count() < 300);
    }
}
