//! `kbs completion`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Print the completion script of a shell
///
/// For bash: kbs completion bash > ~/.local/share/bash-completion/completions/kbs
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// Runs `kbs completion`.
///
/// # Errors
/// Why stdout cannot be written.
pub(crate) fn run(args: &CompletionArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "kbs", &mut script);
    ui.bytes(&script)?;
    Ok(Exit::Done)
}
