//! Finds builds by the beginning of their key.

use std::collections::BTreeSet;

use kbs_plan::id::{Build, BuildKey, ID_LEN, Kind as _};

use crate::error::StoreError;
use crate::store::Store;
use crate::tables::{FAILURES, OUTPUTS};

const DIGITS_MIN: usize = 4;

/// What a prefix stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No build.
    None,
    /// Exactly this one.
    One(BuildKey),
    /// All of these, in order.
    Many(Vec<BuildKey>),
}

impl Store {
    /// Finds the outputs and failures whose key begins with `prefix`: four to 64 lowercase hex
    /// digits, with or without `key:` before them.
    ///
    /// # Errors
    /// [`StoreError::Prefix`], [`StoreError::Txn`].
    pub fn find(&self, prefix: &str) -> Result<Found, StoreError> {
        let (first, last) =
            bounds(prefix).ok_or_else(|| StoreError::Prefix { text: prefix.to_owned() })?;
        let keys = self.db.read("search a key", |txn| {
            let mut keys = BTreeSet::new();
            for table in [OUTPUTS, FAILURES] {
                for row in txn.open_table(table)?.range(first..=last)? {
                    keys.insert(row?.0.value());
                }
            }
            Ok(keys)
        })?;
        let mut keys = keys.into_iter();
        Ok(match (keys.next(), keys.next()) {
            (None, _) => Found::None,
            (Some(key), None) => Found::One(key),
            (Some(first), Some(second)) => {
                Found::Many([first, second].into_iter().chain(keys).collect())
            }
        })
    }
}

/// The least and the greatest key that begin with the prefix.
fn bounds(prefix: &str) -> Option<(BuildKey, BuildKey)> {
    let digits = prefix
        .strip_prefix(Build::PREFIX)
        .and_then(|rest| rest.strip_prefix(':'))
        .unwrap_or(prefix);
    if digits.len() < DIGITS_MIN || digits.len() > 2 * ID_LEN {
        return None;
    }
    let filled = |filler: &str| {
        let missing = 2 * ID_LEN - digits.len();
        format!("{digits}{}", filler.repeat(missing)).parse().ok()
    };
    Some((filled("0")?, filled("f")?))
}
