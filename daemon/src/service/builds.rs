//! `kbs.v1.Builds`.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kbs_plan::error::Class;
use kbs_plan::id::BuildKey;
use kbs_plan::spec::Spec;
use kbs_plan::tree::Entry;
use kbs_proto::border::need;
use kbs_proto::pb::builds_server::Builds;
use kbs_proto::{pb, status::to_status};
use kbs_store::{Ending, Found, JobOutcome, JobRow, LookUp, OutputRow, Thing};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::stream::{self, Answer, answer};
use super::{encode, shell, show, who};
use crate::engine::flight::LogCursor;
use crate::engine::outcome::Outcome;
use crate::engine::{Engine, now_unix_s, tasks};
use crate::problem::{EngineError, Problem};
use crate::stages::realize::{self, Reuse, Wish};
use crate::stages::{handed, past};

/// The service.
#[derive(Debug)]
pub(crate) struct Service(pub(crate) Arc<Engine>);

#[tonic::async_trait]
impl Builds for Service {
    type PlanStream = Answer<pb::Event>;
    async fn plan(
        &self,
        request: Request<pb::PlanRequest>,
    ) -> Result<Response<Self::PlanStream>, Status> {
        let pb::PlanRequest { spec, look_up } = request.into_inner();
        let spec = decode(spec)?;
        let running = tasks::request(&self.0, move |engine, watch| {
            if look_up && realize::is_surely_absent(engine, &spec)? {
                let event = pb::event::Event::Planned(pb::Planned::default());
                return Ok(pb::Event { event: Some(event) });
            }
            let planned = realize::plan(engine, &spec, watch)?;
            let key = planned.derivation.key();
            let event = pb::Planned {
                key: key.to_string(),
                derivation_json: planned.derivation.canonical(),
                cached: matches!(engine.store.output(key)?, LookUp::Found(_)),
                config: planned.config.map(|config| config.text).unwrap_or_default(),
            };
            Ok(pb::Event { event: Some(pb::event::Event::Planned(event)) })
        });
        Ok(Response::new(stream::of(running, encode::event, |event| vec![event])))
    }

    type RealizeStream = Answer<pb::Event>;
    async fn realize(
        &self,
        request: Request<pb::RealizeRequest>,
    ) -> Result<Response<Self::RealizeStream>, Status> {
        let reuse = match request.get_ref().reuse() {
            pb::Reuse::Unspecified => Reuse::Take,
            pb::Reuse::Rebuild => Reuse::Rebuild,
            pb::Reuse::Check => Reuse::Check,
        };
        let who = who(&request);
        let pb::RealizeRequest { spec, reuse: _, keep_failed, log, out_links } =
            request.into_inner();
        let wish = Wish { spec: decode(spec)?, reuse, keep_failed, want_log: log, who, out_links };
        let running = tasks::request(&self.0, move |engine, watch| {
            let (asked_unix_s, began) = (now_unix_s(), Instant::now());
            let end = realize::realize(engine, &wish, watch);
            engine.store.note_job(job(&wish, &end, asked_unix_s, began.elapsed()))?;
            encode::ended(engine, end?)
        });
        Ok(Response::new(stream::of(running, encode::event, |event| vec![event])))
    }

    type LogStream = Answer<pb::LogChunk>;
    async fn log(
        &self,
        request: Request<pb::LogRequest>,
    ) -> Result<Response<Self::LogStream>, Status> {
        let pb::LogRequest { key, offset, follow } = request.into_inner();
        let (sender, receiver) = mpsc::channel(16);
        let engine = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let _present = engine.enter();
            if let Err(problem) = send_log(&engine, &key, offset, follow, &sender) {
                drop(sender.blocking_send(Err(stream::status(&problem))));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn show(
        &self,
        request: Request<pb::ShowRequest>,
    ) -> Result<Response<pb::ShowReply>, Status> {
        let pb::ShowRequest { key } = request.into_inner();
        let json = answer(&self.0, move |engine| show::show(engine, &key)).await?;
        Ok(Response::new(pb::ShowReply { json: json.to_string() }))
    }

    async fn list(
        &self,
        request: Request<pb::ListRequest>,
    ) -> Result<Response<pb::ListReply>, Status> {
        let asked = request.into_inner();
        let entries = answer(&self.0, move |engine| list(engine, &asked)).await?;
        Ok(Response::new(pb::ListReply { entries }))
    }

    type FetchStream = Answer<pb::FetchChunk>;
    async fn fetch(
        &self,
        request: Request<pb::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let pb::FetchRequest { key } = request.into_inner();
        let (sender, receiver) = mpsc::channel(16);
        let engine = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let _present = engine.enter();
            if let Err(problem) = send_files(&engine, &key, &sender) {
                drop(sender.blocking_send(Err(stream::status(&problem))));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    type KconfigStream = Answer<pb::Event>;
    async fn kconfig(
        &self,
        request: Request<pb::KconfigRequest>,
    ) -> Result<Response<Self::KconfigStream>, Status> {
        let pb::KconfigRequest { spec } = request.into_inner();
        let spec = decode(spec)?;
        let running =
            tasks::request(&self.0, move |engine, watch| handed::hand(engine, &spec, watch));
        let last = |handed| vec![encode::kconfig(handed)];
        Ok(Response::new(stream::of(running, encode::event, last)))
    }

    async fn past(
        &self,
        request: Request<pb::PastRequest>,
    ) -> Result<Response<pb::PastReply>, Status> {
        let pb::PastRequest { commit, symbols } = request.into_inner();
        let found =
            answer(&self.0, move |engine| past::of_commit(engine, &commit, &symbols)).await?;
        Ok(Response::new(encode::past(found)))
    }

    type ShellStream = Answer<pb::ShellOutput>;
    async fn shell(
        &self,
        request: Request<Streaming<pb::ShellInput>>,
    ) -> Result<Response<Self::ShellStream>, Status> {
        shell::open(&self.0, request.into_inner()).await.map(Response::new)
    }
}

/// What is remembered of a request.
fn job(wish: &Wish, end: &Result<Outcome, Problem>, asked_unix_s: u64, took: Duration) -> JobRow {
    let (key, outcome) = match end {
        Ok(Outcome::Output { row, built: true }) => (Some(row.record.key), JobOutcome::Built),
        Ok(Outcome::Output { row, built: false }) => (Some(row.record.key), JobOutcome::Reused),
        Ok(Outcome::Checked { key, .. }) => (Some(*key), JobOutcome::Built),
        Ok(Outcome::Failure { key, .. }) => (Some(*key), JobOutcome::Failed),
        Err(problem) if problem.class() == Class::Cancelled => (None, JobOutcome::Cancelled),
        Err(_) => (None, JobOutcome::Refused),
    };
    JobRow {
        who: wish.who.clone(),
        asked_unix_s,
        key,
        name: wish.spec.resolve_recipe().map(|recipe| recipe.name).unwrap_or_default(),
        outcome,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

pub(super) fn decode(spec: Option<pb::Spec>) -> Result<Spec, Status> {
    need("spec", spec).and_then(Spec::try_from).map_err(|error| to_status(&error))
}

type Sender<T> = mpsc::Sender<Result<T, Status>>;

/// The key that a prefix means, among outputs, failures and running builds.
pub(super) fn find(engine: &Engine, prefix: &str) -> Result<BuildKey, Problem> {
    let digits = prefix.strip_prefix("key:").unwrap_or(prefix);
    let running = engine.flights.keys_with(digits);
    if let ([key], true) = (running.as_slice(), digits.len() >= 4) {
        return Ok(*key);
    }
    match engine.store.find(prefix)? {
        Found::One(key) => Ok(key),
        Found::None => Err(EngineError::NotFound {
            text: format!("nothing is known of `{prefix}`"),
            help: Some("list what there is with `kbs ls` or `kbs ls --failed`".to_owned()),
        }
        .into()),
        Found::Many(keys) => {
            let keys: Vec<_> = keys.iter().take(8).map(ToString::to_string).collect();
            let text = format!("`{prefix}` is the beginning of several keys");
            Err(EngineError::Request {
                text,
                help: Some(format!("choose one of {}", keys.join(", "))),
            }
            .into())
        }
    }
}

fn send_log(
    engine: &Engine,
    key: &str,
    offset: u64,
    follow: bool,
    sender: &Sender<pb::LogChunk>,
) -> Result<(), Problem> {
    let key = find(engine, key)?;
    let mut send = |offset: u64, data: Vec<u8>| {
        sender.blocking_send(Ok(pb::LogChunk { offset, data })).is_ok()
    };
    let mut cursor = LogCursor::new(offset);
    let flight = engine.flights.get(key);
    if let Some(flight) = &flight {
        flight.follow_log(&mut cursor, &|| !follow || sender.is_closed(), &mut |offset, data| {
            send(offset, data);
        });
        if !follow {
            return Ok(());
        }
    }
    // A key may have failed and been built: the later log is the one that is meant.
    let failed = engine.store.failure(key)?.map(|row| row.record.created_unix_s);
    let built = engine.store.output(key)?.found().map(|row| row.record.created_unix_s);
    let ending = if failed > built { Ending::Failed } else { Ending::Succeeded };
    let found = engine.send_log(key, ending, cursor.offset, &mut send)?;
    // A build that was withdrawn leaves no log; who followed it has seen all there was.
    if found || flight.is_some() {
        return Ok(());
    }
    Err(EngineError::NotFound { text: format!("no log of {key} is kept"), help: None }.into())
}

pub(super) fn output_row(engine: &Engine, key: BuildKey) -> Result<OutputRow, Problem> {
    match engine.store.output(key)? {
        LookUp::Found(row) => Ok(*row),
        LookUp::Absent => Err(EngineError::NotFound {
            text: format!("there is no output of {key}"),
            help: Some(
                "build it with `kbs realize`, or see `kbs log` for why it failed".to_owned(),
            ),
        }
        .into()),
        LookUp::Dropped { reason, moved_to: _ } => Err(EngineError::NotFound {
            text: format!("the output of {key} was damaged and set aside: {reason}"),
            help: Some("run `kbs realize` again".to_owned()),
        }
        .into()),
    }
}

fn list(engine: &Engine, asked: &pb::ListRequest) -> Result<Vec<pb::ListEntry>, Problem> {
    let pb::ListRequest { project, limit, failed } = asked;
    let limit = if *limit == 0 { usize::MAX } else { *limit as usize };
    let wanted = |name: &str| project.is_empty() || project == name;
    if *failed {
        let rows = engine.store.failures()?.into_iter().filter(|row| wanted(&row.record.project));
        return Ok(rows
            .take(limit)
            .map(|row| pb::ListEntry {
                key: row.record.key.to_string(),
                name: row.record.name,
                project: row.record.project,
                version: row.record.version,
                commit: row.record.commit,
                size_b: 0,
                created_unix_s: row.record.created_unix_s,
                path: String::new(),
                failure: row.record.reason,
            })
            .collect());
    }
    let rows = engine.store.outputs()?.into_iter().filter(|row| wanted(&row.record.project));
    Ok(rows
        .take(limit)
        .map(|row| pb::ListEntry {
            path: engine.store.output_path(&row).display().to_string(),
            key: row.record.key.to_string(),
            name: row.record.name,
            project: row.record.project,
            version: row.record.version,
            commit: row.record.commit,
            size_b: row.size_b,
            created_unix_s: row.record.created_unix_s,
            failure: String::new(),
        })
        .collect())
}

fn send_files(
    engine: &Engine,
    prefix: &str,
    sender: &Sender<pb::FetchChunk>,
) -> Result<(), Problem> {
    let key = find(engine, prefix)?;
    let mut leases = vec![engine.store.lease(Thing::Output(key))];
    let row = output_row(engine, key)?;
    leases.push(engine.store.lease(Thing::Output(row.stored_as.key)));
    let tree = engine.tree(&row)?;
    let send = |part: pb::fetch_chunk::Part| {
        drop(sender.blocking_send(Ok(pb::FetchChunk { part: Some(part) })));
    };
    send(pb::fetch_chunk::Part::MetaJson(build_meta(&row, &tree)));
    for (path, entry) in tree.iter() {
        match entry {
            Entry::Directory => {}
            Entry::Symlink { target } => send(pb::fetch_chunk::Part::Link(pb::OutputLink {
                path: path.to_string(),
                target: target.clone(),
            })),
            Entry::File { blob, size, executable } => {
                send(pb::fetch_chunk::Part::File(pb::OutputFile {
                    path: path.to_string(),
                    size_b: *size,
                    blob: blob.to_string(),
                    executable: *executable,
                }));
                let mut bytes = engine.store.read_blob(*blob)?;
                let mut chunk = vec![0; 256 << 10];
                loop {
                    let read = bytes.read(&mut chunk).map_err(|source| EngineError::Host {
                        action: "read the artifact",
                        path: path.as_path().to_owned(),
                        source,
                    })?;
                    if read == 0 {
                        break;
                    }
                    if sender.is_closed() {
                        return Ok(());
                    }
                    send(pb::fetch_chunk::Part::Data(chunk[..read].to_vec()));
                }
            }
        }
    }
    Ok(())
}

/// `build-meta.json` as it leaves the store: what decides the bytes and what they are. Times and
/// machines are left out, so the document is the same wherever the output was built.
fn build_meta(row: &OutputRow, tree: &kbs_plan::tree::Tree) -> String {
    let record = &row.record;
    let derivation: serde_json::Value =
        serde_json::from_str(&record.derivation).unwrap_or_default();
    let meta = serde_json::json!({
        "key": record.key,
        "project": record.project,
        "commit": record.commit,
        "version": record.version,
        "config": record.config,
        "toolchain": record.toolchain,
        "tree": row.tree,
        "size": row.size_b,
        "files": tree,
        "derivation": derivation,
        // How the sandbox fell short: nothing, wherever it was whole.
        "marks": record.marks,
    });
    let mut text = serde_json::to_string_pretty(&meta).unwrap_or_default();
    text.push('\n');
    text
}
