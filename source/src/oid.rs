//! Git's own object names, typed.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of a git object name in bytes.
pub(crate) const OID_LEN: usize = 20;

/// The text is not a git object name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an object name of 40 lowercase hex digits")]
pub struct OidError {
    text: String,
}

fn decode(text: &str) -> Result<[u8; OID_LEN], OidError> {
    let error = || OidError { text: text.to_owned() };
    let lowercase = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !lowercase || text.len() != 2 * OID_LEN {
        return Err(error());
    }
    let id = gix::ObjectId::from_hex(text.as_bytes()).map_err(|_| error())?;
    id.as_slice().try_into().map_err(|_| error())
}

macro_rules! oids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; OID_LEN]);

        impl $name {
            /// Makes a name of bytes that were one before: a database row, a wire message.
            pub const fn from_bytes(bytes: [u8; OID_LEN]) -> Self {
                Self(bytes)
            }

            /// The raw name, 20 bytes.
            pub const fn as_bytes(&self) -> &[u8; OID_LEN] {
                &self.0
            }

            pub(crate) fn to_git(self) -> gix::ObjectId {
                gix::ObjectId::from_bytes_or_panic(&self.0)
            }

            pub(crate) fn from_git(id: &gix::oid) -> Self {
                Self(id.as_bytes().try_into().expect("only SHA-1 is compiled in: 20 bytes"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = OidError;

            fn from_str(text: &str) -> Result<Self, OidError> {
                decode(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

oids! {
    /// Names one commit: SHA-1, 40 lowercase hex digits as text.
    CommitId;
    /// Names any object: what a ref points at before tags are followed.
    AnyOid;
    /// Names the bytes of one file, or of a symbolic link's target, as git does.
    BlobOid;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_other_spellings() {
        for bad in ["", "abc", &"A".repeat(40), &"a".repeat(39), &"g".repeat(40)] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 20]) {
            let id = CommitId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<CommitId>().unwrap(), id);
            prop_assert_eq!(CommitId::from_git(&id.to_git()), id);
        }
    }
}
