//! Sizes and durations as people write them: `512M`, `30m`.

use std::fmt;
use std::time::Duration;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes: an integer, or text with a binary suffix `K`, `M`, `G` or `T`.
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

const SIZE_FORM: &str = "a size: write bytes, or a number with K, M, G or T, as in `512M`";
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
        scaled(text, &[('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)])
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
        let steps = [("T", 1_u64 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];
        match steps.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((suffix, factor)) => write!(f, "{}{suffix}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

struct QuantityVisitor<T>(&'static str, fn(u64) -> T);

impl<T: std::str::FromStr<Err = QuantityError>> Visitor<'_> for QuantityVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<T, E> {
        u64::try_from(value).map(self.1).map_err(|_| E::custom(format!("`{value}` is negative")))
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
    fn sizes_and_spans_read_as_written() {
        assert_eq!("512M".parse(), Ok(ByteSize(512 << 20)));
        assert_eq!("7".parse(), Ok(ByteSize(7)));
        assert_eq!("90".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("2m".parse(), Ok(Span(Duration::from_mins(2))));
        for bad in ["", "M", "-1", "1.5G", "1X", "99999999999T"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad:?}");
        }
        assert_eq!(ByteSize(3 << 30).to_string(), "3G");
    }
}
