//! Typed BLAKE3 ids: one implementation, kinds that cannot be mixed up.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of an id in bytes.
pub const ID_LEN: usize = 32;

/// Names what an [`Id`] identifies.
pub trait Kind: 'static {
    /// What stands before the colon in the text form.
    const PREFIX: &'static str;
    /// The BLAKE3 key-derivation context: ids of two kinds never share a hash.
    const CONTEXT: &'static str;
}

/// A 32-byte BLAKE3 hash naming one object of kind `K`.
///
/// The text form is `<prefix>:<64 lowercase hex digits>`; [`FromStr`] accepts that, and the bare
/// 64 digits.
pub struct Id<K> {
    bytes: [u8; ID_LEN],
    kind: PhantomData<fn() -> K>,
}

impl<K> Id<K> {
    /// Makes an id of bytes that were an id before: a database row, a wire message.
    pub const fn from_bytes(bytes: [u8; ID_LEN]) -> Self {
        Self { bytes, kind: PhantomData }
    }

    /// The raw hash, 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
        &self.bytes
    }

    /// The 64 lowercase hex digits without the prefix, as file names use them.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.bytes).to_hex().to_string()
    }
}

impl<K: Kind> Id<K> {
    /// Hashes `bytes` into an id of this kind.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = IdHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Hashes a stream of bytes into an [`Id`].
pub struct IdHasher<K> {
    hasher: blake3::Hasher,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> IdHasher<K> {
    /// Starts with no bytes.
    pub fn new() -> Self {
        Self { hasher: blake3::Hasher::new_derive_key(K::CONTEXT), kind: PhantomData }
    }

    /// Adds bytes; how they are split over calls does not matter.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The id of everything added so far.
    pub fn finish(&self) -> Id<K> {
        Id::from_bytes(*self.hasher.finalize().as_bytes())
    }
}

impl<K: Kind> Default for IdHasher<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> fmt::Debug for IdHasher<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdHasher").finish_non_exhaustive()
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes.cmp(&other.bytes)
    }
}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", K::PREFIX, self.hex())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a `{prefix}:` id of 64 hex digits")]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

impl<K: Kind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits =
            text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix(':')).unwrap_or(text);
        let lowercase = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        blake3::Hash::from_hex(digits)
            .ok()
            .filter(|_| lowercase)
            .map(|hash| Self::from_bytes(*hash.as_bytes()))
            .ok_or_else(|| IdError { text: text.to_owned(), prefix: K::PREFIX })
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $prefix:literal, $id:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
            const CONTEXT: &'static str = concat!("kbs 2026-11 ", $prefix, " v1");
        }
        #[doc = concat!("Names one object of kind [`", stringify!($kind), "`].")]
        pub type $id = Id<$kind>;
    )*};
}

kinds! {
    /// Bytes of one regular file.
    Blob = "blob", BlobId;
    /// A directory: its [`crate::tree::Tree`] in canonical bytes.
    Directory = "tree", TreeId;
    /// A derivation in canonical bytes: equal keys promise equal inputs.
    Build = "key", BuildKey;
    /// A derivation with the commit replaced by the content it stands for.
    Content = "content", ContentKey;
    /// A normalised configuration.
    Config = "config", ConfigHash;
    /// Everything that decides what the project's configure step makes of a configuration.
    Configure = "configure", ConfigureKey;
    /// The Kconfig definition files of a commit.
    KconfigFiles = "kconfig", KconfigTreeHash;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds_do_not_share_hashes() {
        assert_ne!(BlobId::of(b"x").as_bytes(), TreeId::of(b"x").as_bytes());
    }

    #[test]
    fn refuses_other_kinds_and_spellings() {
        let key = BuildKey::of(b"x");
        assert!(key.to_string().parse::<BlobId>().is_err());
        assert!(key.hex().to_uppercase().parse::<BuildKey>().is_err());
        assert!("key:00".parse::<BuildKey>().is_err());
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 32]) {
            let id = BuildKey::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<BuildKey>().unwrap(), id);
            prop_assert_eq!(id.hex().parse::<BuildKey>().unwrap(), id);
        }
    }
}
