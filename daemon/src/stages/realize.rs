//! From a spec to an output: the whole way.

use std::sync::Arc;

use kbs_plan::derivation::{Derivation, Pins};
use kbs_plan::id::BuildKey;
use kbs_plan::spec::Spec;
use kbs_store::{Ending, LookUp, OutputRow, Root, RootKind, Thing};

use super::build::{Order, alias_record};
use super::configure::Configured;
use super::pin::Pinned;
use super::{build, check, configure, garbage, image, pin, sync};
use crate::engine::Engine;
use crate::engine::flight::{Boarding, Flight, LogCursor, Purpose};
use crate::engine::outcome::Outcome;
use crate::engine::tasks;
use crate::engine::watch::{Happening, Watch};
use crate::problem::{EngineError, Problem};

/// What to do when the output is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Hand it out.
    Take,
    /// Build again; a result that differs is told, and the stored one stays.
    Rebuild,
    /// Build again and compare.
    Check,
}

/// How a spec is to be realized.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) spec: Spec,
    pub(crate) reuse: Reuse,
    pub(crate) keep_failed: bool,
    pub(crate) want_log: bool,
    /// Who asks.
    pub(crate) who: String,
    /// Links to the output that the client is about to make, and that keep it.
    pub(crate) out_links: Vec<String>,
}

/// A spec with every choice made, and what is needed to build it.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) derivation: Derivation,
    pub(crate) config: Option<Configured>,
    pinned: Pinned,
    toolchain: image::Toolchain,
    recipe: kbs_plan::recipe::Recipe,
}

/// Whether the image that an output would be of has never been here.
pub(crate) fn is_surely_absent(engine: &Engine, spec: &Spec) -> Result<bool, Problem> {
    let recipe = spec.resolve_recipe()?;
    Ok(!image::is_known(engine, &spec.toolchain, &recipe.name, &recipe.toolchain)?)
}

/// Makes every choice; builds nothing but what it takes to know the configuration.
pub(crate) fn plan(engine: &Engine, spec: &Spec, watch: &Watch) -> Result<Planned, Problem> {
    let recipe = spec.resolve_recipe()?;
    let (project, resolved) = sync::resolve(engine, &spec.source, &recipe.name, &spec.rev, watch)?;
    let pinned = pin::pin(engine, &project.name, resolved.commit, &recipe, watch)?;
    let toolchain =
        image::resolve(engine, &spec.toolchain, &recipe.name, &recipe.toolchain, watch)?;
    let config = match (&recipe.configure, &spec.config) {
        (Some(rules), Some(ask)) => {
            Some(configure::configure(engine, (&recipe, rules), ask, &pinned, &toolchain, watch)?)
        }
        _ => None,
    };
    for warning in config.iter().flat_map(|config| &config.warnings) {
        watch.notice("drift", warning.clone());
    }
    let pins = Pins {
        commit: pinned.commit.to_string(),
        submodules: pinned.submodules.clone(),
        head: pinned.head.to_string(),
        version: pinned.version.clone(),
        epoch: pinned.epoch,
        config: config.as_ref().map(|config| config.hash),
        toolchain: toolchain.digest.to_string(),
    };
    let derivation = Derivation::new(&recipe, pins);
    Ok(Planned { derivation, config, pinned, toolchain, recipe })
}

/// What it takes to build what was planned for `spec`.
pub(crate) fn order(
    engine: &Engine,
    planned: Planned,
    spec: &Spec,
    who: &str,
) -> Result<Order, Problem> {
    let selection = pin::select(engine, planned.pinned.commit, &planned.recipe)?;
    let Planned { derivation, config, pinned: _, toolchain, recipe } = planned;
    Ok(Order {
        content: derivation.content_key(selection.id.as_bytes()),
        key: derivation.key(),
        derivation,
        selection,
        toolchain,
        by: recipe.configurer(),
        notation: config.as_ref().map(|config| config.notation.clone()).unwrap_or_default(),
        warnings: config.as_ref().map(|config| config.warnings.clone()).unwrap_or_default(),
        config: config.map(|config| config.text),
        asked_ref: spec.rev.clone(),
        limits: engine.config.decide(&spec.limits)?,
        without: engine.without()?,
        sample_every: engine.config.sample,
        keep_failed: false,
        who: who.to_owned(),
    })
}

/// Hands out the output of a spec, building it where it is not there, and has it kept by its links.
pub(crate) fn realize(
    engine: &Arc<Engine>,
    wish: &Wish,
    watch: &Watch,
) -> Result<Outcome, Problem> {
    let is_good = |link: &String| link.starts_with('/') && !link.contains(char::is_control);
    if let Some(link) = wish.out_links.iter().find(|link| !is_good(link)) {
        let text = format!("the link {link:?} cannot keep an output");
        let help = Some("give an absolute path without control characters".to_owned());
        return Err(EngineError::Request { text, help }.into());
    }
    let end = find_or_build(engine, wish, watch)?;
    if let Outcome::Output { row, .. } = &end {
        let key = row.record.key;
        for name in &wish.out_links {
            let (name, created_unix_s) = (name.clone(), crate::engine::now_unix_s());
            engine.store.add_root(&Root { name, kind: RootKind::Link, key, created_unix_s })?;
        }
    }
    Ok(end)
}

fn find_or_build(engine: &Arc<Engine>, wish: &Wish, watch: &Watch) -> Result<Outcome, Problem> {
    engine.check_open()?;
    // Before any work, and whether the output is there or not: a request is right or wrong by itself.
    engine.config.decide(&wish.spec.limits)?;
    let planned = plan(engine, &wish.spec, watch)?;
    let key = planned.derivation.key();
    let stored = look_up(engine, key, watch)?;
    if let (Some(row), Reuse::Take) = (&stored, wish.reuse) {
        return Ok(Outcome::Output { row: row.clone(), built: false });
    }
    let order =
        Order { keep_failed: wish.keep_failed, ..order(engine, planned, &wish.spec, &wish.who)? };
    match wish.reuse {
        Reuse::Take => {
            if let Some(row) = same_content(engine, &order, watch)? {
                return Ok(Outcome::Output { row, built: false });
            }
            fly(engine, order, watch, wish)
        }
        Reuse::Rebuild => fly(engine, order, watch, wish),
        Reuse::Check => {
            let Some(row) = stored else {
                let text = format!("there is no output of {key} to compare with");
                let help = Some("run `kbs realize` without --check first".to_owned());
                return Err(EngineError::NotFound { text, help }.into());
            };
            let tree = engine.tree(&row)?;
            let flight = match engine.flights.board(key, Purpose::Comparison) {
                Boarding::Joined(flight) => flight,
                Boarding::First(flight) => {
                    tasks::fly(engine, key, &flight, move |engine, flight| {
                        check::check(engine, flight, &order, &tree)
                    });
                    flight
                }
            };
            arrive(engine, key, &flight, watch, wish)
        }
    }
}

/// The stored output of `key`; one that is damaged is set aside and built again.
fn look_up(
    engine: &Engine,
    key: BuildKey,
    watch: &Watch,
) -> Result<Option<Box<OutputRow>>, Problem> {
    match held_output(engine, key, watch)? {
        LookUp::Found(row) if !is_good_enough(engine, &row)? => {
            let marks: Vec<_> = row.record.marks.iter().map(String::as_str).collect();
            let text =
                "the stored output was made in a sandbox that was not whole, and is built again";
            watch.notice("degraded", format!("{text} ({})", marks.join(", ")));
            Ok(None)
        }
        LookUp::Found(row) => {
            engine.touch(Thing::Output(key));
            Ok(Some(row))
        }
        LookUp::Absent => Ok(None),
        LookUp::Dropped { reason, moved_to: _ } => {
            watch.notice(
                "degraded",
                format!("the stored output is damaged and is built again: {reason}"),
            );
            Ok(None)
        }
    }
}

/// The stored output of `key`, which nobody collects while the request lasts.
fn held_output(engine: &Engine, key: BuildKey, watch: &Watch) -> Result<LookUp, Problem> {
    let store = &engine.store;
    watch.hold(store.lease(Thing::Output(key)));
    match store.output(key)? {
        LookUp::Found(row) if row.stored_as.key != key => {
            // Its files are another key's; they are held, too, before they are believed.
            watch.hold(store.lease(Thing::Output(row.stored_as.key)));
            Ok(store.output(key)?)
        }
        look_up => Ok(look_up),
    }
}

/// Whether an output was made in a sandbox at least as whole as it would be made in now.
fn is_good_enough(engine: &Engine, row: &OutputRow) -> Result<bool, Problem> {
    let marks = &row.record.marks;
    Ok(marks.is_empty() || marks.is_subset(&build::marks(&engine.without()?)))
}

/// An output of exactly the same files, configuration and toolchain, built at another commit.
fn same_content(
    engine: &Engine,
    order: &Order,
    watch: &Watch,
) -> Result<Option<Box<OutputRow>>, Problem> {
    let Some(other) = engine.store.by_content(order.content)?.filter(|other| *other != order.key)
    else {
        return Ok(None);
    };
    let Some(row) = look_up(engine, other, watch)? else { return Ok(None) };
    let row = engine.store.alias(&alias_record(order, &row), other)?;
    watch.notice(
        "reused",
        format!("no file that this build sees has changed since {}", row.stored_as.name),
    );
    Ok(Some(Box::new(row)))
}

/// Joins the build of this key, or starts it.
fn fly(engine: &Arc<Engine>, order: Order, watch: &Watch, wish: &Wish) -> Result<Outcome, Problem> {
    let (key, reuse) = (order.key, wish.reuse);
    let flight = match engine.flights.board(key, Purpose::Output) {
        Boarding::Joined(flight) => {
            watch.notice("joined", "this is being built already; waiting for it");
            if wish.keep_failed {
                watch.notice(
                    "joined",
                    "what its first client asked decides whether a failure is kept",
                );
            }
            flight
        }
        Boarding::First(flight) => {
            garbage::begin_if_needed(engine);
            tasks::fly(engine, key, &flight, move |engine, flight| {
                // Somebody may have finished between our look-up and now.
                match engine.store.output(key) {
                    Ok(LookUp::Found(row))
                        if reuse == Reuse::Take && is_good_enough(engine, &row)? =>
                    {
                        Ok(Outcome::Output { row, built: false })
                    }
                    _ => build::build(engine, flight, &order),
                }
            });
            flight
        }
    };
    let end = arrive(engine, key, &flight, watch, wish);
    if let Ok(Outcome::Output { built: true, .. }) = end {
        garbage::begin_if_needed(engine);
    }
    end
}

/// Waits for the end of a flight and passes on the end of its log, too.
fn arrive(
    engine: &Engine,
    key: BuildKey,
    flight: &Flight,
    watch: &Watch,
    wish: &Wish,
) -> Result<Outcome, Problem> {
    let mut log = wish.want_log.then(|| LogCursor::new(0));
    let Some(end) = flight.wait(watch, log.as_mut()) else {
        // A build that nobody waits for any more may itself be waiting for a slot.
        engine.slots.wake();
        return Err(EngineError::Withdrawn.into());
    };
    let ending = match &end {
        Ok(Outcome::Output { .. }) => Ending::Succeeded,
        Ok(Outcome::Failure { .. }) => Ending::Failed,
        _ => return end,
    };
    if let Some(log) = log {
        engine.send_log(key, ending, log.offset, &mut |offset, data| {
            watch.tell(Happening::Log { offset, data });
            !watch.is_withdrawn()
        })?;
    }
    end
}
