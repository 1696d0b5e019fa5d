//! Sizes and durations as people write them: `512M`, `30m`.

use std::fmt;
use std::time::Duration;

use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes: an integer, or text with a binary suffix `K`, `M`, `G` or `T`, which may be
/// spelled `KiB` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A time span: an integer of seconds, or text with a suffix `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// The text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct QuantityError {
    text: String,
    wanted: &'static str,
}

impl ByteSize {
    /// Shows it to one decimal place, as in `412 B` or `3.1 MiB`: for what was measured.
    pub fn rounded(self) -> impl fmt::Display {
        let Self(bytes) = self;
        let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.iter().find(|(unit, _)| bytes >= *unit) {
            // Tenths in integers: exact at any size.
            Some((unit, name)) => {
                let tenths = bytes / unit * 10 + bytes % unit * 10 / unit;
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            }
            None => format!("{bytes} B"),
        }
    }
}

const SIZE_FORM: &str =
    "a size: write bytes, or a number with K, M, G or T, as in `512M` or `512MiB`";
const SPAN_FORM: &str = "a time span: write seconds, or a number with s, m, h or d, as in `30m`";

fn scaled(text: &str, factors: &[(char, u64)]) -> Option<u64> {
    let text = text.trim();
    let (digits, factor) = match text.chars().last()? {
        last if last.is_ascii_digit() => (text, 1),
        last => {
            let (_, factor) =
                factors.iter().find(|(suffix, _)| suffix.eq_ignore_ascii_case(&last))?;
            (&text[..text.len() - 1], *factor)
        }
    };
    digits.trim_end().parse::<u64>().ok()?.checked_mul(factor)
}

impl std::str::FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let factors = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];
        // Only after a letter: a bare `iB` would be no unit.
        let short =
            text.trim().strip_suffix("iB").filter(|short| short.ends_with(char::is_alphabetic));
        scaled(short.unwrap_or(text), &factors)
            .map(Self)
            .ok_or_else(|| QuantityError { text: text.to_owned(), wanted: SIZE_FORM })
    }
}

impl std::str::FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        scaled(text, &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)])
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(|| QuantityError { text: text.to_owned(), wanted: SPAN_FORM })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = [("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];
        write_scaled(f, self.0, &steps, "")
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.0.as_secs(), &[("d", 86_400), ("h", 3600), ("m", 60)], "s")
    }
}

/// Writes a number in the largest unit that has no remainder, else in the smallest, `unit`.
fn write_scaled(
    f: &mut fmt::Formatter<'_>,
    number: u64,
    steps: &[(&str, u64)],
    unit: &str,
) -> fmt::Result {
    match steps.iter().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor)) {
        Some((suffix, factor)) => write!(f, "{}{suffix}", number / factor),
        None => write!(f, "{number}{unit}"),
    }
}

struct QuantityVisitor<T>(&'static str, fn(u64) -> T);

impl<T: std::str::FromStr<Err = QuantityError>> Visitor<'_> for QuantityVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<T, E> {
        let number = u64::try_from(value);
        number.map(self.1).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<T, E> {
        Ok((self.1)(value))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor(SIZE_FORM, ByteSize))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        let span = deserializer.deserialize_any(QuantityVisitor(SPAN_FORM, seconds))?;
        if span.0.is_zero() {
            Err(D::Error::custom("a time span cannot be zero"))
        } else {
            Ok(span)
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_shown_to_one_place() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3_355_443, "3.1 MiB")];
        for (bytes, text) in cases {
            assert_eq!(ByteSize(bytes).rounded().to_string(), text);
        }
        assert_eq!(ByteSize(u64::MAX).rounded().to_string(), "17179869183.9 GiB");
    }

    #[test]
    fn sizes_and_spans_read_as_written() {
        assert_eq!("512M".parse(), Ok(ByteSize(512 << 20)));
        assert_eq!("7".parse(), Ok(ByteSize(7)));
        assert_eq!("90".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("2m".parse(), Ok(Span(Duration::from_mins(2))));
        assert_eq!("8GiB".parse(), Ok(ByteSize(8 << 30)));
        for bad in ["", "M", "-1", "1.5G", "1X", "99999999999T", "iB", "1iB", "1GB", "GiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad:?}");
        }
        for text in ["0", "7", "3G", "1025", "5K"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        for text in ["90s", "2m", "36h", "7d", "61m"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }
}
