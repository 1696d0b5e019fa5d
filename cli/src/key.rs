//! Keys as people give them: whole, shortened, or by an output's path.

use std::ffi::OsStr;
use std::path::Path;
use std::str::FromStr;

use kbs_plan::error::{Class, Help};
use kbs_plan::id::ID_LEN;

const DIGITS: usize = 2 * ID_LEN;
const DIGITS_MIN: usize = 4;

/// A key, or enough of its first digits, checked for form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyText(String);

/// The text cannot be a key.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is neither a key, nor 4 or more of its first digits, nor the path of an output")]
pub(crate) struct KeyError {
    text: String,
}

impl Help for KeyError {
    fn class(&self) -> Class {
        Class::User
    }

    fn help(&self) -> Option<String> {
        Some("see `kbs ls` and `kbs ls --failed`".to_owned())
    }
}

impl KeyText {
    /// What a request carries: `key:` and all digits, or the first digits alone.
    pub(crate) fn to_wire(&self) -> String {
        if self.0.len() == DIGITS { format!("key:{}", self.0) } else { self.0.clone() }
    }
}

impl FromStr for KeyText {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.strip_prefix("key:").unwrap_or(text);
        if is_hex(digits) && (DIGITS_MIN..=DIGITS).contains(&digits.len()) {
            return Ok(Self(digits.to_owned()));
        }
        of_path(Path::new(text)).map(Self).ok_or_else(|| KeyError { text: text.to_owned() })
    }
}

/// The digits in the name of the output directory that `path` is, is in, or points to.
fn of_path(path: &Path) -> Option<String> {
    let pointed = std::fs::read_link(path).ok();
    let real = std::fs::canonicalize(path).ok();
    [Some(path.to_owned()), pointed, real]
        .into_iter()
        .flatten()
        .find_map(|path| path.ancestors().filter_map(Path::file_name).find_map(of_name))
}

fn of_name(name: &OsStr) -> Option<String> {
    let (digits, _) = name.to_str()?.split_once('-')?;
    (digits.len() == DIGITS && is_hex(digits)).then(|| digits.to_owned())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_keys_and_first_digits_are_taken() {
        let digits = "ab".repeat(ID_LEN);
        let wire = |text: &str| text.parse::<KeyText>().unwrap().to_wire();
        assert_eq!(wire(&format!("key:{digits}")), format!("key:{digits}"));
        assert_eq!(wire(&digits), format!("key:{digits}"));
        assert_eq!(wire("0123"), "0123");
        assert_eq!(wire("key:0123a"), "0123a");
    }

    #[test]
    fn outputs_and_links_to_them_are_keys() {
        let dir = tempfile::tempdir().unwrap();
        let digits = "0f".repeat(ID_LEN);
        let output = dir.path().join(format!("{digits}-klipper-v1"));
        std::fs::create_dir(&output).unwrap();
        let link = dir.path().join("result");
        std::os::unix::fs::symlink(&output, &link).unwrap();
        for path in [output.clone(), output.join("out/klipper.bin"), link.clone()] {
            let key: KeyText = path.to_str().unwrap().parse().unwrap();
            assert_eq!(key.0, digits, "{}", path.display());
        }
        std::fs::remove_dir(&output).unwrap();
        assert_eq!(link.to_str().unwrap().parse::<KeyText>().unwrap().0, digits, "a dangling link");
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        let long = "a".repeat(DIGITS + 1);
        for bad in ["", "abc", "ABCD", "tree:abcd", "no/such/path", long.as_str()] {
            assert!(bad.parse::<KeyText>().is_err(), "{bad:?}");
        }
    }
}
