//! `kbs config get`.

use std::path::PathBuf;

use serde_json::json;

use super::{load, unknown};
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::TreeArgs;
use crate::render::screen::plain;
use crate::ui::{Format, Ui};

/// Print the value of a symbol
#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// The symbol
    #[arg(value_name = "SYMBOL")]
    symbol: String,
    /// A configuration, or `-` for stdin
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) tree: TreeArgs,
}

/// Runs `kbs config get`.
///
/// # Errors
/// What cannot be read, or that there is no such symbol.
pub(super) fn run(args: &GetArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let GetArgs { symbol, file, tree } = args;
    let kconfig = tree.load()?;
    let config = tree.config(file.as_ref())?;
    let mut configuration = kconfig.evaluate();
    load(&mut configuration, config.as_ref());
    let symbol = kconfig.bare(symbol);
    let value = configuration.value(symbol).ok_or_else(|| unknown(&configuration, symbol))?;
    match ui.format {
        Format::Text => ui.data(&plain(&value))?,
        Format::Json => ui.json(&json!({ "symbol": symbol, "value": value }))?,
    }
    Ok(Exit::Done)
}
