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
    let pb::Notice { kind, text } = notice;
    json!({ "event": "notice", "kind": kind, "text": text })
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
