//! `kbs man`.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::args::Args;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Print the manual page of kbs, or write those of all commands
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Write kbs.1 and one page per command into this directory
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

/// Runs `kbs man`.
///
/// # Errors
/// Why the pages cannot be written.
pub(crate) fn run(args: &ManArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Args::command())
            .render(&mut page)
            .map_err(|error| CliError::host("cannot make the manual page", &error))?;
        ui.bytes(&page)?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Args::command(), dir))
        .map_err(|error| {
            CliError::host(format!("cannot write manual pages into {}", dir.display()), &error)
        })?;
    ui.say(&format!("wrote the manual pages into {}", dir.display()));
    Ok(Exit::Done)
}
