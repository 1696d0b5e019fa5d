//! Numbers as the tools read them.

use crate::dialect::Tool;
use crate::tree::Kind;

/// The base of a kind of number; 0 looks at the prefix.
pub(crate) fn base(kind: Kind) -> u32 {
    match kind {
        Kind::Int => 10,
        Kind::Hex => 16,
        _ => 0,
    }
}

/// The number that `text` is, as a whole.
pub(crate) fn number(text: &str, base: u32, tool: Tool) -> Option<i128> {
    match tool {
        Tool::Kconfiglib => python(text, base),
        Tool::Conf => match c(text, base) {
            (number, "") if text.ends_with(|last: char| last.is_ascii_hexdigit()) => Some(number),
            _ => None,
        },
    }
}

/// The number at the start of `text`, 0 if there is none.
pub(crate) fn leading(text: &str, base: u32, tool: Tool) -> i128 {
    match tool {
        Tool::Kconfiglib => python(text, base).unwrap_or(0),
        Tool::Conf => c(text, base).0,
    }
}

/// As `int(text, base)`: blanks around, single underscores between digits.
fn python(text: &str, base: u32) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = sign(text);
    let (mut digits, prefix) = match (digits.get(..2), base) {
        (Some("0x" | "0X"), 0 | 16) => (&digits[2..], 16),
        (Some("0o" | "0O"), 0) => (&digits[2..], 8),
        (Some("0b" | "0B"), 0) => (&digits[2..], 2),
        (_, 0) => (digits, 0),
        (_, base) => (digits, base),
    };
    let prefixed = prefix != 0 && digits.len() < sign(text).1.len();
    if prefixed {
        digits = digits.strip_prefix('_').unwrap_or(digits);
    }
    let base = if prefix == 0 {
        // Without a prefix, only zero may begin with one.
        if digits.starts_with('0') && digits.contains(|c: char| c != '0' && c != '_') {
            return None;
        }
        10
    } else {
        prefix
    };
    if digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    // What is left of the sign belongs to the number for `from_str_radix`, never for the tools.
    if !plain.starts_with(|first: char| first.is_digit(base)) {
        return None;
    }
    let value = i128::from_str_radix(&plain, base).ok()?;
    Some(if negative { -value } else { value })
}

/// As `strtoll(text, &rest, base)`.
fn c(text: &str, base: u32) -> (i128, &str) {
    let start = text.trim_start();
    let (negative, digits) = sign(start);
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_hexdigit()));
    let (base, digits) = match (hex, base) {
        (Some(rest), 0 | 16) => (16, rest),
        (None, 0) if digits.starts_with('0') => (8, digits),
        (_, 0) => (10, digits),
        (_, base) => (base, digits),
    };
    let length = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
    if length == 0 {
        return (0, text);
    }
    let limit = i128::from(i64::MAX);
    let value = i128::from_str_radix(&digits[..length], base).unwrap_or(limit).min(limit);
    (if negative { -value } else { value }, &digits[length..])
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Whether a person may set an int or hex symbol to `text`.
pub(crate) fn is_settable(text: &str, kind: Kind, tool: Tool) -> bool {
    match (tool, kind) {
        (Tool::Kconfiglib, Kind::Hex) => python(text, 16).is_some_and(|number| number >= 0),
        (Tool::Kconfiglib, _) => python(text, 10).is_some(),
        (Tool::Conf, Kind::Hex) => {
            let digits =
                text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        (Tool::Conf, _) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            !digits.is_empty()
                && (digits == "0" || !digits.starts_with('0'))
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_reads_numbers_its_own_way() {
        let python = |text, base| number(text, base, Tool::Kconfiglib);
        assert_eq!(python("0x10", 16), Some(16));
        assert_eq!(python(" 1_0 ", 10), Some(10));
        assert_eq!(python("010", 0), None);
        assert_eq!(python("0b11", 0), Some(3));
        assert_eq!(python("0x_1", 0), Some(1));
        assert_eq!(python("--1", 10), None);
        assert_eq!(python("", 10), None);
        assert_eq!(python("0x", 16), None);
        let c = |text, base| number(text, base, Tool::Conf);
        assert_eq!(c("010", 0), Some(8));
        assert_eq!(c("0x1f", 0), Some(31));
        assert_eq!(c("12x", 10), None);
        assert_eq!(leading("12x", 10, Tool::Conf), 12);
        assert_eq!(leading("", 10, Tool::Conf), 0);
    }
}
