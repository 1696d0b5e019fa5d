//! Names for groups of symbols.

use std::fmt;
use std::str::FromStr;

use crate::symbol::{NameError, SYMBOL_MAX_B, Symbol, is_symbol_byte};

/// A symbol, or a glob for several: `MCU`, `MACH_*`. `*` stands for any text, also none.
///
/// Never begins with `CONFIG_`: symbols carry no prefix here, such a pattern would silently match
/// nothing and protect nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// Checks `text` and takes it.
    ///
    /// # Errors
    /// [`NameError`] naming the rule that was broken.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let reason = if text.is_empty() {
            "is empty"
        } else if text.len() > SYMBOL_MAX_B {
            "is longer than 255 bytes"
        } else if text.starts_with("CONFIG_") {
            "begins with `CONFIG_`, which symbols have only in files"
        } else if !text.bytes().all(|byte| byte == b'*' || is_symbol_byte(byte)) {
            "contains something else than letters, digits, `_`, `-`, `.` and `*`"
        } else {
            return Ok(Self(text));
        };
        Err(NameError::new(&text, "a pattern for symbols", reason))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `symbol` is one of those meant.
    pub fn matches(&self, symbol: &Symbol) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else {
            return self.0 == symbol.as_str();
        };
        let Some(mut name) = symbol.as_str().strip_prefix(head) else {
            return false;
        };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        for piece in middle.split('*') {
            // The leftmost match leaves the most for the pieces that follow.
            match name.find(piece) {
                Some(at) => name = &name[at + piece.len()..],
                None => return false,
            }
        }
        name.ends_with(tail)
    }
}

impl FromStr for Pattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, symbol: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(&Symbol::new(symbol).unwrap())
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, symbol, expected) in [
            ("MCU", "MCU", true),
            ("MCU", "MCU2", false),
            ("MACH_*", "MACH_AVR", true),
            ("MACH_*", "MACH_", true),
            ("MACH_*", "STM_MACH_", false),
            ("*_START", "FLASH_START", true),
            ("A*A", "A", false),
            ("A*A", "AA", true),
            ("A*B*C", "AxByBzC", true),
            ("A*B*C", "AxCyB", false),
            ("A*BC*C", "ABC", false),
            ("**", "X", true),
            ("*AB*AB", "xABAB", true),
            ("*AB*AB", "xAB", false),
        ] {
            assert_eq!(matches(pattern, symbol), expected, "{pattern} {symbol}");
        }
    }

    #[test]
    fn patterns_that_could_never_match_are_refused() {
        for text in ["", "CONFIG_MCU", "CONFIG_*", "MACH_?", "A B", "[AB]", "A$"] {
            assert!(Pattern::new(text).is_err(), "{text:?}");
        }
    }

    fn simple_match(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=name.len()).any(|n| simple_match(rest, &name[n..])),
            (Some((p, rest)), Some((n, name))) if p == n => simple_match(rest, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn globs_agree_with_the_textbook(pattern in "[AB*]{1,7}", name in "[AB]{1,9}") {
            prop_assert_eq!(
                matches(&pattern, &name),
                simple_match(pattern.as_bytes(), name.as_bytes())
            );
        }
    }
}
