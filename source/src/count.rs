//! How many hex digits a full clone of a project abbreviates a commit to.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::git::{self, GitFailure};
use crate::oid::AnyOid;

/// git never abbreviates by its own choice to fewer digits.
const DIGITS_MIN: u8 = 7;
/// Objects that are compared one by one with the store; more are quicker counted with all others.
const COMPARED_MAX: usize = 20_000;

/// Objects reachable from a project's branches and tags.
///
/// Two bounds, because after a sync only the difference is listed, and an object that went and came
/// back is in that list though it was never gone.
#[derive(Debug, PartialEq, Eq, Clone, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) at_least: u64,
    pub(crate) at_most: u64,
    /// Objects, by their first 16 digits, that need more digits than [`Counted::digits`].
    pub(crate) longer: BTreeMap<String, u8>,
}

impl Counted {
    /// Digits that a repository of this many objects abbreviates to: half as many as it would take
    /// to number them in binary, at least 7.
    pub(crate) fn digits(&self) -> u8 {
        digits(self.at_most)
    }

    /// Digits for one object: more where another object of the project begins alike.
    pub(crate) fn digits_of(&self, object: AnyOid) -> u8 {
        self.longer.get(&object.to_string()[..16]).copied().unwrap_or_else(|| self.digits())
    }
}

/// Of a project that was never synced.
pub(crate) static NOTHING: Counted = Counted { at_least: 0, at_most: 0, longer: BTreeMap::new() };

fn digits(count: u64) -> u8 {
    let bits = u64::BITS - count.leading_zeros();
    u8::try_from(bits.div_ceil(2)).expect("at most 32").max(DIGITS_MIN)
}

/// Counts what is reachable from `tips`, given what was counted for `tips_before`.
pub(crate) fn count(
    repo: &gix::Repository,
    dir: &Path,
    tips: &[String],
    before: Option<(&Counted, &[String])>,
) -> Result<Counted, GitFailure> {
    if let Some((counted, tips_before)) = before
        && let Some(counted) = count_difference(repo, dir, tips, (counted, tips_before))?
    {
        return Ok(counted);
    }
    let mut heads = Vec::new();
    git::list_objects(dir, tips, &[], |oid| {
        heads.extend(oid.get(..16).and_then(|head| u64::from_str_radix(head, 16).ok()));
    })?;
    let count = heads.len() as u64;
    Ok(Counted { at_least: count, at_most: count, longer: longer(heads, digits(count)) })
}

/// `None` where the difference does not settle it.
fn count_difference(
    repo: &gix::Repository,
    dir: &Path,
    tips: &[String],
    (before, tips_before): (&Counted, &[String]),
) -> Result<Option<Counted>, GitFailure> {
    let mut came = Vec::new();
    git::list_objects(dir, tips, tips_before, |oid| came.push(oid.to_owned()))?;
    let mut went = 0;
    git::list_objects(dir, tips_before, tips, |_| went += 1)?;

    let at_least = before.at_least.saturating_sub(went);
    let at_most = before.at_most + came.len() as u64;
    let settled = digits(at_least) == digits(at_most)
        && before.digits() == digits(at_most)
        && (went == 0 || before.longer.is_empty())
        && came.len() <= COMPARED_MAX
        && came.iter().all(|oid| begins_alone(repo, oid, digits(at_most)));
    Ok(settled.then(|| Counted { at_least, at_most, longer: before.longer.clone() }))
}

/// Whether no other object of the whole store begins like this one.
fn begins_alone(repo: &gix::Repository, oid: &str, digits: u8) -> bool {
    gix::ObjectId::from_hex(oid.as_bytes())
        .and_then(|id| gix::hash::Prefix::new(&id, usize::from(digits)))
        .and_then(|prefix| repo.objects.lookup_prefix(prefix, None))
        .is_ok_and(|found| matches!(found, Some(Ok(_))))
}

/// The names that share more than `digits` leading digits with another, given their first 64 bits.
fn longer(mut heads: Vec<u64>, digits: u8) -> BTreeMap<String, u8> {
    heads.sort_unstable();
    let mut longer = BTreeMap::new();
    for pair in heads.windows(2) {
        let shared = u8::try_from((pair[0] ^ pair[1]).leading_zeros() / 4).expect("at most 16");
        if shared >= digits {
            for head in pair {
                let needed = longer.entry(format!("{head:016x}")).or_insert(shared + 1);
                *needed = (*needed).max(shared + 1);
            }
        }
    }
    longer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_the_object_count() {
        for (count, expected) in [
            (0, 7),
            (16_383, 7),
            (16_384, 8),
            (40_782, 8),
            (65_535, 8),
            (65_536, 9),
            (85_923, 9),
            (147_077, 9),
            (262_144, 10),
            (10_000_000, 12),
        ] {
            assert_eq!(digits(count), expected, "{count}");
        }
    }

    #[test]
    fn names_that_begin_alike_get_one_digit_more() {
        let heads = vec![0x1234_5678_9000_0000, 0x1234_5678_9f00_0000, 0x1234_5679_0000_0000];
        let found = longer(heads, 7);
        let expected =
            [("1234567890000000", 10), ("123456789f000000", 10), ("1234567900000000", 8)];
        assert_eq!(found, expected.map(|(name, n)| (name.to_owned(), n)).into());
    }
}
