//! Builds a derivation in a jail and keeps what it made.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use kbs_kconfig::Notation;
use kbs_plan::derivation::Derivation;
use kbs_plan::id::{BuildKey, ContentKey};
use kbs_plan::kconfig::Configurer;
use kbs_sandbox::{
    Accounting, Finished, JailFile, JailPath, JailSpec, Sample, Scratch, Step, Wall,
};
use kbs_source::Selection;
use kbs_store::{
    ConfigDifference, FailureRecord, Ingested, LogFile, LogWriter, OutputRecord, OutputRow, Phase,
    Usage, UsageSample,
};

use super::collect::{self, Collected, Unfit};
use super::compared::{self, Compared};
use super::image::{self, Toolchain};
use super::ingest::{Fresh, Source};
use super::jail::{self, Tail};
use super::kept::Keepable;
use super::verdict::{self, Verdict};
use crate::config::Decided;
use crate::contract;
use crate::engine::flight::Flight;
use crate::engine::outcome::{Failure, Outcome};
use crate::engine::tasks;
use crate::engine::watch::Happening;
use crate::engine::{Engine, now_unix_s};
use crate::problem::{EngineError, Problem};

/// Samples that are kept with an output.
const SAMPLES_MAX: usize = 256;

/// Said where the sandbox had to do without its writable layer.
pub(crate) const COPIED: &str = "the source was copied into the sandbox: the file system of the \
     state directory cannot be a layer of an overlay, so every build takes longer";

/// Everything a build needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) derivation: Derivation,
    pub(crate) key: BuildKey,
    pub(crate) content: ContentKey,
    pub(crate) selection: Arc<Selection>,
    pub(crate) toolchain: Toolchain,
    /// The normalised configuration.
    pub(crate) config: Option<String>,
    /// How it is written.
    pub(crate) notation: Notation,
    /// Who normalised it.
    pub(crate) by: Configurer,
    /// The ref as asked.
    pub(crate) asked_ref: String,
    pub(crate) limits: Decided,
    /// Walls that the sandbox does without.
    pub(crate) without: BTreeSet<Wall>,
    /// How often to tell what the build holds.
    pub(crate) sample_every: Duration,
    pub(crate) keep_failed: bool,
    /// Who asked for it first.
    pub(crate) who: String,
    pub(crate) warnings: Vec<String>,
}

/// What came out of the jail.
pub(crate) enum Made {
    /// Artifacts, ingested.
    Artifacts {
        tree: Ingested,
        log: LogFile,
        usage: Usage,
        phases: Vec<Phase>,
        notes: Vec<String>,
        config_differences: Vec<ConfigDifference>,
    },
    /// A failure, with the log.
    Failed { failure: Failure, log: LogFile, phases: Vec<Phase> },
}

/// Builds, then commits the output or records the failure.
pub(crate) fn build(
    engine: &Engine,
    flight: &Arc<Flight>,
    order: &Order,
) -> Result<Outcome, Problem> {
    match make(engine, flight, order)? {
        Made::Artifacts { tree, log, usage, phases, notes, config_differences } => {
            let made = tree.id();
            let (mut row, _) = flight.phase("store", "", || {
                let mut record = record(order, phases.clone(), usage.clone());
                record.warnings.extend(notes);
                record.config_differences = config_differences;
                Ok(engine.store.commit(&record, tree, Some(log))?)
            })?;
            // The row may be that of an earlier build; what is told is of this one.
            (row.record.phases, row.record.usage) = (phases, usage);
            if row.tree != made {
                flight.notice(
                    "irreproducible",
                    "this build gave other bytes than the stored output, which stays; \
                     see where they differ with --check",
                );
            }
            Ok(Outcome::Output { row: Box::new(row), built: true })
        }
        Made::Failed { failure, log, phases } => {
            let record = failure_record(order, &failure, phases);
            engine.store.record_failure(&record, Some(log))?;
            Ok(Outcome::Failure { key: order.key, failure })
        }
    }
}

/// Runs the jail and collects, without committing anything.
pub(crate) fn make(engine: &Engine, flight: &Arc<Flight>, order: &Order) -> Result<Made, Problem> {
    let _slot = engine.slots.take(|| flight.is_abandoned()).ok_or(EngineError::Withdrawn)?;
    let mut phases = Vec::new();
    let ((source, fresh), took) =
        flight.phase("ingest", "", || super::ingest::ingest_at_once(engine, &order.selection))?;
    phases.push(phase("ingest", took));
    let make = || make_from(engine, flight, order, &source, phases);
    let (mut made, keepable) =
        if fresh.is_empty() { make()? } else { while_recording(flight, fresh, make)? };
    if let (Made::Failed { failure, .. }, Some((keepable, spec))) = (&mut made, keepable) {
        failure.kept = keepable.keep(engine, order, &spec);
    }
    Ok(made)
}

/// What a jail made, and what could be kept if that is a failure.
type MadeFrom = Result<(Made, Option<(Keepable, JailSpec)>), Problem>;

/// Makes something of sources that the disk does not have yet; it has as long as that takes.
fn while_recording(flight: &Flight, fresh: Fresh<'_>, make: impl FnOnce() -> MadeFrom) -> MadeFrom {
    let mut recorded = Ok(());
    let record = Box::new(|| {
        recorded = fresh.record();
        if recorded.is_err() {
            flight.stop();
        }
    });
    let made = tasks::together(vec![record], make).map_err(|source| EngineError::Host {
        action: "start",
        path: "a thread that waits for the disk".into(),
        source,
    })?;
    recorded?;
    made
}

/// Makes it of sources that are there.
fn make_from(
    engine: &Engine,
    flight: &Arc<Flight>,
    order: &Order,
    source: &Source,
    phases: Vec<Phase>,
) -> MadeFrom {
    image::inspect(engine, &order.toolchain)?;
    let keepable = order.keep_failed.then(|| Keepable::new(engine)).transpose()?;
    let room = engine.scratch(order.limits.scratch_b)?;
    let kept = keepable.as_ref().map(|keepable| Scratch::Directory(keepable.tree()));
    let scratch = kept.unwrap_or_else(|| room.scratch.clone());
    let spec = jail_spec(order, source, scratch);
    let made = run_and_collect(engine, flight, order, &spec, phases)?;
    Ok((made, keepable.map(|keepable| (keepable, spec))))
}

fn run_and_collect(
    engine: &Engine,
    flight: &Arc<Flight>,
    order: &Order,
    spec: &JailSpec,
    mut phases: Vec<Phase>,
) -> Result<Made, Problem> {
    if !order.without.is_empty() {
        let marks: Vec<_> = marks(&order.without).into_iter().collect();
        let text = "this host lacks a part of the sandbox, and is not required to have it";
        flight.notice("degraded", format!("{text}: the output is marked {}", marks.join(", ")));
    }
    let (run, took) = flight.phase("build", order.derivation.output_name(), || {
        run(engine, flight, spec, order.limits.log_b)
    })?;
    phases.push(phase("build", took));
    let Run { finished, mut log, log_b, tail, samples } = run;
    if flight.is_abandoned() {
        return Err(EngineError::Withdrawn.into());
    }
    let Finished { outcome, usage: jail_usage, took: _, dirs, copied } = finished;
    if copied && !order.without.contains(&Wall::Overlay) {
        flight.notice("degraded", COPIED);
    }
    let usage = usage_record(&jail_usage, samples);
    let failed = |cause, text, step: Option<usize>, tail: &Tail| Failure {
        cause,
        text,
        command: step
            .and_then(|step| spec.steps.get(step))
            .map(|step| step.argv.clone())
            .unwrap_or_default(),
        tail: tail.text(),
        kept: None,
        usage: usage.clone(),
    };
    let verdict = verdict::judge(outcome, spec, &jail_usage, &tail.text())?;
    let compared = dirs.as_ref().and_then(|dirs| compared::compare(order, &dirs.src));
    // A build that failed may have been ended before there was one, or because of what it is.
    let otherwise =
        if verdict.is_some() { Compared::default } else { compared::nothing_to_compare };
    let Compared { notes, differences: config_differences } = compared.unwrap_or_else(otherwise);
    tell_of_config(flight, order, &notes, (&mut log, log_b))?;
    let log = log.finish()?;
    if let Some(Verdict { cause, text, step }) = verdict {
        return Ok(Made::Failed { failure: failed(cause, text, step, &tail), log, phases });
    }
    let dirs = dirs.ok_or(EngineError::Lost { what: "the work tree of a jail" })?;
    let mut notes: Vec<_> = notes.into_iter().map(|(note, _)| note).collect();
    let (collected, took) = flight.phase("collect", "", || {
        collect::collect(dirs, &order.derivation.collect, &order.limits, engine.store.ingest()?)
    })?;
    phases.push(phase("collect", took));
    match collected {
        Ok(Collected { tree, left_out }) => {
            if let Some(left_out) = left_out {
                flight.notice("left-out", left_out.clone());
                notes.push(left_out);
            }
            Ok(Made::Artifacts { tree, log, usage, phases, notes, config_differences })
        }
        Err(Unfit { cause, text }) => {
            Ok(Made::Failed { failure: failed(cause, text, None, &tail), log, phases })
        }
    }
}

/// Tells how the configuration changed: to everybody who waits, and at the end of the log.
fn tell_of_config(
    flight: &Arc<Flight>,
    order: &Order,
    notes: &[(String, Option<String>)],
    (log, log_b): (&mut LogWriter, u64),
) -> Result<(), Problem> {
    for (note, symbol) in notes {
        flight.notice_of(compared::kind(order.by), note.clone(), symbol.iter().cloned().collect());
    }
    let lines: Vec<_> = notes.iter().map(|(note, _)| format!("kbs: {note}\n")).collect();
    let lines = lines.concat();
    if !lines.is_empty() {
        write_log(log, lines.as_bytes())?;
        flight.log_grew(log_b + lines.len() as u64);
    }
    Ok(())
}

fn write_log(log: &mut LogWriter, bytes: &[u8]) -> Result<(), EngineError> {
    log.write_all(bytes).and_then(|()| log.flush()).map_err(|source| EngineError::Host {
        action: "write",
        path: "the build log".into(),
        source,
    })
}

fn phase(name: &str, took: Duration) -> Phase {
    Phase { name: name.to_owned(), took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) }
}

/// The jail of a build.
pub(crate) fn jail_spec(order: &Order, source: &Source, scratch: Scratch) -> JailSpec {
    let Derivation { head, version, epoch, subdir, prepare, goals, args, env, .. } =
        &order.derivation;
    let work_dir = contract::work_dir(subdir.as_deref());
    let inside = |path: &str| JailPath::new(path).expect("a checked path below /build");
    let file = |path: &str, bytes: Vec<u8>, mode| JailFile { path: inside(path), bytes, mode };
    let git = contract::git_program(head, version, *epoch);
    let mut files = vec![
        file(&format!("{}/git", contract::TOOLS), git.into_bytes(), 0o755),
        // Version scripts ask git only where this exists.
        file(&format!("{}/.git/HEAD", contract::SRC), format!("{head}\n").into_bytes(), 0o644),
    ];
    if let Some(config) = &order.config {
        files.push(file(&format!("{work_dir}/.config"), config.clone().into_bytes(), 0o644));
    }
    let mut make = vec!["make".to_owned(), format!("-j{}", order.limits.jobs)];
    make.extend(args.iter().chain(goals).cloned());
    JailSpec {
        root: order.toolchain.rootfs.clone(),
        source: source.layers.clone(),
        inputs: Vec::new(),
        files,
        steps: prepare
            .iter()
            .cloned()
            .chain([make])
            .map(|argv| Step { argv, cwd: inside(&work_dir) })
            .collect(),
        env: contract::environment(env, &work_dir, *epoch),
        limits: order.limits.of_jail(),
        scratch,
        sample_every: order.sample_every,
        without: order.without.clone(),
    }
}

/// A jail that is over, and its log.
struct Run {
    finished: Finished,
    log: LogWriter,
    /// Bytes that were printed.
    log_b: u64,
    tail: Tail,
    samples: Vec<UsageSample>,
}

fn run(engine: &Engine, flight: &Arc<Flight>, spec: &JailSpec, log_b: u64) -> Result<Run, Problem> {
    let mut log = engine.store.log_writer(log_b)?;
    flight.set_log(log.tail());
    let (mut tail, mut seen_b) = (Tail::default(), 0);
    let finished = jail::run(
        engine,
        spec,
        |job| flight.set_job(job),
        {
            let flight = Arc::clone(flight);
            move |sample| flight.tell(Happening::Sample(sample))
        },
        |bytes| {
            tail.push(bytes);
            write_log(&mut log, bytes)?;
            seen_b += bytes.len() as u64;
            flight.log_grew(seen_b);
            Ok(())
        },
    )?;
    let samples = thin_out(flight.samples());
    Ok(Run { finished, log, log_b: seen_b, tail, samples })
}

/// What is kept of the samples: all of a short build, every second, fourth, … of a long one.
fn thin_out(samples: Vec<Sample>) -> Vec<UsageSample> {
    let step = samples.len().div_ceil(SAMPLES_MAX).max(1).next_power_of_two();
    samples
        .into_iter()
        .skip(step - 1)
        .step_by(step)
        .map(|sample| {
            let Sample { at, user, system, memory_b, pids, scratch_b, scratch_files } = sample;
            UsageSample {
                at_ms: millis(at),
                user_ms: millis(user),
                system_ms: millis(system),
                memory_b,
                pids,
                scratch_b,
                scratch_files,
            }
        })
        .collect()
}

/// How an output falls short of the whole sandbox.
pub(crate) fn marks(without: &BTreeSet<Wall>) -> BTreeSet<String> {
    without.iter().map(|wall| format!("no-{wall}")).collect()
}

fn record(order: &Order, phases: Vec<Phase>, usage: Usage) -> OutputRecord {
    let Order { derivation, key, content, asked_ref, who, warnings, .. } = order;
    OutputRecord {
        key: *key,
        content: *content,
        name: derivation.output_name(),
        project: derivation.project.clone(),
        commit: derivation.commit.clone(),
        asked_ref: asked_ref.clone(),
        version: derivation.version.clone(),
        config: derivation.config,
        toolchain: derivation.toolchain.clone(),
        derivation: derivation.canonical(),
        created_unix_s: now_unix_s(),
        who: who.clone(),
        phases,
        usage,
        warnings: warnings.clone(),
        config_differences: Vec::new(),
        marks: marks(&order.without),
    }
}

/// What is kept of what a jail used.
fn usage_record(usage: &kbs_sandbox::Usage, samples: Vec<UsageSample>) -> Usage {
    let kbs_sandbox::Usage {
        user,
        system,
        memory_peak_b,
        pids_peak,
        scratch_peak_b,
        scratch_files_peak,
        accounting,
    } = *usage;
    Usage {
        user_ms: millis(user),
        system_ms: millis(system),
        memory_peak_b,
        pids_peak,
        scratch_peak_b,
        scratch_files_peak,
        accounting: match accounting {
            Accounting::Cgroup => "cgroup",
            Accounting::Sampled => "sampled",
        }
        .to_owned(),
        samples,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The record of the same derivation content under another key.
pub(crate) fn alias_record(order: &Order, row: &OutputRow) -> OutputRecord {
    let record = record(order, row.record.phases.clone(), row.record.usage.clone());
    // How it was made is the other's; the store takes its marks over.
    let config_differences = row.record.config_differences.clone();
    OutputRecord { marks: BTreeSet::new(), config_differences, ..record }
}

fn failure_record(order: &Order, failure: &Failure, phases: Vec<Phase>) -> FailureRecord {
    let Order { derivation, key, asked_ref, who, .. } = order;
    FailureRecord {
        key: *key,
        name: derivation.output_name(),
        project: derivation.project.clone(),
        commit: derivation.commit.clone(),
        asked_ref: asked_ref.clone(),
        version: derivation.version.clone(),
        derivation: derivation.canonical(),
        reason: failure.text.clone(),
        created_unix_s: now_unix_s(),
        who: who.clone(),
        phases,
        usage: failure.usage.clone(),
    }
}
