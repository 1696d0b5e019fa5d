//! Engine values as messages.

use kbs_kconfig::{CommitSeen, Departure, Fate, Successor, Symbol};
use kbs_plan::tree::{Entry, Tree};
use kbs_proto::pb;
use kbs_store::{OutputRow, Usage};

use crate::engine::Engine;
use crate::engine::outcome::{Difference, Failure, Outcome};
use crate::engine::watch::Happening;
use crate::problem::Problem;
use crate::stages::handed::Handed;
use crate::stages::kconfig::KconfigFile;

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A happening as an event; those of an open sandbox are none.
pub(crate) fn event(happening: Happening) -> Option<pb::Event> {
    let event = match happening {
        Happening::Began { phase, detail } => {
            pb::event::Event::Phase(pb::Phase { name: phase.to_owned(), detail, took_ms: None })
        }
        Happening::Ended { phase, took } => pb::event::Event::Phase(pb::Phase {
            name: phase.to_owned(),
            detail: String::new(),
            took_ms: Some(millis(took)),
        }),
        Happening::Notice { kind, text, symbols } => {
            pb::event::Event::Notice(pb::Notice { kind: kind.to_owned(), text, symbols })
        }
        Happening::Sample(sample) => pb::event::Event::Sample(self::sample(sample)),
        Happening::Log { offset, data } => pb::event::Event::Log(pb::LogChunk { offset, data }),
        Happening::Collecting { .. }
        | Happening::Verifying { .. }
        | Happening::Opened(_)
        | Happening::Gone(_)
        | Happening::Printed { .. } => return None,
    };
    Some(pb::Event { event: Some(event) })
}

fn sample(sample: kbs_sandbox::Sample) -> pb::Sample {
    let kbs_sandbox::Sample { at, user, system, memory_b, pids, scratch_b, scratch_files } = sample;
    pb::Sample {
        at_ms: millis(at),
        user_ms: millis(user),
        system_ms: millis(system),
        memory_b,
        pids,
        scratch_b,
        scratch_files,
    }
}

/// The Kconfig files of a commit as an event.
pub(crate) fn kconfig(handed: Handed) -> pb::Event {
    let Handed { project, commit, version, rules, env, files, config, places, answers } = handed;
    let place = |kbs_kconfig::Place { origin, line }| pb::ConfigPlace {
        origin: origin.as_ref().to_owned(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
    };
    let file = |KconfigFile { path, text }: KconfigFile| pb::KconfigFile {
        path: path.as_ref().to_owned(),
        text,
    };
    let tree = pb::KconfigTree {
        project,
        commit,
        version,
        rules: Some(rules.into()),
        env: env.into_iter().collect(),
        files: files.into_iter().map(file).collect(),
        config,
        places: places.into_iter().map(place).collect(),
        answers: answers.into_iter().collect(),
    };
    pb::Event { event: Some(pb::event::Event::Kconfig(tree)) }
}

/// What became of symbols.
pub(crate) fn past(found: Vec<(Symbol, Vec<Departure>)>) -> pb::PastReply {
    let departure = |departure: Departure| {
        let Departure { symbol, fate, by, prompt, choice, successor } = departure;
        let CommitSeen { commit, day, subject } = by;
        pb::Departure {
            symbol: symbol.to_string(),
            moved: fate == Fate::Moved,
            commit,
            day,
            subject,
            prompt,
            choice,
            successor: successor.map(|Successor { symbol, prompt }| pb::Successor {
                symbol: symbol.to_string(),
                prompt,
            }),
        }
    };
    let past = |(symbol, departures): (Symbol, Vec<Departure>)| pb::SymbolPast {
        symbol: symbol.to_string(),
        departures: departures.into_iter().map(departure).collect(),
    };
    pb::PastReply { pasts: found.into_iter().map(past).collect() }
}

/// The end of a request as an event.
pub(crate) fn ended(engine: &Engine, outcome: Outcome) -> Result<pb::Event, Problem> {
    let (key, how) = match outcome {
        Outcome::Output { row, built } => {
            let key = row.record.key;
            (key, pb::ended::How::Output(output(engine, &row, built)?))
        }
        Outcome::Failure { key, failure } => (key, pb::ended::How::Failure(self::failure(failure))),
        Outcome::Checked { key, differences } => {
            let check = pb::CheckResult {
                identical: differences.is_empty(),
                differences: differences.into_iter().map(difference).collect(),
            };
            (key, pb::ended::How::Check(check))
        }
    };
    let ended = pb::Ended { key: key.to_string(), how: Some(how) };
    Ok(pb::Event { event: Some(pb::event::Event::Ended(ended)) })
}

fn failure(failure: Failure) -> pb::Failure {
    let Failure { cause, text, command, tail, kept, usage } = failure;
    pb::Failure {
        cause: cause.word().to_owned(),
        text,
        code: cause.code(),
        command,
        tail,
        kept: kept.map(|path| path.display().to_string()).unwrap_or_default(),
        limit: cause.limit().to_owned(),
        usage: Some(self::usage(&usage)),
    }
}

fn usage(usage: &Usage) -> pb::Usage {
    let Usage {
        user_ms,
        system_ms,
        memory_peak_b,
        pids_peak,
        scratch_peak_b,
        scratch_files_peak,
        accounting,
        samples: _,
    } = usage;
    pb::Usage {
        user_ms: *user_ms,
        system_ms: *system_ms,
        memory_peak_b: *memory_peak_b,
        pids_peak: *pids_peak,
        scratch_peak_b: *scratch_peak_b,
        scratch_files_peak: *scratch_files_peak,
        accounting: accounting.clone(),
    }
}

fn difference(difference: Difference) -> pb::FileDifference {
    let Difference { path, offset, text } = difference;
    pb::FileDifference { path, offset, text }
}

/// An output as a message.
pub(crate) fn output(engine: &Engine, row: &OutputRow, built: bool) -> Result<pb::Output, Problem> {
    let record = &row.record;
    let tree = engine.tree(row)?;
    Ok(pb::Output {
        path: engine.store.output_path(row).display().to_string(),
        name: record.name.clone(),
        tree: row.tree.to_string(),
        commit: record.commit.clone(),
        version: record.version.clone(),
        toolchain: record.toolchain.clone(),
        config_hash: record.config.map(|hash| hash.to_string()).unwrap_or_default(),
        built,
        size_b: row.size_b,
        files: files(&tree),
        phases: record
            .phases
            .iter()
            .map(|phase| pb::PhaseTime { name: phase.name.clone(), took_ms: phase.took_ms })
            .collect(),
        usage: Some(usage(&record.usage)),
        created_unix_s: record.created_unix_s,
        marks: record.marks.iter().cloned().collect(),
    })
}

/// The files of an output.
pub(crate) fn files(tree: &Tree) -> Vec<pb::OutputFile> {
    let file = |(path, entry): (&kbs_plan::path::RelPath, &Entry)| match entry {
        Entry::File { blob, size, executable } => Some(pb::OutputFile {
            path: path.to_string(),
            size_b: *size,
            blob: blob.to_string(),
            executable: *executable,
        }),
        Entry::Symlink { .. } | Entry::Directory => None,
    };
    tree.iter().filter_map(file).collect()
}
