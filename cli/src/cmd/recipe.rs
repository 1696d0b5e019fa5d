//! `kbs recipe`.

use kbs_plan::recipe::{RecipeError, builtin, builtin_names, builtin_text};
use serde_json::json;

use crate::error::CliError;
use crate::exit::Exit;
use crate::render::table::Table;
use crate::ui::{Format, Ui};

/// Show the built-in recipes
///
/// A recipe says how a project is configured and built, and which files are kept. Talks to no
/// daemon.
#[derive(Debug, clap::Args)]
pub(crate) struct RecipeArgs {
    #[command(subcommand)]
    command: RecipeCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RecipeCommand {
    /// List the built-in recipes
    Ls,
    /// Print a recipe as TOML
    ///
    /// Every field can be changed in a spec's [recipe] table.
    Show {
        /// The recipe's name
        name: String,
    },
}

/// Runs `kbs recipe`.
///
/// # Errors
/// An unknown name, or why stdout cannot be written.
pub(crate) fn run(args: &RecipeArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    match &args.command {
        RecipeCommand::Ls => ls(ui)?,
        RecipeCommand::Show { name } => {
            let text =
                builtin_text(name).ok_or_else(|| RecipeError::Unknown { name: name.clone() })?;
            match ui.format {
                Format::Text => ui.bytes(text.as_bytes())?,
                Format::Json => ui.json(&json!({ "name": name, "toml": text }))?,
            }
        }
    }
    Ok(Exit::Done)
}

fn ls(ui: &mut Ui) -> Result<(), CliError> {
    let mut table = Table::new(&["NAME", "SUMMARY"]);
    for name in builtin_names() {
        let summary = builtin(name)?.summary.unwrap_or_default();
        match ui.format {
            Format::Text => table.row([name, &summary]),
            Format::Json => ui.json(&json!({ "name": name, "summary": summary }))?,
        }
    }
    match ui.format {
        Format::Text => ui.data(&table),
        Format::Json => Ok(()),
    }
}
