//! JSON objects as `--json` prints them.

use kbs_plan::error::Class;
use kbs_proto::pb;
use serde_json::{Value, json};

/// An error that ended a command.
pub(crate) fn error(class: Class, chain: &[String], help: Option<&str>) -> Value {
    let class = match class {
        Class::Build => "build",
        Class::User => "user",
        Class::NotFound => "not-found",
        Class::Environment => "environment",
        Class::Cancelled => "cancelled",
        Class::Bug => "bug",
    };
    let (message, causes) = chain.split_first().map_or(("", chain), |(first, rest)| (first, rest));
    json!({ "event": "error", "class": class, "message": message, "causes": causes, "help": help })
}

/// A phase that began or ended.
pub(crate) fn phase(phase: &pb::Phase) -> Value {
    let pb::Phase { name, detail, took_ms } = phase;
    json!({ "event": "phase", "name": name, "detail": detail, "took_ms": took_ms })
}

/// Something a person should know.
pub(crate) fn notice(notice: &pb::Notice) -> Value {
    let pb::Notice { kind, text, symbols } = notice;
    let mut event = json!({ "event": "notice", "kind": kind, "text": text });
    if !symbols.is_empty() {
        event["symbols"] = json!(symbols);
    }
    event
}

/// One line of a build's log.
pub(crate) fn log_line(line: &str) -> Value {
    json!({ "event": "log", "line": line })
}

/// How a request ended.
pub(crate) fn ended(ended: &pb::Ended) -> Value {
    use pb::ended::How;
    let pb::Ended { key, how } = ended;
    let (result, what) = match how {
        Some(How::Output(it)) => ("output", output(it)),
        Some(How::Failure(it)) => ("failure", failure(it)),
        Some(How::Check(it)) => ("check", check(it)),
        None => ("unknown", Value::Null),
    };
    json!({ "event": "ended", "key": key, "result": result, result: what })
}

fn output(output: &pb::Output) -> Value {
    let pb::Output {
        path,
        name,
        tree,
        commit,
        version,
        toolchain,
        config_hash,
        built,
        size_b,
        files,
        phases,
        usage,
        created_unix_s,
        marks,
    } = output;
    let files = files.iter().map(|file| {
        let pb::OutputFile { path, size_b, blob, executable } = file;
        json!({ "path": path, "size_b": size_b, "blob": blob, "executable": executable })
    });
    let phases = phases.iter().map(|phase| {
        let pb::PhaseTime { name, took_ms } = phase;
        json!({ "name": name, "took_ms": took_ms })
    });
    let usage = usage.as_ref().map(self::usage);
    json!({
        "path": path,
        "name": name,
        "tree": tree,
        "commit": commit,
        "version": version,
        "toolchain": toolchain,
        "config_hash": some(config_hash),
        "built": built,
        "size_b": size_b,
        "files": files.collect::<Vec<_>>(),
        "phases": phases.collect::<Vec<_>>(),
        "usage": usage,
        "created_unix_s": created_unix_s,
        "marks": marks,
    })
}

fn failure(failure: &pb::Failure) -> Value {
    let pb::Failure { cause, text, code, command, tail, kept, limit, usage } = failure;
    json!({
        "cause": cause,
        "text": text,
        "code": code,
        "command": command,
        "tail": tail,
        "kept": some(kept),
        "limit": some(limit),
        "usage": usage.as_ref().map(self::usage),
    })
}

fn usage(usage: &pb::Usage) -> Value {
    let pb::Usage {
        user_ms,
        system_ms,
        memory_peak_b,
        pids_peak,
        scratch_peak_b,
        scratch_files_peak,
        accounting,
    } = usage;
    json!({
        "user_ms": user_ms,
        "system_ms": system_ms,
        "memory_peak_b": memory_peak_b,
        "pids_peak": pids_peak,
        "scratch_peak_b": scratch_peak_b,
        "scratch_files_peak": scratch_files_peak,
        "accounting": some(accounting),
    })
}

/// What a running build holds.
pub(crate) fn sample(sample: &pb::Sample) -> Value {
    let pb::Sample { at_ms, user_ms, system_ms, memory_b, pids, scratch_b, scratch_files } = sample;
    json!({
        "event": "sample",
        "at_ms": at_ms,
        "user_ms": user_ms,
        "system_ms": system_ms,
        "memory_b": memory_b,
        "pids": pids,
        "scratch_b": scratch_b,
        "scratch_files": scratch_files,
    })
}

fn check(check: &pb::CheckResult) -> Value {
    let pb::CheckResult { identical, differences } = check;
    let differences = differences.iter().map(|difference| {
        let pb::FileDifference { path, offset, text } = difference;
        json!({ "path": path, "offset": offset, "text": text })
    });
    json!({ "identical": identical, "differences": differences.collect::<Vec<_>>() })
}

/// One output or failed build of a list.
pub(crate) fn list_entry(entry: &pb::ListEntry) -> Value {
    let pb::ListEntry {
        key,
        name,
        project,
        version,
        commit,
        size_b,
        created_unix_s,
        path,
        failure,
    } = entry;
    json!({
        "key": key,
        "name": name,
        "project": project,
        "version": version,
        "commit": commit,
        "size_b": size_b,
        "created_unix_s": created_unix_s,
        "path": some(path),
        "failure": some(failure),
    })
}

/// One source.
pub(crate) fn source(source: &pb::SourceEntry) -> Value {
    let pb::SourceEntry { name, url, synced_unix_s, object_count } = source;
    let synced = (*synced_unix_s > 0).then_some(synced_unix_s);
    json!({ "name": name, "url": url, "synced_unix_s": synced, "object_count": object_count })
}

/// What a sync changed.
pub(crate) fn synced(synced: &pb::SyncedSource) -> Value {
    let pb::SyncedSource { name, added, updated, removed } = synced;
    json!({ "name": name, "added": added, "updated": updated, "removed": removed })
}

/// One branch or tag.
pub(crate) fn reference(reference: &pb::RefEntry) -> Value {
    let pb::RefEntry { name, kind, commit } = reference;
    json!({ "name": name, "kind": kind, "commit": commit })
}

/// One image.
pub(crate) fn image(image: &pb::ImageEntry) -> Value {
    let pb::ImageEntry { digest, names, size_b, files, origin, created_unix_s, programs } = image;
    json!({
        "digest": digest,
        "names": names,
        "size_b": size_b,
        "files": files,
        "origin": origin,
        "created_unix_s": created_unix_s,
        "programs": programs,
    })
}

/// How the daemon is.
pub(crate) fn status(status: &pb::StatusReply) -> Value {
    let pb::StatusReply {
        version,
        pid,
        state_dir,
        uptime_s,
        running_builds,
        waiting_requests,
        resident_b,
        config_file,
    } = status;
    json!({
        "version": version,
        "pid": pid,
        "state_dir": state_dir,
        "uptime_s": uptime_s,
        "running_builds": running_builds,
        "waiting_requests": waiting_requests,
        "resident_b": resident_b,
        "config_file": some(config_file),
    })
}

/// What becomes of one thing in a collection.
pub(crate) fn decision(decision: &pb::CollectDecision) -> Value {
    let pb::CollectDecision {
        kind,
        id,
        name,
        size_b,
        last_use_unix_s,
        goes,
        why,
        held_by,
        number,
        aliases,
    } = decision;
    let held_by = held_by.iter().map(|holder| {
        let pb::CollectHolder { kind, name } = holder;
        json!({ "kind": kind, "name": some(name) })
    });
    let number = (*number > 0).then_some(number);
    json!({
        "event": "decision",
        "kind": kind,
        "id": id,
        "name": name,
        "size_b": size_b,
        "last_use_unix_s": last_use_unix_s,
        "goes": goes,
        "why": why,
        "held_by": held_by.collect::<Vec<_>>(),
        "newest": number.filter(|_| why == "newest"),
        "unused_s": number.filter(|_| why == "unused"),
        "aliases": aliases,
    })
}

/// What is gone, and may still have files.
pub(crate) fn gone(gone: &pb::CollectGone) -> Value {
    let pb::CollectGone { things, size_b, stay } = gone;
    json!({
        "event": "gone",
        "things": things,
        "size_b": size_b,
        "stay": stay,
    })
}

/// What came of a collection.
pub(crate) fn summary(summary: &pb::CollectSummary, dry_run: bool) -> Value {
    let pb::CollectSummary { things, blobs, freed_b, stay, litter } = summary;
    json!({
        "event": "summary",
        "dry_run": dry_run,
        "things": things,
        "blobs": (!dry_run).then_some(blobs),
        "freed_b": freed_b,
        "stay": stay,
        "litter": litter,
    })
}

/// Something that is not what it should be.
pub(crate) fn finding(finding: &pb::Finding) -> Value {
    let pb::Finding { what, path, problem, done } = finding;
    json!({
        "event": "finding",
        "what": what,
        "path": some(path),
        "problem": problem,
        "done": some(done),
    })
}

/// How much was compared, and how much of it was wrong and still is.
pub(crate) fn verified(seen: &pb::VerifyProgress, found: u64, left: u64) -> Value {
    let pb::VerifyProgress { things, files, read_b } = seen;
    json!({
        "event": "summary",
        "things": things,
        "files": files,
        "read_b": read_b,
        "findings": found,
        "not_repaired": left,
    })
}

/// Bytes of all trees, in hundredths of what they need on disk; `None` where that is nothing.
pub(crate) fn dedupe_hundredths(stat: &pb::StatReply) -> Option<u64> {
    let trees_b =
        u128::from(stat.outputs_b) + u128::from(stat.images_b) + u128::from(stat.layers_b);
    // Layers are files of their own, unless the file system shares their bytes with blobs.
    let layers_b = if stat.shares_bytes { 0 } else { stat.layers_b };
    let disk_b = u128::from(stat.blobs_b) + u128::from(layers_b);
    u64::try_from((trees_b * 100).checked_div(disk_b)?).ok()
}

/// How much is kept.
pub(crate) fn stat(stat: &pb::StatReply) -> Value {
    let dedupe_hundredths = dedupe_hundredths(stat);
    let pb::StatReply {
        state_dir,
        schema,
        outputs,
        outputs_b,
        layers,
        layers_b,
        images,
        images_b,
        blobs,
        blobs_b,
        failures,
        roots,
        index_b,
        free_b,
        shares_bytes,
    } = stat;
    json!({
        "state_dir": state_dir,
        "schema": schema,
        "outputs": outputs,
        "outputs_b": outputs_b,
        "layers": layers,
        "layers_b": layers_b,
        "images": images,
        "images_b": images_b,
        "blobs": blobs,
        "blobs_b": blobs_b,
        "dedupe_hundredths": dedupe_hundredths,
        "failures": failures,
        "roots": roots,
        "index_b": index_b,
        "free_b": free_b,
        "shares_bytes": shares_bytes,
    })
}

/// One part of the state directory.
pub(crate) fn part(part: &pb::PartUsage) -> Value {
    let pb::PartUsage { name, files, size_b, disk_b } = part;
    json!({ "name": name, "files": files, "size_b": size_b, "disk_b": disk_b })
}

/// One name that keeps an output.
pub(crate) fn root(root: &pb::RootEntry) -> Value {
    let pb::RootEntry { name, kind, key, state, created_unix_s } = root;
    json!({
        "name": name,
        "kind": kind,
        "key": key,
        "state": state,
        "created_unix_s": created_unix_s,
    })
}

/// An output that a name keeps from now on.
pub(crate) fn kept(name: &str, key: &str) -> Value {
    json!({ "name": name, "key": key })
}

/// One layer of what the host gives.
pub(crate) fn layer(layer: &pb::DoctorEntry) -> Value {
    let pb::DoctorEntry { layer, ok, required, text, fix, matters } = layer;
    json!({
        "layer": layer,
        "ok": ok,
        "required": required,
        "text": text,
        "matters": some(matters),
        "fix": some(fix),
    })
}

/// On the wire an absent text is an empty one.
fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
