//! Everything that is known of a key, as JSON.

use std::collections::BTreeSet;

use kbs_image::ImageDigest;
use kbs_plan::id::BuildKey;
use kbs_source::CommitId;
use kbs_store::{FailureRow, JobRow, LookUp, OutputRow, Thing};
use serde_json::{Map, Value, json};

use super::builds::{find, output_row};
use super::store::root_state_word;
use crate::engine::{Engine, now_unix_s};
use crate::problem::Problem;
use crate::stages::kept;

/// So many of the latest requests are looked at, and so many of those for a key are shown.
const JOBS_SEEN: usize = 10_000;
const JOBS_SHOWN: usize = 10;

/// What is known of the key that a prefix means.
pub(super) fn show(engine: &Engine, prefix: &str) -> Result<Value, Problem> {
    let key = find(engine, prefix)?;
    let failure = engine.store.failure(key)?;
    let mut shown = if engine.flights.get(key).is_some() {
        Map::from_iter([("key".to_owned(), json!(key)), ("state".to_owned(), json!("running"))])
    } else if let LookUp::Found(row) = engine.store.output(key)? {
        let mut shown = output(engine, &row)?;
        if let Some(failure) = &failure {
            let FailureRow { record, log: _ } = failure;
            let failure =
                json!({ "reason": record.reason, "created_unix_s": record.created_unix_s });
            shown.insert("latest_failure".to_owned(), failure);
        }
        shown
    } else if let Some(row) = &failure {
        self::failure(engine, row)
    } else {
        output_row(engine, key)?;
        Map::new()
    };
    shown.insert("jobs".to_owned(), jobs(engine, key)?);
    Ok(Value::Object(shown))
}

fn output(engine: &Engine, row: &OutputRow) -> Result<Map<String, Value>, Problem> {
    let record = &row.record;
    let mut shown = fields(row);
    let mut aliases = engine.store.aliases_of(row.stored_as.key)?;
    aliases.push(row.stored_as.key);
    aliases.retain(|alias| *alias != record.key);
    let used = engine.store.last_use(Thing::Output(record.key))?;
    let more = [
        ("state", json!("built")),
        ("derivation", derivation(&record.derivation)),
        ("path", json!(engine.store.output_path(row))),
        ("files", json!(engine.tree(row)?)),
        ("last_use_unix_s", json!(used.max(record.created_unix_s))),
        ("aliases", json!(aliases)),
        ("roots", roots(engine, &aliases.iter().copied().chain([record.key]).collect())?),
        ("toolchain_is_here", json!(is_image_here(engine, &record.toolchain))),
        ("commit_is_here", json!(is_commit_here(engine, &record.commit))),
    ];
    shown.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Ok(shown)
}

fn failure(engine: &Engine, row: &FailureRow) -> Map<String, Value> {
    let record = &row.record;
    let mut shown = fields(row);
    let derivation = derivation(&record.derivation);
    let toolchain = derivation["toolchain"].as_str().unwrap_or_default();
    let more = [
        ("state", json!("failed")),
        ("toolchain_is_here", json!(is_image_here(engine, toolchain))),
        ("commit_is_here", json!(is_commit_here(engine, &record.commit))),
        ("kept", json!(kept::newest_of(engine, record.key))),
        ("derivation", derivation),
    ];
    shown.extend(more.map(|(name, value)| (name.to_owned(), value)));
    shown
}

/// The fields of a row by name.
fn fields(row: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(row) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn derivation(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// What keeps an output that has these keys.
fn roots(engine: &Engine, keys: &BTreeSet<BuildKey>) -> Result<Value, Problem> {
    let now_unix_s = now_unix_s();
    let mut shown = Vec::new();
    for root in engine.store.roots()? {
        if keys.contains(&root.key) {
            let state = root_state_word(engine.store.root_state(&root, now_unix_s)?);
            let mut fields = fields(&root);
            fields.insert("state".to_owned(), json!(state));
            shown.push(Value::Object(fields));
        }
    }
    Ok(Value::Array(shown))
}

fn is_image_here(engine: &Engine, digest: &str) -> bool {
    digest.parse::<ImageDigest>().is_ok_and(|digest| engine.images.rootfs(&digest).is_some())
}

fn is_commit_here(engine: &Engine, commit: &str) -> bool {
    commit.parse::<CommitId>().is_ok_and(|commit| engine.mirror.commit_time(commit).is_ok())
}

/// The latest requests for a key, newest first.
fn jobs(engine: &Engine, key: BuildKey) -> Result<Value, Problem> {
    let jobs = engine.store.jobs(JOBS_SEEN)?.into_iter().filter(|job| job.key == Some(key));
    let job = |JobRow { who, asked_unix_s, key: _, name, outcome, took_ms }| {
        json!({
            "who": who,
            "asked_unix_s": asked_unix_s,
            "name": name,
            "outcome": outcome,
            "took_ms": took_ms,
        })
    };
    Ok(jobs.take(JOBS_SHOWN).map(job).collect())
}
