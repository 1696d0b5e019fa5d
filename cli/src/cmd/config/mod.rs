//! `kbs config`.

mod diff;
mod dropped;
mod explain;
mod get;
mod lint;
mod normalise;
mod search;
mod set;

use kbs_kconfig::{Configuration, Departure, Suggestion, Symbol};
use kbs_plan::error::Class;

use super::Session;
use crate::connect::Daemon;
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::{ConfigText, TreeArgs};
use crate::ui::Ui;

/// Work on configurations of a source tree: normalise, change, explain and compare them
///
/// Reads the Kconfig files of a tree by the rules of the project's own tool. Talks to no daemon,
/// unless they are those of a spec's commit or of a source's (--project). FILE is a .config, a
/// defconfig or a few lines of one, `-` is stdin; a name that ends in `.toml` is that of a spec,
/// wherever it stands. Without FILE everything has its default, or what the spec asks for. Symbols
/// may be written with their prefix or without.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    Normalise(normalise::NormaliseArgs),
    Min(normalise::MinArgs),
    Set(set::SetArgs),
    Get(get::GetArgs),
    Explain(explain::ExplainArgs),
    Diff(diff::DiffArgs),
    Search(search::SearchArgs),
    Lint(lint::LintArgs),
}

impl ConfigArgs {
    /// Decides which of the operands is a spec.
    ///
    /// # Errors
    /// Operands that make no sense together, or with the options.
    pub(crate) fn settle(&mut self) -> Result<(), CliError> {
        match &mut self.command {
            ConfigCommand::Normalise(normalise::NormaliseArgs { common: args })
            | ConfigCommand::Min(normalise::MinArgs { common: args }) => {
                settle(&mut args.tree, &mut args.operands, &[], 1)
            }
            ConfigCommand::Set(args) => {
                settle(&mut args.tree, &mut args.operands, &["SYMBOL=VALUE"], usize::MAX)
            }
            ConfigCommand::Get(args) => settle(&mut args.tree, &mut args.operands, &["SYMBOL"], 2),
            ConfigCommand::Explain(args) => {
                settle(&mut args.tree, &mut args.operands, &["SYMBOL"], 2)
            }
            ConfigCommand::Diff(args) => settle(&mut args.tree, &mut args.operands, &["FILE"], 2),
            ConfigCommand::Search(args) => {
                settle(&mut args.tree, &mut args.words, &["WORD"], usize::MAX)
            }
            ConfigCommand::Lint(args) => settle(&mut args.tree, &mut args.operands, &[], 1),
        }
    }

    /// Whether a daemon has to be asked for the Kconfig files.
    pub(crate) fn asks_a_daemon(&self) -> bool {
        self.command.tree().asks_a_daemon()
    }

    /// Gets the Kconfig files where a daemon has them; that daemon, which may be asked for more.
    ///
    /// # Errors
    /// A wrong spec, or what the daemon answered.
    pub(crate) async fn fetch(
        &self,
        session: &mut Session<'_>,
    ) -> Result<Option<Daemon>, CliError> {
        self.command.tree().fetch(session).await
    }
}

impl ConfigCommand {
    fn tree(&self) -> &TreeArgs {
        match self {
            Self::Normalise(args) => &args.common.tree,
            Self::Min(args) => &args.common.tree,
            Self::Set(args) => &args.tree,
            Self::Get(args) => &args.tree,
            Self::Explain(args) => &args.tree,
            Self::Diff(args) => &args.tree,
            Self::Search(args) => &args.tree,
            Self::Lint(args) => &args.tree,
        }
    }
}

/// Runs `kbs config`.
///
/// # Errors
/// Whatever kept it from answering.
pub(crate) fn run(args: ConfigArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    match args.command {
        ConfigCommand::Normalise(args) => normalise::normalise(&args, ui),
        ConfigCommand::Min(args) => normalise::min(&args, ui),
        ConfigCommand::Set(args) => set::run(&args, ui),
        ConfigCommand::Get(args) => get::run(&args, ui),
        ConfigCommand::Explain(args) => explain::run(&args, ui),
        ConfigCommand::Diff(args) => diff::run(&args, ui),
        ConfigCommand::Search(args) => search::run(&args, ui),
        ConfigCommand::Lint(args) => lint::run(&args, ui),
    }
}

/// Takes the spec out of `operands`; of what is left, the first have to be there and are `needed`.
fn settle(
    tree: &mut TreeArgs,
    operands: &mut Vec<String>,
    needed: &[&str],
    most: usize,
) -> Result<(), CliError> {
    tree.take_spec_of(operands)?;
    let wrong = match (needed.get(operands.len()), operands.get(most)) {
        (Some(missing), _) => format!("{missing} is missing"),
        (None, Some(more)) => format!("`{more}` is one too many"),
        (None, None) => return Ok(()),
    };
    Err(CliError::new(Class::User, wrong))
}

/// Loads what a person wrote.
fn load(configuration: &mut Configuration<'_>, config: Option<&ConfigText>) {
    if let Some(config) = config {
        configuration.load(&config.text);
    }
}

/// A symbol that the project does not define, with what became of it and what may have been meant.
fn unknown(configuration: &Configuration<'_>, symbol: &str, past: &[Departure]) -> CliError {
    let head = format!("the project defines no symbol {symbol}");
    let chain = [head].into_iter().chain(past.iter().map(ToString::to_string)).collect();
    let heir = past.last().and_then(|departure| departure.successor.as_ref());
    // One that is gone itself is no advice.
    let heir = heir.filter(|heir| configuration.value(heir.symbol.as_str()).is_some());
    let heir = heir.map(|heir| (&heir.symbol, &heir.prompt));
    let similar = configuration.similar(symbol);
    let similar = similar.iter().map(|suggestion| match suggestion {
        Suggestion::Similar { symbol, prompt, .. } | Suggestion::Hidden { symbol, prompt } => {
            (symbol, prompt)
        }
    });
    let others = similar.filter(|(symbol, _)| heir.is_none_or(|(heir, _)| heir != *symbol));
    let named = |(symbol, prompt): (&Symbol, &Option<String>)| match prompt {
        Some(prompt) => format!("{symbol} (\"{prompt}\")"),
        None => symbol.to_string(),
    };
    let names: Vec<_> = heir.into_iter().chain(others).map(named).collect();
    let help = match names.len() {
        0 => "kbs config search WORDS looks in names, prompts and help texts".to_owned(),
        _ => format!("did you mean {}?", names.join(", ")),
    };
    CliError::Told { class: Class::NotFound, chain, help: Some(help) }
}

/// What became of one symbol.
fn past(tree: &TreeArgs, symbol: &str) -> Vec<Departure> {
    tree.past(vec![symbol.to_owned()]).remove(symbol).unwrap_or_default()
}
