//! What a collection takes and what it leaves: a function of what is there and what was asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use kbs_plan::id::BuildKey;

use crate::thing::Thing;

/// What a collection is to do. What nothing asks for stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Take whatever nothing holds.
    pub everything: bool,
    /// Take what was last used longer ago than this, in seconds.
    pub older_than_s: Option<u64>,
    /// Take the least recently used until all together needs no more bytes on disk.
    pub max_size_b: Option<u64>,
    /// Take the least recently used until so many more bytes are free.
    pub free_b: u64,
    /// Leave so many of each project's newest outputs, whatever else is asked.
    pub keep: u32,
}

/// What can be collected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// Something in the store; an output with all other keys that it is the output of.
    Thing(Thing, Vec<BuildKey>),
    /// The record and log of a key's latest failure.
    Failure(BuildKey),
    /// The kept work tree of a failed build, by the name of its directory.
    Kept(String),
}

/// Something that may be collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What.
    pub item: Item,
    /// What people call it.
    pub name: Arc<str>,
    /// Its project, for outputs.
    pub project: Option<Arc<str>>,
    /// Sum of the sizes of its files, in bytes.
    pub size_b: u64,
    /// When it was made, in Unix seconds.
    pub created_unix_s: u64,
    /// When it was last used, in Unix seconds.
    pub last_use_unix_s: u64,
    /// Why it cannot go; empty where it can.
    pub held_by: Vec<Holder>,
}

/// What keeps something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A root of this name.
    Root(String),
    /// Work that is going on.
    Work,
    /// The name of an image.
    ImageName(String),
    /// The kept work tree of a failed build, by the name of its directory.
    Kept(String),
}

/// Why something stays or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It stays: something holds it.
    Held(Vec<Holder>),
    /// It stays: it is one of the newest of its project, of which so many are kept.
    Newest(u32),
    /// It stays: nothing asks for it to go.
    NotAsked,
    /// It goes: nothing holds it, and all that is so was asked for.
    Unheld,
    /// It goes: it was last used so many seconds ago.
    Unused(u64),
    /// It goes: room is needed, and it is the least recently used.
    Room,
}

impl Reason {
    /// Whether it goes.
    pub fn goes(&self) -> bool {
        match self {
            Self::Held(_) | Self::Newest(_) | Self::NotAsked => false,
            Self::Unheld | Self::Unused(_) | Self::Room => true,
        }
    }
}

/// What becomes of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which.
    pub candidate: Candidate,
    /// Stays or goes, and why.
    pub reason: Reason,
}

/// After so many candidates, the memory of those before is given back.
const SHRUNK_EVERY: usize = 1 << 14;

/// Decides over all candidates, least recently used first; `on_disk_b` is what they need together, and
/// `frees` says how many bytes the removal of one gives back after those before it.
pub fn decide(
    mut candidates: Vec<Candidate>,
    policy: &Policy,
    now_unix_s: u64,
    on_disk_b: u64,
    frees: &mut dyn FnMut(&Candidate) -> u64,
) -> Vec<Decision> {
    // Backwards, because they are taken off the end.
    candidates.sort_unstable_by(|a, b| {
        let age = |it: &Candidate| (it.last_use_unix_s, it.created_unix_s);
        (age(b), &b.item).cmp(&(age(a), &a.item))
    });
    let newest = newest(&candidates, policy.keep);
    let excess_b = policy.max_size_b.map_or(0, |max_b| on_disk_b.saturating_sub(max_b));
    let wanted_b = excess_b.max(policy.free_b);
    let mut freed_b = 0_u64;
    let mut decisions: Vec<Decision> = Vec::with_capacity(candidates.len());
    // What goes anyway goes first, and may make enough room.
    while let Some(candidate) = candidates.pop() {
        if candidates.len().is_multiple_of(SHRUNK_EVERY) {
            // There may be millions of them, and not twice.
            candidates.shrink_to_fit();
        }
        let unused_s = now_unix_s.saturating_sub(candidate.last_use_unix_s);
        let is_old = policy.older_than_s.is_some_and(|older_than_s| unused_s > older_than_s);
        let reason = if !candidate.held_by.is_empty() {
            Reason::Held(candidate.held_by.clone())
        } else if newest.contains(&candidate.item) {
            Reason::Newest(policy.keep)
        } else if policy.everything {
            Reason::Unheld
        } else if is_old {
            Reason::Unused(unused_s)
        } else {
            Reason::NotAsked
        };
        if reason.goes() && wanted_b > 0 {
            freed_b = freed_b.saturating_add(frees(&candidate));
        }
        decisions.push(Decision { candidate, reason });
    }
    for decision in &mut decisions {
        if freed_b >= wanted_b {
            break;
        }
        if decision.reason == Reason::NotAsked {
            decision.reason = Reason::Room;
            freed_b = freed_b.saturating_add(frees(&decision.candidate));
        }
    }
    decisions
}

/// The newest outputs of each project.
fn newest(candidates: &[Candidate], keep: u32) -> std::collections::BTreeSet<Item> {
    let mut by_project: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
    for candidate in candidates {
        if let Some(project) = &candidate.project {
            by_project.entry(project).or_default().push(candidate);
        }
    }
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let mut newest = std::collections::BTreeSet::new();
    for outputs in by_project.values_mut() {
        outputs.sort_by_key(|output| std::cmp::Reverse((output.created_unix_s, &output.item)));
        newest.extend(outputs.iter().take(keep).map(|output| output.item.clone()));
    }
    newest
}
