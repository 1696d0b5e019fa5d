//! `kbs config search`.

use kbs_kconfig::{FoundIn, Tristate};

use super::load;
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::TreeArgs;
use crate::render::explain_json;
use crate::render::table::Table;
use crate::ui::{Format, Ui};

/// Find symbols by words in their names, prompts and help texts
///
/// Best first. The values are those of FILE.
#[derive(Debug, clap::Args)]
#[command(override_usage = "kbs config search [OPTIONS] [SPEC] <WORD>...")]
pub(super) struct SearchArgs {
    /// Words, all of which have to be found; perhaps a spec before them
    #[arg(value_name = "WORD", required = true)]
    pub(super) words: Vec<String>,
    /// Take the values from this configuration; `-` is stdin
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<String>,
    /// Show at most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    max: usize,
    #[command(flatten)]
    pub(super) tree: TreeArgs,
}

/// Runs `kbs config search`.
///
/// # Errors
/// What cannot be read.
pub(super) fn run(args: &SearchArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let SearchArgs { words, file, max, tree } = args;
    let kconfig = tree.load()?;
    let config = tree.config(file.as_ref())?;
    let mut configuration = kconfig.evaluate();
    load(&mut configuration, config.as_ref());
    let hits = kconfig.search(&words.join(" "));
    let mut table = Table::new(&["SYMBOL", "VALUE", "PROMPT", "WHERE"]);
    for hit in hits.iter().take(*max) {
        let value = configuration.value(&hit.symbol).unwrap_or_default();
        let visible = configuration.visibility(&hit.symbol).unwrap_or_default();
        if ui.format == Format::Json {
            ui.json(&explain_json::hit(hit, &value, visible))?;
            continue;
        }
        let prompt = hit.prompt.as_deref().unwrap_or("-");
        let prompt = match &hit.found {
            FoundIn::Name | FoundIn::Prompt => prompt.to_owned(),
            FoundIn::Choice(title) => format!("{prompt} (of \"{title}\")"),
            FoundIn::Help(line) => format!("{prompt} (help: {line})"),
        };
        let value = match visible {
            Tristate::No => format!("({value})"),
            _ => value.into_owned(),
        };
        table.row([&hit.symbol, &value, &prompt, &format!("{}:{}", hit.at.file, hit.at.line)]);
    }
    if !table.is_empty() {
        ui.data(&table)?;
    }
    if hits.len() > *max && ui.format == Format::Text {
        ui.say(&format!("and {} more; -n shows more", hits.len() - max));
    }
    if hits.is_empty() {
        ui.say("nothing found");
    }
    Ok(Exit::Done)
}
