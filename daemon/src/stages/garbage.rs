//! Takes away what nothing holds and the policy does not keep.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kbs_image::ImageDigest;
use kbs_store::{
    Candidate, Decision, Holder, Item, Lease, Policy, Reason, Removed, TakenOut, Thing, decide,
};

use super::kept::{self, Resting};
use crate::config::Upkeep;
use crate::engine::collecting::Gone;
use crate::engine::{Engine, now_unix_s, tasks};
use crate::problem::Problem;

/// What a collection is to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing.
    Nothing,
    /// What the daemon's configuration says.
    Configured,
    /// The same, and a twentieth more than it says of room.
    ConfiguredAndSpare,
    /// What a person says.
    These(Criteria),
}

impl Wanted {
    /// Whether how much goes follows from how much room there is.
    fn is_for_room(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Configured | Self::ConfiguredAndSpare => true,
            Self::These(criteria) => criteria.max_size_b.is_some() || criteria.min_free_b.is_some(),
        }
    }
}

/// What a person wants to go and to stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Criteria {
    pub(crate) everything: bool,
    pub(crate) older_than_s: Option<u64>,
    pub(crate) max_size_b: Option<u64>,
    /// So much is to be free on the file system.
    pub(crate) min_free_b: Option<u64>,
    pub(crate) keep: Option<u32>,
}

/// What a collection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It tells what would go.
    Tell,
    /// It takes what goes.
    Take,
    /// It takes what goes, and what killed work has left.
    TakeAndSweep,
}

/// What a collection tells while it goes on.
#[derive(Debug)]
pub(crate) enum Told {
    /// How far it is: the step, how many things are done, and how many there are.
    Progress { step: &'static str, done: usize, of: usize },
    /// What goes is gone for everybody. Its files are still to be removed, whoever waits for that.
    Gone(Gone),
}

/// Hears what a collection tells. An error ends it early, but not once `Gone` was told.
pub(crate) type Listener<'a> = &'a dyn Fn(Told) -> Result<(), Problem>;

/// What came of a collection.
#[derive(Debug)]
pub(crate) struct Collected {
    /// Those that were not told before.
    pub(crate) decisions: Vec<Decision>,
    /// What went, or would.
    pub(crate) removed: Removed,
    /// Number of things that stay.
    pub(crate) stay: u64,
    /// Number of leftovers that were swept.
    pub(crate) litter: u64,
}

/// An output is being taken by whoever was handed it for so long.
const TAKING_S: u64 = 10;

/// So many things are taken before somebody who left is noticed.
const TOGETHER: usize = 1024;

/// So many of these wait for their files to be removed before a collection takes out more.
const WAITING_MAX: usize = 8;

/// Decides over everything in the store and beside it, and takes what goes. One at a time: waits for
/// another one to end.
///
/// # Errors
/// What cannot be read or removed, or what `tell` says; what went so far is gone, and the rest is
/// whole.
pub(crate) fn collect(
    engine: &Engine,
    wanted: &Wanted,
    mode: Mode,
    tell: Listener<'_>,
) -> Result<Collected, Problem> {
    let _turn = engine.collecting.begin();
    let mut swept = Swept::default();
    let is_for_room = wanted.is_for_room();
    if mode == Mode::TakeAndSweep && is_for_room {
        // First: what nobody needs makes room for what somebody may.
        progress(tell, "sweep", 0, 0)?;
        swept = sweep(engine)?;
    }
    progress(tell, "list", 0, 0)?;
    let now_unix_s = now_unix_s();
    let decisions = match wanted {
        Wanted::Nothing => Vec::new(),
        _ => judge(engine, wanted, now_unix_s)?,
    };
    let stay = decisions.iter().filter(|decision| !decision.reason.goes()).count() as u64;
    if mode == Mode::Tell {
        let removed = estimate(engine, &decisions);
        return Ok(Collected { decisions, removed, stay, litter: 0 });
    }
    let (mut taken, _needed) = take(engine, &decisions, now_unix_s, tell)?;
    forget_notes(engine)?;
    let things = taken.things();
    // Who has left has left; nobody else would remove the files.
    drop(tell(Told::Gone(Gone { decisions, things })));
    let parts = taken.waiting.len();
    while !taken.waiting.is_empty() {
        engine.check_open()?;
        drop(progress(tell, "give-back", parts - taken.waiting.len(), parts));
        taken.give_back(engine)?;
    }
    if mode == Mode::TakeAndSweep && !is_for_room {
        drop(progress(tell, "sweep", 0, 0));
        swept = sweep(engine)?;
    }
    let mut removed = taken.removed;
    removed.freed_b += swept.freed_b;
    Ok(Collected { decisions: Vec::new(), removed, stay, litter: swept.litter })
}

/// What a sweep has found.
#[derive(Default)]
struct Swept {
    litter: u64,
    freed_b: u64,
}

fn sweep(engine: &Engine) -> Result<Swept, Problem> {
    let swept = engine.store.sweep()?;
    let litter = swept.things + swept.blobs + kept::sweep(engine);
    Ok(Swept { litter, freed_b: swept.freed_b })
}

fn progress(tell: Listener<'_>, step: &'static str, done: usize, of: usize) -> Result<(), Problem> {
    tell(Told::Progress { step, done, of })
}

/// Decides over everything.
fn judge(engine: &Engine, wanted: &Wanted, now_unix_s: u64) -> Result<Vec<Decision>, Problem> {
    let mut candidates = engine.store.candidates(now_unix_s)?;
    let trees = kept::all(engine)?;
    let mut holders = named_images(engine)?;
    candidates.extend(trees.iter().map(candidate));
    hold(&mut candidates, &holders);
    if *wanted == Wanted::ConfiguredAndSpare {
        hold_what_is_taken(&mut candidates, now_unix_s);
    }
    let (policy, scope) = policy(engine, wanted);
    let on_disk_b = on_disk_b(engine, &candidates)?;
    let over = |mut candidates: Vec<Candidate>| {
        let mut frees = engine.store.frees();
        let mut frees = |candidate: &_| frees.with(candidate);
        let others: Vec<_> =
            candidates.extract_if(.., |candidate| !scope.covers(&candidate.item)).collect();
        let mut decisions = decide(candidates, &policy, now_unix_s, on_disk_b, &mut frees);
        decisions.extend(others.into_iter().map(left_alone));
        decisions
    };
    let decisions = over(candidates);
    // What the trees that stay need stays, too.
    holders.clear();
    for Decision { candidate, reason } in &decisions {
        let Some(name) = kept_name(&candidate.item).filter(|_| !reason.goes()) else { continue };
        let needs = trees.iter().filter(|tree| tree.name == name).flat_map(|tree| &tree.needs);
        needs.for_each(|thing| {
            holders.entry(*thing).or_default().push(Holder::Kept(name.to_owned()));
        });
    }
    if holders.is_empty() {
        return Ok(decisions);
    }
    let mut candidates: Vec<_> = decisions.into_iter().map(|decision| decision.candidate).collect();
    hold(&mut candidates, &holders);
    // With less to take, more trees may have to go than before; never others.
    Ok(over(candidates))
}

/// What of everything is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everything,
    Outputs,
}

impl Scope {
    fn covers(self, item: &Item) -> bool {
        self == Self::Everything || matches!(item, Item::Thing(Thing::Output(_), _))
    }
}

/// What was wanted, as a policy by what is free now, and over what.
fn policy(engine: &Engine, wanted: &Wanted) -> (Policy, Scope) {
    let lacking_b = |min_free_b: u64| min_free_b.saturating_sub(engine.free_b());
    let criteria = match wanted {
        Wanted::These(criteria) => criteria,
        Wanted::Nothing | Wanted::Configured | Wanted::ConfiguredAndSpare => {
            let Upkeep { max_size_b, older_than, keep, min_free_b } = engine.config.upkeep;
            let spare = |size_b: u64| match wanted {
                Wanted::ConfiguredAndSpare => size_b / 20,
                Wanted::Nothing | Wanted::Configured | Wanted::These(_) => 0,
            };
            let policy = Policy {
                everything: false,
                older_than_s: older_than.map(|span| span.as_secs()),
                max_size_b: max_size_b.map(|size_b| size_b - spare(size_b)),
                free_b: match lacking_b(min_free_b) {
                    0 => 0,
                    lacking_b => lacking_b.saturating_add(spare(min_free_b)),
                },
                keep,
            };
            return (policy, Scope::Everything);
        }
    };
    let Criteria { everything, older_than_s, max_size_b, min_free_b, keep } = *criteria;
    let is_only_keep = keep.is_some()
        && !everything
        && (older_than_s, max_size_b, min_free_b) == (None, None, None);
    let policy = Policy {
        // Who says nothing but which outputs stay means that the other outputs go.
        everything: everything || is_only_keep,
        older_than_s,
        max_size_b,
        free_b: min_free_b.map_or(0, lacking_b),
        keep: keep.unwrap_or(0),
    };
    (policy, if is_only_keep { Scope::Outputs } else { Scope::Everything })
}

fn candidate(tree: &Resting) -> Candidate {
    let Resting { name, project, size_b, created_unix_s, last_use_unix_s, needs: _, is_in_use } =
        tree;
    Candidate {
        item: Item::Kept(name.clone()),
        name: project.as_str().into(),
        project: None,
        size_b: *size_b,
        created_unix_s: *created_unix_s,
        last_use_unix_s: *last_use_unix_s,
        held_by: is_in_use.then_some(Holder::Work).into_iter().collect(),
    }
}

/// What holds layers and images, besides work.
type Holders = BTreeMap<Thing, Vec<Holder>>;

fn hold(candidates: &mut [Candidate], holders: &Holders) {
    for Candidate { item, held_by, .. } in candidates {
        if let Item::Thing(thing, _) = item {
            held_by.extend(holders.get(thing).into_iter().flatten().cloned());
        }
    }
}

/// Whoever was handed an output takes its files only after that. Nobody asked for a collection that
/// begins by itself, so it waits with what was just handed out.
fn hold_what_is_taken(candidates: &mut [Candidate], now_unix_s: u64) {
    for Candidate { item, last_use_unix_s, held_by, .. } in candidates {
        let is_taken = *last_use_unix_s + TAKING_S > now_unix_s;
        if is_taken && held_by.is_empty() && Scope::Outputs.covers(item) {
            held_by.push(Holder::Work);
        }
    }
}

/// The names that people gave to images; those that begin with `@` hold nothing.
fn named_images(engine: &Engine) -> Result<Holders, Problem> {
    let mut holders = Holders::new();
    for (name, digest) in super::image::public_names(engine)? {
        if let Ok(digest) = digest.parse::<ImageDigest>() {
            let image = Thing::Image(*digest.as_bytes());
            holders.entry(image).or_default().push(Holder::ImageName(name));
        }
    }
    Ok(holders)
}

fn left_alone(candidate: Candidate) -> Decision {
    let reason = match candidate.held_by.as_slice() {
        [] => Reason::NotAsked,
        held_by => Reason::Held(held_by.to_vec()),
    };
    Decision { candidate, reason }
}

fn kept_name(item: &Item) -> Option<&str> {
    match item {
        Item::Kept(name) => Some(name),
        Item::Thing(..) | Item::Failure(_) => None,
    }
}

/// Bytes that everything together needs.
fn on_disk_b(engine: &Engine, candidates: &[Candidate]) -> Result<u64, Problem> {
    let totals = engine.store.totals()?;
    let beside = candidates.iter().filter(|candidate| !matches!(candidate.item, Item::Thing(..)));
    let beside_b: u64 = beside.map(|candidate| candidate.size_b).sum();
    Ok(totals.blobs_b + totals.layers_b + beside_b)
}

/// What would go, as far as links tell.
fn estimate(engine: &Engine, decisions: &[Decision]) -> Removed {
    let mut frees = engine.store.frees();
    let mut removed = Removed::default();
    for Decision { candidate, reason } in decisions {
        if reason.goes() {
            removed += Removed { things: 1, blobs: 0, freed_b: frees.with(candidate) };
        }
    }
    removed
}

/// What a collection has taken.
#[derive(Debug, Default)]
struct Taken {
    /// What has gone with its files.
    removed: Removed,
    /// What has gone, and whose files have not, oldest first.
    waiting: VecDeque<TakenOut>,
}

impl Taken {
    /// Number of things that went.
    fn things(&self) -> u64 {
        self.removed.things + self.waiting.iter().map(|taken| taken.things).sum::<u64>()
    }

    /// Removes the files of what has waited longest.
    fn give_back(&mut self, engine: &Engine) -> Result<(), Problem> {
        if let Some(taken) = self.waiting.pop_front() {
            self.removed += engine.store.give_back(taken)?;
        }
        Ok(())
    }
}

/// Takes out what goes and nothing has come to hold meanwhile; returns what the trees that stay need,
/// held, too.
fn take(
    engine: &Engine,
    decisions: &[Decision],
    now_unix_s: u64,
    tell: Listener<'_>,
) -> Result<(Taken, Vec<Lease>), Problem> {
    let going = || decisions.iter().filter(|it| it.reason.goes()).map(|it| &it.candidate);
    let (all, mut done) = (going().count(), 0);
    let mut taken = Taken::default();
    for candidate in going() {
        let Some(name) = kept_name(&candidate.item) else { continue };
        progress(tell, "remove", done, all)?;
        done += 1;
        if kept::remove(engine, name)? {
            taken.removed += Removed { things: 1, blobs: 0, freed_b: candidate.size_b };
        }
    }
    // Trees that somebody has come to use, or that came themselves, stay with what they need.
    let needed = kept::hold_needs(engine)?;
    // One part at a time: there may be a million.
    let mut of_store = going().filter(|candidate| kept_name(&candidate.item).is_none()).peekable();
    while of_store.peek().is_some() {
        progress(tell, "remove", done, all)?;
        let mut items = Vec::new();
        for candidate in of_store.by_ref().take(TOGETHER) {
            done += 1;
            if !is_used_since(engine, candidate)? {
                items.push(candidate.item.clone());
            }
        }
        taken.waiting.push_back(engine.store.take_out(&items, now_unix_s)?);
        if taken.waiting.len() > WAITING_MAX {
            taken.give_back(engine)?;
        }
    }
    Ok((taken, needed))
}

/// Whether somebody was handed something after it was judged: then it was judged wrongly.
fn is_used_since(engine: &Engine, candidate: &Candidate) -> Result<bool, Problem> {
    let Item::Thing(thing, aliases) = &candidate.item else { return Ok(false) };
    for thing in aliases.iter().map(|key| Thing::Output(*key)).chain([*thing]) {
        if engine.store.last_use(thing)? > candidate.last_use_unix_s {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets our notes of images that are gone.
fn forget_notes(engine: &Engine) -> Result<(), Problem> {
    let names: BTreeMap<_, _> = engine.store.image_names()?.into_iter().collect();
    for (name, value) in &names {
        let is_needed = match (name.strip_prefix('@'), name.strip_prefix("@taken.")) {
            (_, Some(of)) => names.contains_key(of),
            (Some(_), None) => {
                value.parse().is_ok_and(|digest| engine.images.rootfs(&digest).is_some())
            }
            (None, None) => true,
        };
        if !is_needed {
            engine.store.remove_image_name(name)?;
        }
    }
    Ok(())
}

/// Begins a collection by itself where there is too little room, beside whatever is done.
pub(crate) fn begin_if_needed(engine: &Arc<Engine>) {
    let Upkeep { max_size_b, min_free_b, .. } = engine.config.upkeep;
    // What there is to compare with `max-size` takes longer to ask for than a build has.
    let may_be_needed = max_size_b.is_some() || engine.free_b() < min_free_b;
    if may_be_needed && !engine.collecting.is_by_itself() {
        begin_by_itself(engine, Mode::Take);
    }
}

/// As [`begin_if_needed`], for a daemon that has just started: what a killed one left is swept, too.
pub(crate) fn begin_at_start(engine: &Arc<Engine>) {
    if engine.store.was_left_open() {
        begin_by_itself(engine, Mode::TakeAndSweep);
    } else {
        begin_if_needed(engine);
    }
}

/// Whether there is less room, or more in the store, than the configuration wants.
fn is_needed(engine: &Engine) -> bool {
    let Upkeep { max_size_b, min_free_b, .. } = engine.config.upkeep;
    let is_too_large = |max_b| {
        let totals = engine.store.totals().map_or(0, |totals| totals.blobs_b + totals.layers_b);
        totals > max_b || totals + beside_b(engine) > max_b
    };
    engine.free_b() < min_free_b || max_size_b.is_some_and(is_too_large)
}

/// Bytes of logs of failures and of kept work trees, as far as one can look.
fn beside_b(engine: &Engine) -> u64 {
    let failures = engine.store.failures().unwrap_or_default().into_iter();
    let logs = failures.map(|row| engine.store.failure_log_b(row.record.key));
    let trees = kept::all(engine).unwrap_or_default().into_iter().map(|tree| tree.size_b);
    logs.chain(trees).sum()
}

fn begin_by_itself(engine: &Arc<Engine>, mode: Mode) {
    tasks::beside(engine, "collect", move |engine| {
        let Some(_turn) = engine.collecting.begin_by_itself() else { return };
        let wanted = match (is_needed(engine), mode) {
            (true, _) => Wanted::ConfiguredAndSpare,
            (false, Mode::TakeAndSweep) => Wanted::Nothing,
            (false, Mode::Take | Mode::Tell) => return,
        };
        tracing::info!(free_b = engine.free_b(), ?mode, "a collection begins by itself");
        match collect(engine, &wanted, mode, &|_| engine.check_open()) {
            Ok(Collected { removed, litter, .. }) => {
                let Removed { things, blobs, freed_b } = removed;
                tracing::info!(things, blobs, litter, freed_b, "a collection has ended");
            }
            Err(problem) => tracing::warn!(%problem, "a collection has ended early"),
        }
    });
}
