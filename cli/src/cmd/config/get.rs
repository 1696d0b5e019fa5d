//! `kbs config get`.

use serde_json::json;

use super::{load, past, unknown};
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::TreeArgs;
use crate::render::screen::plain;
use crate::ui::{Format, Ui};

/// Print the value of a symbol
#[derive(Debug, clap::Args)]
#[command(override_usage = "kbs config get [OPTIONS] [SPEC] <SYMBOL> [FILE]")]
pub(super) struct GetArgs {
    /// The symbol; perhaps a spec before it, and a configuration behind it (`-` is stdin)
    #[arg(value_name = "SYMBOL", num_args = 1..=3, required = true)]
    pub(super) operands: Vec<String>,
    #[command(flatten)]
    pub(super) tree: TreeArgs,
}

/// Runs `kbs config get`.
///
/// # Errors
/// What cannot be read, or that there is no such symbol.
pub(super) fn run(args: &GetArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let GetArgs { operands, tree } = args;
    let kconfig = tree.load()?;
    let config = tree.config(operands.get(1))?;
    let mut configuration = kconfig.evaluate();
    load(&mut configuration, config.as_ref());
    let symbol = kconfig.bare(&operands[0]);
    let value = configuration
        .value(symbol)
        .ok_or_else(|| unknown(&configuration, symbol, &past(tree, symbol)))?;
    match ui.format {
        Format::Text => ui.data(&plain(&value))?,
        Format::Json => ui.json(&json!({ "symbol": symbol, "value": value }))?,
    }
    Ok(Exit::Done)
}
