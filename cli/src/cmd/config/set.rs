//! `kbs config set`.

use std::path::{Path, PathBuf};

use kbs_kconfig::{Configuration, Explanation, SetError, Tristate};
use kbs_plan::error::Class;
use serde_json::json;

use super::dropped::Losses;
use super::{load, past, unknown};
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::{Home, TreeArgs, write_config};
use crate::render::{explain, explain_json};
use crate::ui::{Format, Ui};

/// Set symbols in a configuration, and write it back
///
/// Everything or nothing: where a symbol does not come to have its value, nothing is written and
/// the reason is told. What changes with it is told on stderr. For a spec, it is written where the
/// spec has its configuration, as `kbs menuconfig` does; with a FILE behind the spec, to that.
#[derive(Debug, clap::Args)]
#[command(override_usage = "kbs config set [OPTIONS] <SPEC|FILE> <SYMBOL=VALUE>...")]
pub(super) struct SetArgs {
    /// A configuration, made where there is none (`-` reads stdin and writes to stdout), or a spec;
    /// then symbols with their values: `y`, `m`, `n`, a number or a text without quotes
    #[arg(value_name = "SYMBOL=VALUE", num_args = 1.., required = true)]
    pub(super) operands: Vec<String>,
    /// Write it here instead; `-` is stdout
    #[arg(short, long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Write only the lines that do not follow by themselves; a spec is as short as it was anyway
    #[arg(long)]
    minimal: bool,
    #[command(flatten)]
    pub(super) tree: TreeArgs,
}

/// Runs `kbs config set`.
///
/// # Errors
/// What cannot be read, set or written.
pub(super) fn run(args: &SetArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let SetArgs { operands, output, minimal, tree } = args;
    let (file, settings) = match operands.split_first() {
        Some((first, rest)) if tree.spec().is_none() || !first.contains('=') => (Some(first), rest),
        _ => (None, operands.as_slice()),
    };
    if settings.is_empty() {
        return Err(CliError::new(Class::User, "SYMBOL=VALUE is missing"));
    }
    let settings = settings.iter().map(|text| split(text)).collect::<Result<Vec<_>, _>>()?;
    let kconfig = tree.load()?;
    let is_new = file.is_some_and(|file| file != "-" && !Path::new(file).exists());
    let config = if is_new { None } else { tree.config(file)? };
    let mut configuration = kconfig.evaluate();
    load(&mut configuration, config.as_ref());
    Losses::of(&configuration, config.as_ref(), tree).warn(ui);
    let before = configuration.clone();
    for (symbol, value) in &settings {
        let symbol = kconfig.bare(symbol);
        configuration.set(symbol, value).map_err(|error| told(&configuration, tree, &error))?;
    }
    for (symbol, value) in &settings {
        let seen = configuration.explain(kconfig.bare(symbol));
        if let Some(seen) = seen.filter(|seen| seen.value != *value) {
            return Err(refused(&seen, value));
        }
    }
    let home = match (file, tree.spec(), &config) {
        (None, Some(spec), Some(asked)) => Some(Home::of_spec(spec, asked)?),
        _ => None,
    };
    let text = match &home {
        Some(home) if output.is_none() => home.text_at(&home.path, &configuration, &kconfig),
        _ if *minimal => configuration.to_minimal(),
        _ => configuration.to_dotconfig(),
    };
    let changes = before.changes_to(&configuration);
    let own = home.as_ref().map(|home| home.path.as_path()).or(file.map(Path::new));
    let target = output.as_deref().or(own).filter(|path| *path != Path::new("-"));
    if let Some(path) = target {
        write_config(path, &text)?;
    }
    if ui.format == Format::Json {
        let changes: Vec<_> = changes.iter().map(explain_json::change).collect();
        ui.json(&json!({ "config": text, "changes": changes }))?;
        return Ok(Exit::Done);
    }
    if target.is_none() {
        ui.bytes(text.as_bytes())?;
    }
    if changes.is_empty() {
        ui.say("nothing changes");
    } else {
        ui.say(&explain::changes(&changes));
    }
    Ok(Exit::Done)
}

/// A symbol and its value, as given.
pub(super) fn split(setting: &str) -> Result<(&str, &str), CliError> {
    setting.split_once('=').ok_or_else(|| {
        CliError::new(Class::User, format!("cannot set `{setting}`: it has no `=`"))
            .with_help("write SYMBOL=VALUE")
    })
}

/// Why a symbol cannot be set, with what to do instead.
pub(super) fn told(
    configuration: &Configuration<'_>,
    tree: &TreeArgs,
    error: &SetError,
) -> CliError {
    match error {
        SetError::Unknown { symbol } => unknown(configuration, symbol, &past(tree, symbol)),
        SetError::Value { symbol, .. } | SetError::Range { symbol, .. } => {
            let told = CliError::new(Class::User, error.to_string());
            let range = configuration.explain(symbol).and_then(|seen| seen.range);
            match range {
                Some((low, high, at)) => {
                    told.with_help(format!("its range is {low} to {high} ({})", explain::line(&at)))
                }
                None => told,
            }
        }
        error => CliError::new(Class::User, error.to_string()),
    }
}

/// Why a symbol did not come to have `value`.
fn refused(seen: &Explanation, value: &str) -> CliError {
    let Explanation { symbol, value: got, .. } = seen;
    let got = if got.is_empty() { "empty" } else { got };
    let head = format!("cannot set {symbol} to {value}: it stays {got}");
    let mut chain = vec![head];
    let obstacles = seen.hidden.iter().flat_map(|prompt| &prompt.obstacles);
    chain.extend(obstacles.clone().map(explain::obstacle));
    if seen.hidden.is_empty() && seen.visible == Tristate::No {
        chain.push("nobody is asked for it: its value follows from others".to_owned());
    }
    if let (Some((low, high, at)), 1) = (&seen.range, chain.len()) {
        chain.push(format!("its range is {low} to {high} ({})", explain::line(at)));
    }
    if chain.len() == 1 {
        chain.push(explain::why(seen, &|line| format!("line {line}")));
    }
    let needs: Option<Vec<_>> = obstacles.map(|it| explain::to_set(&it.need)).collect();
    let help = match needs.map(|needs| needs.concat()) {
        Some(needs) if !needs.is_empty() => format!("set {}, too", needs.join(" ")),
        _ => format!("`kbs config explain {symbol}={value}` tells all about it"),
    };
    CliError::Told { class: Class::User, chain, help: Some(help) }
}
