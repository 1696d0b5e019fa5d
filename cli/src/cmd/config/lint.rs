//! `kbs config lint`.

use std::collections::BTreeMap;

use kbs_kconfig::{Flaw, FlawKind};

use super::load;
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::TreeArgs;
use crate::render::screen::plain;
use crate::render::{explain, explain_json};
use crate::ui::{Format, Ui};

/// Find mistakes in the Kconfig files
///
/// Lists only what is certain: lines that cannot mean what they say. What is defined nowhere or
/// never shown may be meant for another architecture and is counted; --all lists it. With FILE,
/// symbols whose dependencies a select overrules there are told. Exits with 1 where there is a
/// mistake.
#[derive(Debug, clap::Args)]
#[command(override_usage = "kbs config lint [OPTIONS] [SPEC] [FILE]")]
pub(super) struct LintArgs {
    /// A spec, a configuration (`-` is stdin), or both
    #[arg(value_name = "FILE", num_args = 0..=2, value_hint = clap::ValueHint::FilePath)]
    pub(super) operands: Vec<String>,
    /// List what is defined nowhere or never shown, too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    pub(super) tree: TreeArgs,
}

/// Runs `kbs config lint`.
///
/// # Errors
/// What cannot be read.
pub(super) fn run(args: &LintArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let LintArgs { operands, all, tree } = args;
    let kconfig = tree.load()?;
    let config = tree.config(operands.first())?;
    let mut configuration = kconfig.evaluate();
    load(&mut configuration, config.as_ref());
    for note in kconfig.notes() {
        ui.warn(&format!("{}: {}", note.at, note.text));
    }
    let mut flaws = kconfig.lint();
    flaws.extend(configuration.unmet());
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut mistakes = 0;
    for flaw in &flaws {
        let is_usual = flaw.what.may_be_meant();
        mistakes += usize::from(!is_usual);
        if is_usual && !all {
            *counted.entry(flaw.what.name()).or_default() += 1;
            continue;
        }
        let text = said(flaw);
        match ui.format {
            Format::Json => ui.json(&explain_json::flaw(flaw, &text))?,
            Format::Text => {
                let Flaw { at, what, .. } = flaw;
                ui.data(&plain(&format!("{}:{}: {}: {text}", at.file, at.line, what.name())))?;
            }
        }
    }
    for (kind, count) in counted {
        ui.say(&format!("{kind}: {count}, which may be meant; --all lists them"));
    }
    Ok(if mistakes == 0 { Exit::Done } else { Exit::BuildFailed })
}

/// A flaw in a sentence.
fn said(flaw: &Flaw) -> String {
    let Flaw { at: _, subject, what } = flaw;
    match what {
        FlawKind::Undefined { uses: 1 } => format!("{subject} is used and defined nowhere"),
        FlawKind::Undefined { uses } => {
            format!("{subject} is used {uses} times and defined nowhere")
        }
        FlawKind::SelectsNothing { target } => {
            format!("{subject} selects {target}, which is defined nowhere")
        }
        FlawKind::NoType => format!("{subject} has no type"),
        FlawKind::TwoTypes { kinds: [first, then] } => {
            format!("{subject} is of type {then} here and of type {first} before")
        }
        FlawKind::DefaultType { value, kind } => {
            format!("{subject} has the default {value}, which is no {kind}")
        }
        FlawKind::DefaultRange { value, ranges } => {
            let ranges: Vec<_> =
                ranges.iter().map(|(low, high)| format!("{low} to {high}")).collect();
            format!("{subject} has the default {value}, its range is {}", ranges.join(" or "))
        }
        FlawKind::DefaultUnused { value, earlier } => {
            let line = earlier.line;
            format!("{subject} never has the default {value}: that of line {line} always holds")
        }
        FlawKind::RangeEmpty { range: (low, high) } => {
            format!("{subject} has the range {low} to {high}, in which there is nothing")
        }
        FlawKind::SelectKind { target, kind } => {
            format!("{subject} selects {target}, which is of type {kind}")
        }
        FlawKind::SelectMember { target } => {
            format!("{subject} selects {target}, which its choice decides")
        }
        FlawKind::SelectUnmet { by, need } => {
            let by: Vec<_> = by.iter().map(|by| format!("{} ({})", by.symbol, by.at)).collect();
            let need = explain::need(need);
            format!("{subject} is selected by {} although {need}", by.join(", "))
        }
        FlawKind::NeverShown { because } => {
            format!("{subject} is never asked for: {} never holds", because.join(" and "))
        }
        FlawKind::ChoiceEmpty => format!("the choice \"{subject}\" has no members"),
        FlawKind::ChoiceDefault { value } => {
            format!("the choice \"{subject}\" has the default {value}, which is no member of it")
        }
        _ => subject.clone(),
    }
}
