//! Runs a jail and takes what it prints.

use std::io::Read as _;
use std::sync::Arc;

use kbs_sandbox::{Console, Finished, JailSpec, Job, Outcome, Sample, SandboxError};

use crate::engine::Engine;
use crate::problem::{EngineError, Problem};

/// Runs a jail to its end: `started` gets the job to kill, `samples` what it holds now and then,
/// `print` every piece of output as it comes.
///
/// # Errors
/// Whatever keeps the jail from running, and the first error of `print`, for which it is killed.
pub(crate) fn run(
    engine: &Engine,
    spec: &JailSpec,
    started: impl FnOnce(&Arc<Job>),
    samples: impl Fn(Sample) + Send + Clone + 'static,
    mut print: impl FnMut(&[u8]) -> Result<(), Problem>,
) -> Result<Finished, Problem> {
    let sandbox = |source| EngineError::Sandbox { source };
    let (mut reader, writer) =
        std::io::pipe().map_err(|source| sandbox(SandboxError::Send(source)))?;
    let console = || writer.try_clone().map(|writer| Console::Log(writer.into()));
    let job = engine.start_jail(spec, &console, samples)?;
    drop(writer);
    started(&job);
    // The pipe ends when the last process of the jail is gone.
    let mut chunk = vec![0; 64 << 10];
    while let Ok(read @ 1..) = reader.read(&mut chunk) {
        if let Err(problem) = print(&chunk[..read]) {
            job.kill();
            return Err(problem);
        }
    }
    let finished = job.wait().map_err(sandbox)?;
    if let Outcome::SetupFailed(failure) = finished.outcome {
        return Err(engine.refused(failure).into());
    }
    Ok(finished)
}

/// The end of what a jail printed.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    const KEPT_B: usize = 16 << 10;
    const LINES: usize = 25;

    /// Adds output.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        if self.0.len() > 2 * Self::KEPT_B {
            self.0.drain(..self.0.len() - Self::KEPT_B);
        }
    }

    /// The last lines.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(Self::LINES)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_holds_the_last_lines_however_much_was_printed() {
        let mut tail = Tail::default();
        for line in 0..10_000 {
            tail.push(format!("line {line}\n").as_bytes());
        }
        let text = tail.text();
        assert_eq!(text.lines().count(), Tail::LINES);
        assert!(text.ends_with("line 9999"));
    }
}
