//! `kbs config normalise` and `kbs config min`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::dropped::Losses;
use super::load;
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::{TreeArgs, write_config};
use crate::ui::{Format, Ui};

/// Print the whole .config that the project's tool would make
///
/// Lines that came to nothing are told on stderr, with the reason and what they may have meant.
#[derive(Debug, clap::Args)]
#[command(override_usage = "kbs config normalise [OPTIONS] [SPEC] [FILE]")]
pub(super) struct NormaliseArgs {
    #[command(flatten)]
    pub(super) common: WriteArgs,
}

/// Print only the lines that do not follow by themselves, as savedefconfig does
#[derive(Debug, clap::Args)]
#[command(override_usage = "kbs config min [OPTIONS] [SPEC] [FILE]")]
pub(super) struct MinArgs {
    #[command(flatten)]
    pub(super) common: WriteArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct WriteArgs {
    /// A spec, a configuration (`-` is stdin), or both
    #[arg(value_name = "FILE", num_args = 0..=2, value_hint = clap::ValueHint::FilePath)]
    pub(super) operands: Vec<String>,
    /// Write it here instead of to stdout
    #[arg(short, long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) tree: TreeArgs,
}

/// Runs `kbs config normalise`.
///
/// # Errors
/// What cannot be read or written.
pub(super) fn normalise(args: &NormaliseArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    write(&args.common, Form::Whole, ui)
}

/// Runs `kbs config min`.
///
/// # Errors
/// What cannot be read or written.
pub(super) fn min(args: &MinArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    write(&args.common, Form::Minimal, ui)
}

/// How much is written.
#[derive(Clone, Copy)]
enum Form {
    Whole,
    Minimal,
}

fn write(args: &WriteArgs, form: Form, ui: &mut Ui) -> Result<Exit, CliError> {
    let WriteArgs { operands, output, tree } = args;
    let kconfig = tree.load()?;
    let config = tree.config(operands.first())?;
    let mut configuration = kconfig.evaluate();
    load(&mut configuration, config.as_ref());
    let text = match form {
        Form::Whole => configuration.to_dotconfig(),
        Form::Minimal => configuration.to_minimal(),
    };
    let losses = Losses::of(&configuration, config.as_ref(), tree);
    losses.warn(ui);
    let output = output.as_deref().filter(|path| *path != Path::new("-"));
    if let Some(path) = output {
        write_config(path, &text)?;
    }
    match (ui.format, output) {
        (Format::Json, _) => {
            ui.json(&json!({ "config": text, "dropped": losses.json() }))?;
        }
        (Format::Text, None) => ui.bytes(text.as_bytes())?,
        (Format::Text, Some(path)) => ui.say(&format!("wrote {}", path.display())),
    }
    Ok(Exit::Done)
}
