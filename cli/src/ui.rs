//! What a person or a program sees: data on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use kbs_plan::error::Class;
use serde_json::Value;

use crate::args::Global;
use crate::env::Env;
use crate::error::CliError;
use crate::render::json;
use crate::render::screen::{Filter, Keep, plain};

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, where the environment does not forbid it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Talk {
    Quiet,
    Normal,
    Verbose,
}

/// The two streams and how to use them.
#[derive(Debug)]
pub(crate) struct Ui {
    /// How answers are written.
    pub(crate) format: Format,
    talk: Talk,
    color: bool,
    terminal: bool,
    line: Option<ProgressBar>,
    /// What a log goes through on its way to a stdout that is a terminal.
    out_filter: Option<Filter>,
    /// The same for stderr.
    err_filter: Option<Filter>,
    is_mid_line: bool,
}

impl Ui {
    /// Decides by options, environment and terminal; draws nothing yet.
    pub(crate) fn new(global: &Global, env: &Env) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let filter = |is_needed: bool| is_needed.then(|| Filter::new(Keep::Colours));
        Self {
            format: if global.json { Format::Json } else { Format::Text },
            talk: match (global.quiet, global.verbose) {
                (true, _) => Talk::Quiet,
                (false, false) => Talk::Normal,
                (false, true) => Talk::Verbose,
            },
            color: match global.color {
                Color::Auto => terminal && !env.no_color && !env.dumb_terminal,
                Color::Always => true,
                Color::Never => false,
            },
            terminal: terminal && !env.dumb_terminal,
            line: None,
            out_filter: filter(std::io::stdout().is_terminal()),
            err_filter: filter(terminal),
            is_mid_line: false,
        }
    }

    /// Whether a line that changes in place makes sense.
    pub(crate) fn is_live(&self) -> bool {
        self.terminal && self.talk >= Talk::Normal && self.format == Format::Text
    }

    /// Whether more is wanted than usual.
    pub(crate) fn is_verbose(&self) -> bool {
        self.talk >= Talk::Verbose
    }

    /// Writes one line of data.
    ///
    /// # Errors
    /// [`CliError::ReaderGone`], or why stdout cannot be written.
    pub(crate) fn data(&mut self, line: &dyn Display) -> Result<(), CliError> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Writes one JSON object as a line of data.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), CliError> {
        self.data(value)
    }

    /// Writes one JSON object of a running request, which goes on when nobody reads any more.
    ///
    /// # Errors
    /// Why stdout cannot be written.
    pub(crate) fn event(&mut self, value: &Value) -> Result<(), CliError> {
        match self.json(value) {
            Err(CliError::ReaderGone) => Ok(()),
            written => written,
        }
    }

    /// Writes data as it is.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.clear();
        let mut out = std::io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(CliError::ReaderGone),
            Err(error) => Err(CliError::host("cannot write to stdout", &error)),
        }
    }

    /// Writes a piece of a log as data: as it is, but to a terminal without what would steer it.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub(crate) fn log_data(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        match self.out_filter.as_mut().map(|filter| filter.push(bytes)) {
            Some(shown) => self.bytes(shown.as_bytes()),
            None => self.bytes(bytes),
        }
    }

    /// Ends a log that was written as data.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub(crate) fn end_log_data(&mut self) -> Result<(), CliError> {
        let reset = self.out_filter.as_mut().map_or("", Filter::reset);
        self.bytes(reset.as_bytes())
    }

    /// Says what was done; `--quiet` silences it.
    pub(crate) fn say(&mut self, text: &str) {
        if self.talk >= Talk::Normal {
            self.write(&plain(text));
        }
    }

    /// Says a detail; only with `--verbose`.
    pub(crate) fn detail(&mut self, text: &str) {
        if self.talk >= Talk::Verbose {
            self.write(&plain(text));
        }
    }

    /// Warns, always.
    pub(crate) fn warn(&mut self, text: &str) {
        let text = format!("{}{}", self.paint("33;1", "warning: "), plain(text));
        self.write(&text);
    }

    /// Tells an error, its causes and what to do next.
    pub(crate) fn error(&mut self, error: &CliError) {
        let CliError::Told { class, chain, help } = error else { return };
        if self.format == Format::Json {
            // When stdout fails as well, stderr still tells.
            self.event(&json::error(*class, chain, help.as_deref())).ok();
        }
        let mut text = String::new();
        for (depth, message) in chain.iter().enumerate() {
            let message = plain(message).trim_end().replace('\n', "\n  ");
            let head = if depth == 0 {
                self.paint("31;1", "error: ")
            } else {
                "\n  caused by: ".to_owned()
            };
            text.push_str(&head);
            text.push_str(&message);
        }
        let help = help.as_deref().or(match class {
            Class::Bug => Some("this is a bug in kbs; report it with the text above"),
            _ => None,
        });
        if let Some(help) = help {
            text.push_str("\n\n");
            text.push_str(&self.paint("36;1", "help: "));
            text.push_str(&plain(help));
        }
        self.write(&text);
    }

    /// Writes a piece of a build's log, always: as it is, but to a terminal without what would steer
    /// it.
    pub(crate) fn log(&mut self, bytes: &[u8]) {
        match self.err_filter.as_mut().map(|filter| filter.push(bytes)) {
            Some(shown) => self.put(shown.as_bytes()),
            None => self.put(bytes),
        }
    }

    /// Ends a line that a log left open, and its colours.
    pub(crate) fn end_line(&mut self) {
        let reset = self.err_filter.as_mut().map_or("", Filter::reset);
        let end = if self.is_mid_line { "\n" } else { "" };
        self.put(format!("{reset}{end}").as_bytes());
        self.is_mid_line = false;
    }

    /// Shows `text` on the line that changes in place.
    pub(crate) fn show(&mut self, text: &str) {
        if !self.is_live() {
            return;
        }
        let line = self.line.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}")
                .expect("the template is a constant with known keys");
            ProgressBar::new_spinner().with_style(style)
        });
        line.set_message(plain(text).replace(['\n', '\t'], " "));
        line.tick();
    }

    /// Removes the line that changes in place.
    pub(crate) fn clear(&mut self) {
        if let Some(line) = self.line.take() {
            line.finish_and_clear();
        }
    }

    fn write(&mut self, text: &str) {
        self.end_line();
        self.put(format!("{text}\n").as_bytes());
    }

    fn put(&mut self, bytes: &[u8]) {
        self.clear();
        // Nothing can be done for a stderr that is closed.
        std::io::stderr().lock().write_all(bytes).ok();
        self.is_mid_line = bytes.last().map_or(self.is_mid_line, |byte| *byte != b'\n');
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
