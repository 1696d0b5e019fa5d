//! `kbs.v1.Store`.

use std::path::Path;
use std::sync::Arc;

use kbs_image::Unsound;
use kbs_plan::id::BuildKey;
use kbs_proto::pb;
use kbs_proto::pb::store_server::Store;
use kbs_store::{
    Decision, Finding, Holder, IndexRow, Item, PartUsage, Reason, Removed, Repair, Root, RootKind,
    RootState, SCHEMA_VERSION, Scope, StoreError, Thing, Verified,
};
use tonic::{Request, Response, Status};

use super::builds::find;
use super::stream::{self, Answer, answer};
use crate::engine::collecting::Gone;
use crate::engine::watch::{Happening, Watch};
use crate::engine::{Engine, now_unix_s, tasks};
use crate::problem::{EngineError, Problem};
use crate::stages::garbage::{self, Collected, Criteria, Mode, Told, Wanted};

/// So many keys are looked up without a thread for it.
const AT_ONCE: usize = 16;

/// The service.
#[derive(Debug)]
pub(crate) struct Service(pub(crate) Arc<Engine>);

#[tonic::async_trait]
impl Store for Service {
    type CollectStream = Answer<pb::CollectEvent>;
    async fn collect(
        &self,
        request: Request<pb::CollectRequest>,
    ) -> Result<Response<Self::CollectStream>, Status> {
        let pb::CollectRequest { dry_run, policy } = request.into_inner();
        let wanted = policy.map_or(Wanted::Configured, |policy| Wanted::These(criteria(policy)));
        let mode = if dry_run { Mode::Tell } else { Mode::TakeAndSweep };
        let running = tasks::request(&self.0, move |engine, watch| {
            garbage::collect(engine, &wanted, mode, &|told| {
                match told {
                    Told::Progress { step, done, of } => {
                        let (done, of) = (done as u64, of as u64);
                        watch.glimpse(Happening::Collecting { step, done, of });
                    }
                    Told::Gone(gone) => watch.tell(Happening::Gone(Box::new(gone))),
                }
                watch.check()
            })
        });
        let each = |happening| -> Box<dyn Iterator<Item = pb::CollectEvent> + Send> {
            match happening {
                Happening::Collecting { step, done, of } => {
                    let progress = pb::CollectProgress { step: step.to_owned(), done, of };
                    let progress = pb::collect_event::Event::Progress(progress);
                    Box::new([collect_event(progress)].into_iter())
                }
                Happening::Gone(gone) => Box::new(went(*gone)),
                _ => Box::new(std::iter::empty()),
            }
        };
        Ok(Response::new(stream::of(running, each, collected)))
    }

    type VerifyStream = Answer<pb::VerifyEvent>;
    async fn verify(
        &self,
        request: Request<pb::VerifyRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        let pb::VerifyRequest { sample, repair } = request.into_inner();
        let scope = sample.map_or(Scope::Whole, Scope::Sample);
        let repair = if repair { Repair::Yes } else { Repair::No };
        let running =
            tasks::request(&self.0, move |engine, watch| verify(engine, scope, repair, watch));
        let each = |happening| match happening {
            Happening::Verifying { things, files, read_b } => {
                let progress = pb::VerifyProgress { things, files, read_b };
                Some(verify_event(pb::verify_event::Event::Progress(progress)))
            }
            _ => None,
        };
        Ok(Response::new(stream::of(running, each, verified)))
    }

    async fn stat(
        &self,
        _request: Request<pb::StatRequest>,
    ) -> Result<Response<pb::StatReply>, Status> {
        answer(&self.0, stat).await.map(Response::new)
    }

    async fn usage(
        &self,
        _request: Request<pb::UsageRequest>,
    ) -> Result<Response<pb::UsageReply>, Status> {
        let parts = answer(&self.0, |engine| Ok(engine.store.usage()?)).await?;
        let part = |PartUsage { name, files, size_b, disk_b }| pb::PartUsage {
            name,
            files,
            size_b,
            disk_b,
        };
        Ok(Response::new(pb::UsageReply { parts: parts.into_iter().map(part).collect() }))
    }

    async fn add_root(
        &self,
        request: Request<pb::AddRootRequest>,
    ) -> Result<Response<pb::AddRootReply>, Status> {
        let pb::AddRootRequest { name, key } = request.into_inner();
        let key = answer(&self.0, move |engine| add_root(engine, name, &key)).await?;
        Ok(Response::new(pb::AddRootReply { key: key.to_string() }))
    }

    async fn remove_root(
        &self,
        request: Request<pb::RemoveRootRequest>,
    ) -> Result<Response<pb::RemoveRootReply>, Status> {
        let pb::RemoveRootRequest { name } = request.into_inner();
        answer(&self.0, move |engine| remove_root(engine, &name)).await?;
        Ok(Response::new(pb::RemoveRootReply {}))
    }

    async fn list_roots(
        &self,
        _request: Request<pb::ListRootsRequest>,
    ) -> Result<Response<pb::ListRootsReply>, Status> {
        let roots = answer(&self.0, list_roots).await?;
        Ok(Response::new(pb::ListRootsReply { roots }))
    }

    async fn query(
        &self,
        request: Request<pb::QueryRequest>,
    ) -> Result<Response<pb::QueryReply>, Status> {
        let pb::QueryRequest { keys } = request.into_inner();
        let at_once = query_at_once(&self.0, &keys).map_err(|problem| stream::status(&problem))?;
        let entries = match at_once {
            Some(entries) => entries,
            None => answer(&self.0, move |engine| query(engine, &keys)).await?,
        };
        Ok(Response::new(pb::QueryReply { entries }))
    }
}

fn criteria(policy: pb::CollectPolicy) -> Criteria {
    let pb::CollectPolicy { everything, older_than_s, max_size_b, min_free_b, keep } = policy;
    Criteria { everything, older_than_s, max_size_b, min_free_b, keep }
}

fn collect_event(event: pb::collect_event::Event) -> pb::CollectEvent {
    pb::CollectEvent { event: Some(event) }
}

/// What is told once everything that goes is gone.
fn went(gone: Gone) -> impl Iterator<Item = pb::CollectEvent> + Send {
    let Gone { decisions, things } = gone;
    let going = || decisions.iter().filter(|decision| decision.reason.goes());
    let size_b = going().map(|decision| decision.candidate.size_b).sum();
    let stay = (decisions.len() - going().count()) as u64;
    let gone = pb::CollectGone { things, size_b, stay };
    told(decisions).chain([collect_event(pb::collect_event::Event::Gone(gone))])
}

fn collected(collected: Collected) -> impl Iterator<Item = pb::CollectEvent> + Send {
    let Collected { decisions, removed, stay, litter } = collected;
    let Removed { things, blobs, freed_b } = removed;
    let summary = pb::CollectSummary { things, blobs, freed_b, stay, litter };
    told(decisions).chain([collect_event(pb::collect_event::Event::Summary(summary))])
}

fn told(decisions: Vec<Decision>) -> impl Iterator<Item = pb::CollectEvent> + Send {
    let event = |it| collect_event(pb::collect_event::Event::Decision(decision(it)));
    decisions.into_iter().map(event)
}

fn decision(decision: Decision) -> pb::CollectDecision {
    let Decision { candidate, reason } = decision;
    let (kind, id, aliases) = match &candidate.item {
        Item::Thing(thing, aliases) => {
            let kind = match thing {
                Thing::Output(_) => "output",
                Thing::Layer(_) => "layer",
                Thing::Image(_) => "image",
            };
            (kind, thing.to_string(), aliases.iter().map(ToString::to_string).collect())
        }
        Item::Failure(key) => ("failure", key.to_string(), Vec::new()),
        Item::Kept(name) => ("kept", name.clone(), Vec::new()),
    };
    let goes = reason.goes();
    let (why, held_by, number) = match reason {
        Reason::Held(held_by) => ("held", held_by, 0),
        Reason::Newest(count) => ("newest", Vec::new(), count.into()),
        Reason::NotAsked => ("not-asked", Vec::new(), 0),
        Reason::Unheld => ("unheld", Vec::new(), 0),
        Reason::Unused(seconds) => ("unused", Vec::new(), seconds),
        Reason::Room => ("room", Vec::new(), 0),
    };
    pb::CollectDecision {
        kind: kind.to_owned(),
        id,
        name: candidate.name.to_string(),
        size_b: candidate.size_b,
        last_use_unix_s: candidate.last_use_unix_s,
        goes,
        why: why.to_owned(),
        held_by: held_by.into_iter().map(holder).collect(),
        number,
        aliases,
    }
}

fn holder(holder: Holder) -> pb::CollectHolder {
    let (kind, name) = match holder {
        Holder::Root(name) => ("root", name),
        Holder::Work => ("work", String::new()),
        Holder::ImageName(name) => ("image-name", name),
        Holder::Kept(name) => ("kept", name),
    };
    pb::CollectHolder { kind: kind.to_owned(), name }
}

fn verify_event(event: pb::verify_event::Event) -> pb::VerifyEvent {
    pb::VerifyEvent { event: Some(event) }
}

fn verify(
    engine: &Engine,
    scope: Scope,
    repair: Repair,
    watch: &Watch,
) -> Result<Verified, Problem> {
    let mut verified = engine.store.verify(scope, repair, &mut |seen| {
        let Verified { things, files, read_b, .. } = *seen;
        watch.glimpse(Happening::Verifying { things, files, read_b });
        !watch.is_withdrawn()
    })?;
    watch.check()?;
    verify_images(engine, repair, &mut verified.findings)?;
    Ok(verified)
}

/// Compares what says what images are; their files were compared with everybody else's.
fn verify_images(
    engine: &Engine,
    repair: Repair,
    findings: &mut Vec<Finding>,
) -> Result<(), Problem> {
    for digest in engine.images.digests()? {
        let Err(Unsound { path, problem }) = engine.images.check(&digest) else { continue };
        let thing = Thing::Image(*digest.as_bytes());
        let what = thing.to_string();
        // Collected meanwhile, or told already.
        let is_there = path.parent().is_some_and(Path::exists);
        if !is_there || findings.iter().any(|finding| finding.what == what) {
            continue;
        }
        let done = match repair {
            Repair::No => "",
            Repair::Yes => match engine.store.discard(&[Item::Thing(thing, Vec::new())])? {
                0 => "in use, and left",
                _ => "forgotten",
            },
        };
        findings.push(Finding { what, path: Some(path), problem, done });
    }
    Ok(())
}

fn verified(verified: Verified) -> impl Iterator<Item = pb::VerifyEvent> + Send {
    use pb::verify_event::Event;
    let Verified { things, files, read_b, findings, .. } = verified;
    let summary = pb::VerifyProgress { things, files, read_b };
    let finding = |Finding { what, path, problem, done }| {
        let path = path.map(|path| path.display().to_string()).unwrap_or_default();
        verify_event(Event::Finding(pb::Finding { what, path, problem, done: done.to_owned() }))
    };
    let findings = findings.into_iter().map(finding);
    findings.chain([verify_event(Event::Summary(summary))])
}

fn stat(engine: &Engine) -> Result<pb::StatReply, Problem> {
    let store = &engine.store;
    let kbs_store::Totals {
        outputs,
        outputs_b,
        blobs,
        blobs_b,
        layers,
        layers_b,
        images,
        images_b,
    } = store.totals()?;
    let size_b = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    Ok(pb::StatReply {
        state_dir: store.paths().root().display().to_string(),
        schema: SCHEMA_VERSION,
        outputs,
        outputs_b,
        layers,
        layers_b,
        images,
        images_b,
        blobs,
        blobs_b,
        failures: store.failures()?.len() as u64,
        roots: store.roots()?.len() as u64,
        index_b: size_b(&store.paths().database()),
        free_b: engine.free_b(),
        shares_bytes: store.can_share_bytes(),
    })
}

fn add_root(engine: &Engine, name: String, key: &str) -> Result<BuildKey, Problem> {
    if name.contains('/') {
        let text = format!("`{name}` cannot be the name of a root: it is a path");
        let help = "give a plain name; `kbs realize --out-link PATH` makes a link that keeps its \
                    output";
        return Err(EngineError::Request { text, help: Some(help.to_owned()) }.into());
    }
    let key = find(engine, key)?;
    let created_unix_s = now_unix_s();
    engine.store.add_root(&Root { name, kind: RootKind::Named, key, created_unix_s })?;
    Ok(key)
}

fn remove_root(engine: &Engine, name: &str) -> Result<(), Problem> {
    if engine.store.remove_root(name)? {
        return Ok(());
    }
    let text = format!("there is no root `{name}`");
    let help = Some("list them with `kbs root ls`".to_owned());
    Err(EngineError::NotFound { text, help }.into())
}

fn list_roots(engine: &Engine) -> Result<Vec<pb::RootEntry>, Problem> {
    let now_unix_s = now_unix_s();
    let entry = |root: Root| {
        let state = engine.store.root_state(&root, now_unix_s)?;
        let Root { name, kind, key, created_unix_s } = root;
        Ok(pb::RootEntry {
            name,
            kind: match kind {
                RootKind::Named => "named",
                RootKind::Link => "link",
            }
            .to_owned(),
            key: key.to_string(),
            state: root_state_word(state).to_owned(),
            created_unix_s,
        })
    };
    engine.store.roots()?.into_iter().map(entry).collect()
}

/// The word on the wire.
pub(super) fn root_state_word(state: RootState) -> &'static str {
    match state {
        RootState::Alive => "alive",
        RootState::Missing => "missing",
        RootState::Dead => "dead",
    }
}

/// Answers on the thread that asks, which must not wait; `None` where that would take long. A hop to
/// another thread costs more than the whole look into the index.
fn query_at_once(
    engine: &Arc<Engine>,
    keys: &[String],
) -> Result<Option<Vec<pb::QueryEntry>>, Problem> {
    if keys.len() > AT_ONCE {
        return Ok(None);
    }
    let _present = engine.enter();
    let look_up = |text: &String| entry(engine, text, |key| engine.store.lookup_at_once(key));
    keys.iter().map(look_up).collect()
}

fn query(engine: &Engine, keys: &[String]) -> Result<Vec<pb::QueryEntry>, Problem> {
    let look_up = |text: &String| entry(engine, text, |key| engine.store.lookup(key).map(Some));
    let entries: Option<Vec<_>> = keys.iter().map(look_up).collect::<Result<_, _>>()?;
    Ok(entries.unwrap_or_default())
}

/// What `look_up` says of a key; `None` where it says nothing.
fn entry(
    engine: &Engine,
    text: &str,
    look_up: impl FnOnce(BuildKey) -> Result<Option<Option<IndexRow>>, StoreError>,
) -> Result<Option<pb::QueryEntry>, Problem> {
    let key = text.parse::<BuildKey>().map_err(|error| EngineError::Request {
        text: format!("`{text}` is not a key: {error}"),
        help: Some("give whole keys, `key:` and 64 hex digits".to_owned()),
    })?;
    let Some(row) = look_up(key)? else { return Ok(None) };
    let key = text.to_owned();
    let Some(row) = row else { return Ok(Some(pb::QueryEntry { key, ..Default::default() })) };
    let path = engine.store.paths().output(row.stored_as, &row.stored_name);
    Ok(Some(pb::QueryEntry {
        key,
        found: true,
        tree: row.tree.to_string(),
        size_b: row.size_b,
        entries: row.entries,
        created_unix_s: row.created_unix_s,
        path: path.display().to_string(),
    }))
}
