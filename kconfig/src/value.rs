//! What a symbol can be set to, as a `.config` spells it.

use std::fmt;
use std::str::FromStr;

use crate::shown::breaks_the_line;

/// Longest string value in bytes, written with its escapes.
pub const STRING_MAX_B: usize = 64 * 1024 - 512;
const NUMBER_MAX_B: usize = 128;

/// The value of one symbol.
///
/// Prints as in a `.config`: `y`, `0x1F`, `"text with \" and \\"`; [`FromStr`] accepts the same.
/// Numbers keep the spelling they came with, and two spellings of one number are not equal; see
/// [`Value::means`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Off: `n`, in a file `# CONFIG_X is not set`.
    No,
    /// Built as a module.
    Module,
    /// On.
    Yes,
    /// Decimal number: digits, perhaps after a `-`.
    Int(Literal),
    /// Hexadecimal number: `0x` and digits.
    Hex(Literal),
    /// String, without quotes and escapes.
    Text(Literal),
}

/// Checked text inside a [`Value`], which alone makes it.
///
/// Holds no `$`, no control character and no line separator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Literal(String);

/// The text cannot be the value of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Neither `y`, `m`, `n`, a number nor a quoted string.
    #[error("the value is neither `y`, `m`, `n`, a number nor a string in double quotes")]
    Malformed,
    /// A string that make would not take literally.
    #[error("the string contains `$`, which make would expand")]
    Dollar,
    /// A string that is more than one plain line.
    #[error("the string contains a control character or a line separator")]
    Control,
    /// A string that no line of a `.config` can hold.
    #[error("the string is longer than {STRING_MAX_B} bytes")]
    TooLong,
}

impl Value {
    /// Makes the value of a string symbol from plain text, without quotes and escapes.
    ///
    /// # Errors
    /// [`ValueError`] for text that must not reach make: the normalised configuration is included
    /// by makefiles (Klipper's does it at its top), and there `$(shell …)` runs. Quotes do not
    /// help, make does not know them. Doubling the `$` does not either: the Kconfig tools, which
    /// read the same file, would take both. So such text is refused, not escaped.
    pub fn text(text: impl Into<String>) -> Result<Self, ValueError> {
        let text = text.into();
        let escapes = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        if text.len() + escapes > STRING_MAX_B {
            Err(ValueError::TooLong)
        } else if text.contains('$') {
            Err(ValueError::Dollar)
        } else if text.contains(breaks_the_line) {
            Err(ValueError::Control)
        } else {
            Ok(Self::Text(Literal(text)))
        }
    }

    /// Makes the value of an int symbol.
    pub fn int(number: i64) -> Self {
        Self::Int(Literal(number.to_string()))
    }

    /// Makes the value of a hex symbol, spelled in lower case without leading zeros.
    pub fn hex(number: u64) -> Self {
        Self::Hex(Literal(format!("{number:#x}")))
    }

    /// Whether a symbol asked to be `self` got it when it is `got`.
    ///
    /// Numbers compare by value, everything else exactly. A decimal spelling that came back as
    /// hexadecimal belongs to a hex symbol, whose digits every Kconfig tool reads to base 16:
    /// `10` means `0x10` there.
    pub fn means(&self, got: &Self) -> bool {
        match (self, got) {
            (Self::Int(a), Self::Int(b)) => signed_digits(&a.0) == signed_digits(&b.0),
            (Self::Hex(a) | Self::Int(a), Self::Hex(b)) => {
                hex_digits(&a.0).eq_ignore_ascii_case(hex_digits(&b.0))
            }
            (Self::Hex(a), Self::Int(b)) => {
                u128::from_str_radix(hex_digits(&a.0), 16).is_ok_and(|a| b.0.parse() == Ok(a))
            }
            (a, b) => a == b,
        }
    }
}

impl Literal {
    /// The digits as spelled, or the text without quotes and escapes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ValueError {
    /// Says what to do next.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Malformed => "write `y`, `m`, `n`, digits, `0x…` or `\"text\"`".to_owned(),
            Self::Dollar => {
                "remove the `$`: make includes the configuration and would expand it".to_owned()
            }
            Self::Control => "keep the string on one line of printable text".to_owned(),
            Self::TooLong => "shorten the string".to_owned(),
        })
    }
}

/// Whether it is negative, and the digits that count.
fn signed_digits(number: &str) -> (bool, &str) {
    let digits = number.trim_start_matches('-').trim_start_matches('0');
    (number.starts_with('-') && !digits.is_empty(), digits)
}

/// The digits that count, `0` for none.
fn hex_digits(number: &str) -> &str {
    let digits = number.trim_start_matches("0x").trim_start_matches("0X").trim_start_matches('0');
    if digits.is_empty() { "0" } else { digits }
}

fn is_int(spelling: &str) -> bool {
    let digits = spelling.strip_prefix('-').unwrap_or(spelling);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_hex(spelling: &str) -> bool {
    spelling
        .strip_prefix("0x")
        .or_else(|| spelling.strip_prefix("0X"))
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The text between the quotes, its escapes undone. `None` unless the one quote that is not
/// escaped is the last character.
fn unquote(spelling: &str) -> Option<String> {
    let mut rest = spelling.strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match rest.next()? {
            '"' => return rest.as_str().is_empty().then_some(text),
            '\\' => text.push(rest.next()?),
            plain => text.push(plain),
        }
    }
}

impl FromStr for Value {
    type Err = ValueError;

    fn from_str(spelling: &str) -> Result<Self, ValueError> {
        match spelling {
            "n" => Ok(Self::No),
            "m" => Ok(Self::Module),
            "y" => Ok(Self::Yes),
            quoted if quoted.starts_with('"') => {
                Self::text(unquote(quoted).ok_or(ValueError::Malformed)?)
            }
            long if long.len() > NUMBER_MAX_B => Err(ValueError::Malformed),
            int if is_int(int) => Ok(Self::Int(Literal(int.to_owned()))),
            hex if is_hex(hex) => Ok(Self::Hex(Literal(hex.to_owned()))),
            _ => Err(ValueError::Malformed),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("n"),
            Self::Module => f.write_str("m"),
            Self::Yes => f.write_str("y"),
            Self::Int(Literal(number)) | Self::Hex(Literal(number)) => f.write_str(number),
            Self::Text(Literal(text)) => {
                write!(f, "\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(spelling: &str) -> Value {
        spelling.parse().unwrap()
    }

    #[test]
    fn every_kind_prints_as_it_is_read() {
        for spelling in ["y", "m", "n", "0", "-12", "08", "0x1F", "0XFF", r#""""#, r#""a \" \\ b""#]
        {
            assert_eq!(value(spelling).to_string(), spelling);
        }
        assert_eq!(value(r#""a \" \\ b""#), Value::text(r#"a " \ b"#).unwrap());
        assert_eq!(value(r#""\a""#).to_string(), r#""a""#);
        assert_eq!(Value::int(-3).to_string(), "-3");
        assert_eq!(Value::hex(0x0800_2000).to_string(), "0x8002000");
    }

    #[test]
    fn half_values_are_no_values() {
        for spelling in [
            "",
            "Y",
            "yes",
            "y ",
            " y",
            "-",
            "0x",
            "0xG",
            "1.5",
            "1 2",
            "--1",
            "\"",
            "\"a",
            "a\"",
            "\"a\"b",
            "\"a\" ",
            "\"a\\\"",
            "'a'",
            "$(shell id)",
            "y\0",
            "1\\",
        ] {
            assert_eq!(spelling.parse::<Value>(), Err(ValueError::Malformed), "{spelling:?}");
        }
    }

    #[test]
    fn strings_that_make_would_expand_are_refused() {
        for text in ["$(shell id)", "${X}", "$X", "$$", "a$", "\\$(X)"] {
            assert_eq!(Value::text(text), Err(ValueError::Dollar), "{text:?}");
            assert_eq!(format!("\"{text}\"").parse::<Value>(), Err(ValueError::Dollar));
        }
        for text in ["\n", "\r", "\t", "\0", "\x0c", "\x7f", "\u{85}", "\u{2028}", "\u{2029}"] {
            assert_eq!(Value::text(text), Err(ValueError::Control), "{text:?}");
        }
        assert!(Value::text("#`;é\u{1F600}").is_ok());
    }

    #[test]
    fn the_longest_string_counts_its_escapes() {
        assert!(Value::text("a".repeat(STRING_MAX_B)).is_ok());
        assert_eq!(Value::text("a".repeat(STRING_MAX_B + 1)), Err(ValueError::TooLong));
        assert_eq!(Value::text("\\".repeat(STRING_MAX_B / 2 + 1)), Err(ValueError::TooLong));
    }

    #[test]
    fn numbers_compare_by_value_and_strings_exactly() {
        for (asked, got, same) in [
            ("0x08", "0x8", true),
            ("0xAB", "0XaB", true),
            ("0x0", "0x00", true),
            ("0x8", "0x9", false),
            ("007", "7", true),
            ("-0", "0", true),
            ("-1", "1", false),
            ("8", "0x8", true),
            ("10", "0x10", true),
            ("10", "0xa", false),
            ("0x10", "16", true),
            ("0x10", "10", false),
            ("y", "m", false),
            ("n", "0", false),
            ("\"1\"", "1", false),
            ("\"0x08\"", "\"0x8\"", false),
            ("\"a\"", "\"A\"", false),
        ] {
            assert_eq!(value(asked).means(&value(got)), same, "{asked} {got}");
        }
        let long = "9".repeat(100);
        assert!(value(&long).means(&value(&format!("0{long}"))));
        assert!(!value(&format!("0x{long}")).means(&value(&long)));
    }

    proptest! {
        #[test]
        fn any_accepted_string_round_trips(
            text in proptest::collection::vec(any::<char>(), 0..40),
        ) {
            if let Ok(value) = Value::text(text.into_iter().collect::<String>()) {
                prop_assert_eq!(value.to_string().parse(), Ok(value));
            }
        }

        #[test]
        fn any_accepted_spelling_means_itself(spelling in "[-0-9a-fx\"ymn\\\\]{0,8}") {
            if let Ok(value) = spelling.parse::<Value>() {
                prop_assert!(value.means(&value));
                prop_assert_eq!(value.to_string().parse(), Ok(value));
            }
        }
    }
}
