//! `kbs config diff`.

use std::collections::BTreeSet;

use kbs_plan::error::Class;

use super::load;
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::TreeArgs;
use crate::render::{explain, explain_json};
use crate::ui::{Format, Ui};

/// Compare what two configurations mean
///
/// Lists the symbols that a person decided in either one and that differ; with --all, also those
/// that follow. Exits with 1 where there are any.
#[derive(Debug, clap::Args)]
#[command(override_usage = "kbs config diff [OPTIONS] <SPEC|FILE> <FILE>")]
pub(super) struct DiffArgs {
    /// Two configurations (`-` is stdin); with a spec, one will do, and is compared with the spec's
    #[arg(value_name = "FILE", num_args = 1..=3, required = true)]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub(super) operands: Vec<String>,
    /// List what follows from other symbols, too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    pub(super) tree: TreeArgs,
}

/// Runs `kbs config diff`.
///
/// # Errors
/// What cannot be read.
pub(super) fn run(args: &DiffArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let DiffArgs { operands, all, tree } = args;
    let (before, after) = match operands.as_slice() {
        [before, after] => (Some(before), after),
        [after] if tree.spec().is_some() => (None, after),
        _ => return Err(CliError::new(Class::User, "there is nothing to compare it with")),
    };
    if after == "-" && before.is_some_and(|before| before == "-") {
        return Err(CliError::new(Class::User, "cannot read both configurations from stdin"));
    }
    let kconfig = tree.load()?;
    let [before, after] = [before, Some(after)].map(|path| {
        let mut configuration = kconfig.evaluate();
        load(&mut configuration, tree.config(path)?.as_ref());
        Ok::<_, CliError>(configuration)
    });
    let (before, after) = (before?, after?);
    let mut changes = before.changes_to(&after);
    if !all {
        let decided: BTreeSet<_> =
            before.set_apart().into_iter().chain(after.set_apart()).collect();
        changes.retain(|change| decided.contains(change.symbol.as_str()));
    }
    match ui.format {
        Format::Json => {
            for change in &changes {
                ui.json(&explain_json::change(change))?;
            }
        }
        Format::Text if changes.is_empty() => {}
        Format::Text => ui.data(&explain::changes(&changes))?,
    }
    Ok(if changes.is_empty() { Exit::Done } else { Exit::BuildFailed })
}
