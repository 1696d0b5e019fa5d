//! `kbs config diff`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kbs_plan::error::Class;

use super::load;
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::{ConfigText, TreeArgs};
use crate::render::{explain, explain_json};
use crate::ui::{Format, Ui};

/// Compare what two configurations mean
///
/// Lists the symbols that a person decided in either one and that differ; with --all, also those
/// that follow. Exits with 1 where there are any.
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// A configuration, or `-` for stdin
    #[arg(value_name = "A", value_hint = clap::ValueHint::FilePath)]
    before: PathBuf,
    /// Another one
    #[arg(value_name = "B", value_hint = clap::ValueHint::FilePath)]
    after: PathBuf,
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
    let DiffArgs { before, after, all, tree } = args;
    if [before, after].iter().all(|path| *path == Path::new("-")) {
        return Err(CliError::new(Class::User, "cannot read both configurations from stdin"));
    }
    let kconfig = tree.load()?;
    let [before, after] = [before, after].map(|path| {
        let config = ConfigText::read(path)?;
        let mut configuration = kconfig.evaluate();
        load(&mut configuration, Some(&config));
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
