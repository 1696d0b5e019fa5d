//! What is shown of a request while it runs.

use std::time::{Duration, Instant};

use kbs_proto::pb;

use crate::error::CliError;
use crate::render::json;
use crate::render::text::{Lines, size, span};
use crate::ui::{Format, Ui};

/// What becomes of a build's log while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogTo {
    /// Its last line is shown where a line can change in place.
    LastLine,
    /// All of it is shown.
    Screen,
}

/// What is shown of a request while it runs.
#[derive(Debug)]
pub(crate) struct Progress {
    log_to: LogTo,
    now: Option<(String, Instant)>,
    lines: Lines,
    last_line: String,
    holds: String,
}

impl Progress {
    /// Nothing has happened yet.
    pub(crate) fn new(log_to: LogTo) -> Self {
        Self {
            log_to,
            now: None,
            lines: Lines::default(),
            last_line: String::new(),
            holds: String::new(),
        }
    }

    /// Whether the log is worth sending.
    pub(crate) fn wants_log(&self, ui: &Ui) -> bool {
        self.log_to == LogTo::Screen || ui.is_live()
    }

    /// A phase began or ended.
    ///
    /// # Errors
    /// Why stdout cannot be written.
    pub(crate) fn phase(&mut self, phase: &pb::Phase, ui: &mut Ui) -> Result<(), CliError> {
        if ui.format == Format::Json {
            return ui.event(&json::phase(phase));
        }
        let pb::Phase { name, detail, took_ms } = phase;
        let title = format!("{name} {detail}").trim_end().to_owned();
        self.last_line.clear();
        self.holds.clear();
        let Some(took_ms) = took_ms else {
            self.now = Some((title, Instant::now()));
            return Ok(());
        };
        self.now = None;
        let line = format!("{title} \u{2026} {}", span(Duration::from_millis(*took_ms)));
        if ui.is_live() {
            ui.detail(&line);
        } else {
            ui.say(&line);
        }
        Ok(())
    }

    /// Something a person should know.
    ///
    /// # Errors
    /// Why stdout cannot be written.
    pub(crate) fn notice(&mut self, notice: &pb::Notice, ui: &mut Ui) -> Result<(), CliError> {
        if ui.format == Format::Json {
            return ui.event(&json::notice(notice));
        }
        let pb::Notice { kind, text, symbols: _ } = notice;
        if kind == "progress" {
            if ui.is_live() {
                self.last_line.clone_from(text);
            } else {
                ui.detail(text);
            }
        } else {
            ui.warn(text);
        }
        Ok(())
    }

    /// What the running build holds.
    ///
    /// # Errors
    /// Why stdout cannot be written.
    pub(crate) fn sample(&mut self, sample: &pb::Sample, ui: &mut Ui) -> Result<(), CliError> {
        if ui.format == Format::Json {
            return ui.event(&json::sample(sample));
        }
        self.holds = format!("[{}] ", size(sample.memory_b));
        Ok(())
    }

    /// The build wrote to its log.
    ///
    /// # Errors
    /// Why stdout cannot be written.
    pub(crate) fn log(&mut self, chunk: &pb::LogChunk, ui: &mut Ui) -> Result<(), CliError> {
        let pb::LogChunk { offset: _, data } = chunk;
        match (ui.format, self.log_to) {
            (Format::Json, _) => {
                for line in self.lines.push(data) {
                    ui.event(&json::log_line(&line))?;
                }
            }
            (Format::Text, LogTo::Screen) => ui.log(data),
            (Format::Text, LogTo::LastLine) => {
                let lines = self.lines.push(data);
                if let Some(line) = lines.into_iter().rfind(|line| !line.trim().is_empty()) {
                    self.last_line = line;
                }
            }
        }
        Ok(())
    }

    /// Gives out what is left of the log.
    ///
    /// # Errors
    /// Why stdout cannot be written.
    pub(crate) fn finish(&mut self, ui: &mut Ui) -> Result<(), CliError> {
        ui.clear();
        ui.end_line();
        match self.lines.take() {
            Some(line) if ui.format == Format::Json => ui.event(&json::log_line(&line)),
            _ => Ok(()),
        }
    }

    /// Shows where the request is, on the line that changes in place.
    pub(crate) fn draw(&self, ui: &mut Ui) {
        // The log itself moves the screen.
        if self.log_to == LogTo::Screen {
            return;
        }
        if let Some((title, since)) = &self.now {
            let (took, holds) = (span(since.elapsed()), &self.holds);
            ui.show(&format!("{title} \u{2026} {took}  {holds}{}", self.last_line));
        }
    }
}
