//! What the end of a jail means, in words for people.

use kbs_plan::quantity::ByteSize;
use kbs_sandbox::{JailSpec, Limit, Outcome, Usage};

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
            let text = format!("`{}` was ended by signal {signal}", line(step));
            (Cause::Signal(signal), text, Some(step))
        }
        Outcome::Exceeded(limit) => {
            let (name, text) = exceeded(limit, spec, usage);
            (Cause::Limit(name), text, None)
        }
        Outcome::Lost { signal } => {
            let text = format!(
                "its first process was ended from outside by signal {signal}; most often the \
                 machine's memory ran out"
            );
            (Cause::Signal(signal), text, None)
        }
    };
    Ok(Some(Verdict { cause, text, step }))
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
    match limit {
        Limit::Wall => {
            let allowed = limits.wall.unwrap_or_default().as_secs();
            ("wall", format!("it took longer than limits.wall allows ({allowed}s)"))
        }
        Limit::Memory => passed(
            format!("its processes held {} bytes of memory", usage.memory_peak_b),
            "memory",
            size(limits.memory_b.unwrap_or(u64::MAX)),
        ),
        Limit::Pids => passed(
            format!("it had {} processes and threads or tried to", usage.pids_peak),
            "pids",
            limits.pids.unwrap_or(u64::MAX).to_string(),
        ),
        Limit::Scratch => passed(
            format!("it wrote {} bytes", usage.scratch_peak_b),
            "scratch",
            size(limits.scratch_b),
        ),
        Limit::HostMemory => (
            "host-memory",
            "the machine had almost no memory left, and this was the largest build".to_owned(),
        ),
        Limit::HostDisk => (
            "host-disk",
            "the file system of the state directory had almost no room left".to_owned(),
        ),
        Limit::ScratchFiles => passed(
            format!("it made {} files", usage.scratch_files_peak),
            "scratch-files",
            limits.scratch_files.to_string(),
        ),
    }
}

/// The limit that a command may have run into without our seeing it, by what it says. The texts are
/// those of the C library in the locale of every build.
fn suspect(tail: &str, spec: &JailSpec, usage: &Usage) -> Option<String> {
    let limits = &spec.limits;
    let said = |text: &str, name: &str, value: String| {
        tail.contains(text).then(|| format!("it says \"{text}\", and limits.{name} is {value}"))
    };
    let seen = |peak: u64| format!(" (the most seen was {peak})");
    said("Too many open files", "open-files", limits.open_files.to_string())
        .or_else(|| {
            let value = ByteSize(limits.scratch_b).to_string() + &seen(usage.scratch_peak_b);
            said("No space left on device", "scratch", value)
        })
        .or_else(|| {
            let value = limits.pids?.to_string() + &seen(usage.pids_peak);
            said("Resource temporarily unavailable", "pids", value)
        })
        .or_else(|| {
            let value = ByteSize(limits.memory_b?).to_string() + &seen(usage.memory_peak_b);
            said("Cannot allocate memory", "memory", value)
        })
        .or_else(|| {
            let value = ByteSize(limits.scratch_b).to_string();
            said("File size limit exceeded", "scratch", value)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use kbs_sandbox::{JailPath, Limits, Scratch, Step};

    use super::*;

    fn spec() -> JailSpec {
        let cwd = JailPath::new("/build/src").unwrap();
        JailSpec {
            root: "/image".into(),
            source: None,
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
        its processes held 209715200 bytes of memory, more than limits.memory allows (150M)
        it had 6 processes and threads or tried to, more than limits.pids allows (5)
        it wrote 68157440 bytes, more than limits.scratch allows (64M)
        it made 11 files, more than limits.scratch-files allows (10)
        ");
    }

    #[test]
    fn a_limit_that_a_command_tells_of_is_named_too() {
        let failed = Outcome::Failed { step: 0, code: 2 };
        let tails = [
            "cc: error: x.c: Too many open files",
            "write error: No space left on device",
            "fork: Resource temporarily unavailable",
            "cc1: out of memory: Cannot allocate memory",
            "nothing of the kind",
        ];
        let texts = tails.map(|tail| text(failed.clone(), tail));
        insta::assert_snapshot!(texts.join("\n"), @r#"
        `make -j2` exited with 2; it says "Too many open files", and limits.open-files is 77
        `make -j2` exited with 2; it says "No space left on device", and limits.scratch is 64M (the most seen was 68157440)
        `make -j2` exited with 2; it says "Resource temporarily unavailable", and limits.pids is 5 (the most seen was 6)
        `make -j2` exited with 2; it says "Cannot allocate memory", and limits.memory is 150M (the most seen was 209715200)
        `make -j2` exited with 2
        "#);
    }
}
