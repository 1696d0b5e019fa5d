//! `kbs config explain`.

use kbs_kconfig::{Configuration, Tristate};
use serde_json::json;

use super::set::told;
use super::{load, past, unknown};
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::{ConfigText, TreeArgs};
use crate::render::{explain, explain_json};
use crate::ui::{Format, Ui};

/// Tell why a symbol has its value, and what keeps it from another
///
/// With SYMBOL=VALUE, also what setting it would change. Nothing is written.
#[derive(Debug, clap::Args)]
#[command(override_usage = "kbs config explain [OPTIONS] [SPEC] <SYMBOL[=VALUE]> [FILE]")]
pub(super) struct ExplainArgs {
    /// The symbol, and perhaps a value that it might have; perhaps a spec before it, and a
    /// configuration behind it (`-` is stdin)
    #[arg(value_name = "SYMBOL[=VALUE]", num_args = 1..=3, required = true)]
    pub(super) operands: Vec<String>,
    /// Print the help text of the symbol, too
    #[arg(long)]
    with_help: bool,
    #[command(flatten)]
    pub(super) tree: TreeArgs,
}

/// Runs `kbs config explain`.
///
/// # Errors
/// What cannot be read, that there is no such symbol, or no such value of it.
pub(super) fn run(args: &ExplainArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let ExplainArgs { operands, with_help, tree } = args;
    let kconfig = tree.load()?;
    let config = tree.config(operands.get(1))?;
    let mut configuration = kconfig.evaluate();
    load(&mut configuration, config.as_ref());
    let (symbol, value) = match operands[0].split_once('=') {
        Some((symbol, value)) => (kconfig.bare(symbol), Some(value)),
        None => (kconfig.bare(&operands[0]), None),
    };
    tell((&configuration, tree), (symbol, value), (config.as_ref(), *with_help), ui)
}

fn tell(
    (configuration, tree): (&Configuration<'_>, &TreeArgs),
    (symbol, value): (&str, Option<&str>),
    (config, with_help): (Option<&ConfigText>, bool),
    ui: &mut Ui,
) -> Result<Exit, CliError> {
    let Some(seen) = configuration.explain(symbol) else {
        let past = past(tree, symbol);
        if ui.format == Format::Json {
            ui.json(&explain_json::unknown(symbol, &past, &configuration.similar(symbol)))?;
        }
        return Err(unknown(configuration, symbol, &past));
    };
    // What somebody set and cannot see may once have stood elsewhere.
    let is_lost =
        seen.visible == Tristate::No && seen.asked.as_ref().is_some_and(|it| it.value == "y");
    let past = if is_lost { past(tree, symbol) } else { Vec::new() };
    let consequences = value
        .map(|value| configuration.consequences(symbol, value))
        .transpose()
        .map_err(|error| told(configuration, tree, &error))?;
    if ui.format == Format::Json {
        let mut answer = explain_json::explanation(&seen);
        answer["past"] = past.iter().map(explain_json::departure).collect();
        let line = seen.asked.as_ref().and_then(|asked| asked.line);
        if let Some((config, line)) = config.zip(line) {
            answer["asked"]["place"] = config.place(line).into();
        }
        if let Some(consequences) = consequences {
            let changes: Vec<_> = consequences.changes.iter().map(explain_json::change).collect();
            answer["if_set"] = json!({ "to": value, "becomes": consequences.after.value,
                "changes": changes });
        }
        ui.json(&answer)?;
        return Ok(Exit::Done);
    }
    let place = |line| config.map(|config| config.place(line)).unwrap_or_default();
    ui.data(&explain::explanation(&seen, &place))?;
    for departure in past {
        ui.data(&format!("\n{}", crate::render::screen::plain(&departure.to_string())))?;
    }
    if let Some(help) = seen.help.as_ref().filter(|_| with_help) {
        ui.data(&format!("\n{}", crate::render::screen::plain(help)))?;
    }
    if let (Some(consequences), Some(value)) = (consequences, value) {
        let got = explain::value_of(seen.kind, Some(&consequences.after.value));
        let got = if got.is_empty() { "empty".to_owned() } else { got };
        let head = match (consequences.after.value == value, consequences.changes.is_empty()) {
            (true, true) => format!("set to {value}, nothing would change"),
            (true, false) => format!("set to {value}, these would change:"),
            (false, true) => format!("set to {value}, it would stay {got}"),
            (false, false) => format!("set to {value}, it would be {got}, and these would change:"),
        };
        ui.data(&format!("\n{head}"))?;
        if !consequences.changes.is_empty() {
            ui.data(&explain::changes(&consequences.changes))?;
        }
    }
    Ok(Exit::Done)
}
