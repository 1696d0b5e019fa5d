//! What the end of a jail means, in words for people.

use std::fmt::{self, Write as _};
use std::path::Path;

use kbs_plan::quantity::ByteSize;
use kbs_sandbox::{JailSpec, Limit, Outcome, Scratch, Usage};
use rustix::process::Signal;

use crate::engine::free_b;
use crate::engine::outcome::Cause;
use crate::problem::{EngineError, Problem};

/// How the commands of a jail failed.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The cause in one word.
    pub(crate) cause: Cause,
    /// What happened.
    pub(crate) text: String,
    /// Which command failed.
    pub(crate) step: Option<usize>,
}

/// How the commands of a jail failed, `None` when they succeeded. `tail` is the end of what they
/// printed.
///
/// # Errors
/// That the kernel refused the jail, or that nobody waits for it any more.
pub(crate) fn judge(
    outcome: Outcome,
    spec: &JailSpec,
    usage: &Usage,
    tail: &str,
) -> Result<Option<Verdict>, Problem> {
    let line = |step| command_line(spec, step);
    let (cause, text, step) = match outcome {
        Outcome::Succeeded => return Ok(None),
        Outcome::SetupFailed(failure) => {
            return Err(EngineError::Refused { failure, missing: Vec::new() }.into());
        }
        Outcome::Killed => return Err(EngineError::Withdrawn.into()),
        Outcome::Failed { step, code } => {
            let mut text = format!("`{}` exited with {code}", line(step));
            text.extend(suspect(tail, spec, usage).map(|suspect| format!("; {suspect}")));
            (Cause::Exit(code), text, Some(step))
        }
        Outcome::Signaled { step, signal } => {
            let mut text = format!("`{}` was ended by signal {signal}", line(step));
            if signal == Signal::XFSZ.as_raw() {
                let allowed = ByteSize(spec.limits.scratch_b);
                write!(text, "; it wrote too large a file, and limits.scratch is {allowed}")
                    .expect("memory takes any text");
            }
            (Cause::Signal(signal), text, Some(step))
        }
        Outcome::Exceeded(limit) => {
            let (name, text) = exceeded(limit, spec, usage);
            (Cause::Limit(name), text, None)
        }
        Outcome::Lost { signal } => {
            let cause = if signal == 0 { Cause::Lost } else { Cause::Signal(signal) };
            (cause, format!("its first process {}", lost(signal)), None)
        }
    };
    Ok(Some(Verdict { cause, text, step }))
}

/// What became of the first process of a jail, which was to tell how the commands end.
pub(crate) fn lost(signal: i32) -> String {
    if signal == 0 {
        return "exited without telling how the commands ended".to_owned();
    }
    format!("was ended from outside by signal {signal}; most often the machine's memory ran out")
}

fn command_line(spec: &JailSpec, step: usize) -> String {
    spec.steps.get(step).map(|step| step.argv.join(" ")).unwrap_or_default()
}

/// The name of a limit in specs, and what passed it.
pub(crate) fn exceeded(limit: Limit, spec: &JailSpec, usage: &Usage) -> (&'static str, String) {
    let limits = &spec.limits;
    let passed = |what: String, name: &'static str, allowed: String| {
        (name, format!("{what}, more than limits.{name} allows ({allowed})"))
    };
    let size = |bytes: u64| ByteSize(bytes).to_string();
    let used = |bytes: u64| ByteSize(bytes).rounded();
    match limit {
        Limit::Wall => {
            let allowed = limits.wall.unwrap_or_default().as_secs();
            ("wall", format!("it took longer than limits.wall allows ({allowed}s)"))
        }
        Limit::Memory => passed(
            format!("its processes held {} of memory", used(usage.memory_peak_b)),
            "memory",
            size(limits.memory_b.unwrap_or(u64::MAX)),
        ),
        Limit::Pids => passed(
            format!("it had {} processes and threads or tried to", usage.pids_peak),
            "pids",
            limits.pids.unwrap_or(u64::MAX).to_string(),
        ),
        Limit::Scratch => passed(
            format!("it wrote {}", used(usage.scratch_peak_b)),
            "scratch",
            size(limits.scratch_b),
        ),
        Limit::HostMemory => (
            "host-memory",
            "the machine had almost no memory left, and this was the largest build".to_owned(),
        ),
        Limit::HostDisk => ("host-disk", no_room_for(spec, usage)),
        Limit::ScratchFiles => passed(
            format!("it had {} files", usage.scratch_files_peak),
            "scratch-files",
            limits.scratch_files.to_string(),
        ),
    }
}

/// The directory on a disk that a build writes to, if there is one.
fn place_of(spec: &JailSpec) -> Option<&Path> {
    match &spec.scratch {
        Scratch::Directory(dir) | Scratch::Kept(dir) => Some(dir),
        Scratch::Memory => None,
    }
}

fn no_room_for(spec: &JailSpec, usage: &Usage) -> String {
    let place = place_of(spec).unwrap_or(Path::new("the state directory")).display();
    let (written, allowed) = (ByteSize(usage.scratch_peak_b).rounded(), spec.limits.scratch_b);
    format!(
        "the file system of {place} had almost no room left; the build had written {written} there, \
         and limits.scratch allows {}",
        ByteSize(allowed)
    )
}

/// The limit that a command may have run into without our seeing it, by what it says. The texts are
/// those of the C library in the locale of every build.
fn suspect(tail: &str, spec: &JailSpec, usage: &Usage) -> Option<String> {
    let limits = &spec.limits;
    let said = |text: &str, name: &str, value: String| {
        tail.contains(text).then(|| format!("it says \"{text}\", and limits.{name} is {value}"))
    };
    let scratch = ByteSize(limits.scratch_b).to_string();
    let no_space = || {
        let value = format!("{scratch}{}", seen(ByteSize(usage.scratch_peak_b).rounded()));
        let text = said("No space left on device", "scratch", value)?;
        Some(match place_of(spec).map(|dir| (dir, free_b(dir))) {
            Some((dir, Some(free_b))) => {
                let left = ByteSize(free_b).rounded();
                format!("{text}; {left} are left on the file system of {}", dir.display())
            }
            _ => text,
        })
    };
    said("Too many open files", "open-files", limits.open_files.to_string())
        .or_else(no_space)
        .or_else(|| {
            let value = limits.pids?.to_string() + &seen(usage.pids_peak);
            said("Resource temporarily unavailable", "pids", value)
        })
        .or_else(|| {
            let peak = ByteSize(usage.memory_peak_b).rounded();
            let value = ByteSize(limits.memory_b?).to_string() + &seen(peak);
            said("Cannot allocate memory", "memory", value)
        })
        // No file may be larger than all of them together.
        .or_else(|| said("File too large", "scratch", scratch.clone()))
        .or_else(|| said("File size limit exceeded", "scratch", scratch.clone()))
}

fn seen(peak: impl fmt::Display) -> String {
    format!(" (the most seen was {peak})")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use kbs_sandbox::{JailPath, Limits, Step};

    use super::*;

    fn spec() -> JailSpec {
        let cwd = JailPath::new("/build/src").unwrap();
        JailSpec {
            root: "/image".into(),
            source: vec![],
            inputs: vec![],
            files: vec![],
            steps: vec![Step { argv: vec!["make".into(), "-j2".into()], cwd }],
            env: BTreeMap::new(),
            limits: Limits {
                wall: Some(Duration::from_secs(3)),
                scratch_b: 64 << 20,
                scratch_files: 10,
                open_files: 77,
                pids: Some(5),
                memory_b: Some(150 << 20),
            },
            scratch: Scratch::Memory,
            sample_every: Duration::from_secs(3),
            without: BTreeSet::new(),
        }
    }

    fn text(outcome: Outcome, tail: &str) -> String {
        let usage = Usage {
            memory_peak_b: 200 << 20,
            pids_peak: 6,
            scratch_peak_b: 65 << 20,
            scratch_files_peak: 11,
            ..Usage::default()
        };
        judge(outcome, &spec(), &usage, tail).unwrap().unwrap().text
    }

    #[test]
    fn every_limit_is_named_with_its_value() {
        let all = [Limit::Wall, Limit::Memory, Limit::Pids, Limit::Scratch, Limit::ScratchFiles];
        insta::assert_snapshot!(all.map(|limit| text(Outcome::Exceeded(limit), "")).join("\n"), @r"
        it took longer than limits.wall allows (3s)
        its processes held 200.0 MiB of memory, more than limits.memory allows (150M)
        it had 6 processes and threads or tried to, more than limits.pids allows (5)
        it wrote 65.0 MiB, more than limits.scratch allows (64M)
        it had 11 files, more than limits.scratch-files allows (10)
        ");
    }

    #[test]
    fn a_full_disk_is_told_with_the_place_and_the_sizes() {
        let spec =
            JailSpec { scratch: Scratch::Directory("/state/scratch/jail-1".into()), ..spec() };
        let usage = Usage { scratch_peak_b: 9 << 20, ..Usage::default() };
        assert_eq!(
            exceeded(Limit::HostDisk, &spec, &usage).1,
            "the file system of /state/scratch/jail-1 had almost no room left; the build had written \
             9.0 MiB there, and limits.scratch allows 64M"
        );
    }

    #[test]
    fn a_limit_that_a_command_tells_of_is_named_too() {
        let failed = Outcome::Failed { step: 0, code: 2 };
        let tails = [
            "cc: error: x.c: Too many open files",
            "write error: No space left on device",
            "fork: Resource temporarily unavailable",
            "cc1: out of memory: Cannot allocate memory",
            "ld: final link failed: File too large",
            "make: *** [Makefile:2: all] File size limit exceeded",
            "nothing of the kind",
        ];
        let texts = tails.map(|tail| text(failed.clone(), tail));
        insta::assert_snapshot!(texts.join("\n"), @r#"
        `make -j2` exited with 2; it says "Too many open files", and limits.open-files is 77
        `make -j2` exited with 2; it says "No space left on device", and limits.scratch is 64M (the most seen was 65.0 MiB)
        `make -j2` exited with 2; it says "Resource temporarily unavailable", and limits.pids is 5 (the most seen was 6)
        `make -j2` exited with 2; it says "Cannot allocate memory", and limits.memory is 150M (the most seen was 200.0 MiB)
        `make -j2` exited with 2; it says "File too large", and limits.scratch is 64M
        `make -j2` exited with 2; it says "File size limit exceeded", and limits.scratch is 64M
        `make -j2` exited with 2
        "#);
    }

    #[test]
    fn how_a_command_or_the_first_process_was_ended_is_told_as_it_was() {
        let ends = [
            Outcome::Signaled { step: 0, signal: 11 },
            Outcome::Signaled { step: 0, signal: 25 },
            Outcome::Lost { signal: 9 },
            Outcome::Lost { signal: 0 },
        ];
        insta::assert_snapshot!(ends.map(|end| text(end, "")).join("\n"), @"
        `make -j2` was ended by signal 11
        `make -j2` was ended by signal 25; it wrote too large a file, and limits.scratch is 64M
        its first process was ended from outside by signal 9; most often the machine's memory ran out
        its first process exited without telling how the commands ended
        ");
        let lost = judge(Outcome::Lost { signal: 0 }, &spec(), &Usage::default(), "");
        assert_eq!(lost.unwrap().unwrap().cause, Cause::Lost);
    }
}
