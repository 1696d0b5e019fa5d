//! A `kbs` that runs beside the test.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::{Answer, PATIENCE};

/// A `kbs --json` that runs beside the test.
pub(crate) struct Client {
    child: Child,
    lines: Receiver<String>,
    seen: String,
    err: Option<JoinHandle<String>>,
}

impl Client {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let out = child.stdout.take().expect("stdout is a pipe");
        let mut err = child.stderr.take().expect("stderr is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // The test may have ended.
                sender.send(line).ok();
            }
        });
        let err = std::thread::spawn(move || {
            let mut text = Vec::new();
            err.read_to_end(&mut text).expect("stderr can be read");
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, lines, seen: String::new(), err: Some(err) }
    }

    /// Waits until it says an event that `is_meant`; skips the others.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, is_meant: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("it never told of {what}, only\n{}", self.seen);
            };
            self.seen.push_str(&line);
            self.seen.push('\n');
            let event: Value = serde_json::from_str(&line).expect("every line is JSON");
            if is_meant(&event) {
                return event;
            }
        }
    }

    /// Waits until a phase begins.
    #[track_caller]
    pub(crate) fn wait_for_phase(&mut self, name: &str) {
        self.wait_for(name, |event| {
            event["event"] == "phase" && event["name"] == name && event["took_ms"].is_null()
        });
    }

    /// Waits until the build's log has a line with this text.
    #[track_caller]
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        self.wait_for(text, |event| {
            event["event"] == "log"
                && event["line"].as_str().is_some_and(|line| line.contains(text))
        });
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has a pid"), signal).expect("the child is not reaped yet");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Answer {
        let status = self.wait();
        let mut out = std::mem::take(&mut self.seen);
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            out.push_str(&line);
            out.push('\n');
        }
        let err = self.err.take().expect("it is waited for once");
        Answer { code: status.code(), out, err: err.join().expect("the reader does not panic") }
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < until, "it does not end: {}", self.seen);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Only a test that failed leaves it running.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
