//! What was measured, as a table or as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::{Failure, say};

/// A run of a benchmark.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    rows: Vec<Row>,
    /// What could not be measured, and why.
    skipped: Vec<Skipped>,
}

#[derive(Debug, Default, Serialize)]
struct Machine {
    kernel: String,
    cpus: usize,
    load: String,
}

/// One figure with its peers.
#[derive(Debug, Serialize)]
struct Row {
    what: String,
    #[serde(flatten)]
    kbs: Figure,
    peer: Option<String>,
    peer_value: Option<Figure>,
    ratio: Option<f64>,
    budget: Option<String>,
}

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Milliseconds.
    Ms(f64),
    /// Bytes.
    Bytes(u64),
    /// So many in a second.
    PerSecond(f64),
    /// Millions of bytes in a second.
    MbPerSecond(f64),
}

impl From<Duration> for Figure {
    fn from(took: Duration) -> Self {
        Self::Ms(took.as_secs_f64() * 1000.0)
    }
}

impl Figure {
    fn number(self) -> f64 {
        match self {
            Self::Ms(number) | Self::PerSecond(number) | Self::MbPerSecond(number) => number,
            #[expect(clippy::cast_precision_loss, reason = "sizes of processes, for a ratio")]
            Self::Bytes(bytes) => bytes as f64,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Ms(ms) if ms >= 1000.0 => format!("{:.2} s", ms / 1000.0),
            Self::Ms(ms) if ms < 1.0 => format!("{:.1} µs", ms * 1000.0),
            Self::Ms(ms) => format!("{ms:.1} ms"),
            Self::MbPerSecond(number) => format!("{number:.0} MB/s"),
            Self::PerSecond(number) => format!("{number:.0} /s"),
            Self::Bytes(_) => format!("{:.1} MiB", self.number() / (1024.0 * 1024.0)),
        }
    }
}

#[derive(Debug, Serialize)]
struct Skipped {
    what: String,
    why: String,
}

impl Report {
    /// A report that says which machine this is.
    pub(crate) fn new() -> Self {
        let proc = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let machine = Machine {
            kernel: proc("/proc/sys/kernel/osrelease"),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            load: proc("/proc/loadavg"),
        };
        Self { machine, ..Self::default() }
    }

    /// Adds a figure; `peers` are names with the peer's own figure, one row for each.
    pub(crate) fn row(
        &mut self,
        what: &str,
        kbs: impl Into<Figure>,
        peers: &[(&str, Figure)],
        budget: Option<&str>,
    ) {
        let kbs = kbs.into();
        let mut add = |peer: Option<(&str, Figure)>| {
            self.rows.push(Row {
                what: what.to_owned(),
                kbs,
                peer: peer.map(|(name, _)| name.to_owned()),
                peer_value: peer.map(|(_, value)| value),
                ratio: peer.map(|(_, value)| kbs.number() / value.number()),
                budget: budget.map(str::to_owned),
            });
        };
        if peers.is_empty() {
            add(None);
        }
        for (name, value) in peers {
            add(Some((name, *value)));
        }
    }

    /// Notes, now and in the report, that something was not measured.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        say(&format!("SKIPPED {what}: {why}"));
        self.skipped.push(Skipped { what: what.to_owned(), why: why.to_owned() });
    }

    /// The report as JSON.
    pub(crate) fn json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The report as a Markdown table.
    pub(crate) fn markdown(&self) -> String {
        let Machine { kernel, cpus, load } = &self.machine;
        let mut text = format!("Medians. Linux {kernel}, {cpus} CPUs, load at start {load}.\n\n");
        text.push_str("| what | kbs | peer | peer's | kbs / peer | budget |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        let dash = || "-".to_owned();
        for Row { what, kbs, peer, peer_value, ratio, budget } in &self.rows {
            let row = [
                what.clone(),
                kbs.shown(),
                peer.clone().unwrap_or_else(dash),
                peer_value.map_or_else(dash, Figure::shown),
                ratio.map_or_else(dash, |ratio| format!("{ratio:.2}")),
                budget.clone().unwrap_or_else(dash),
            ];
            writeln!(text, "| {} |", row.join(" | ")).expect("writing to a string cannot fail");
        }
        for Skipped { what, why } in &self.skipped {
            write!(text, "\n**SKIPPED** {what}: {why}\n").expect("writing to a string cannot fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_gets_a_row_with_its_ratio() {
        let mut report = Report::default();
        report.row(
            "warm",
            Duration::from_millis(5),
            &[("nix", Figure::Ms(20.0)), ("true", Figure::Ms(1.0))],
            Some("< 10 ms"),
        );
        let text = report.markdown();
        assert!(text.contains("| warm | 5.0 ms | nix | 20.0 ms | 0.25 | < 10 ms |"), "{text}");
        assert!(text.contains("| warm | 5.0 ms | true | 1.0 ms | 5.00 | < 10 ms |"), "{text}");
    }

    #[test]
    fn what_was_skipped_is_in_both_forms() {
        let mut report = Report::default();
        report.row("idle", Figure::Bytes(3 << 20), &[], None);
        report.skip("klipper", "no compiler");
        assert!(report.markdown().contains("| idle | 3.0 MiB | - | - | - | - |"));
        assert!(report.markdown().contains("**SKIPPED** klipper: no compiler"));
        assert!(report.json().unwrap().contains("no compiler"));
    }
}
