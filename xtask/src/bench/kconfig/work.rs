//! One configuration, made by a process of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kbs_kconfig::{Dialect, Kconfig, NoShell, Shell};

use super::tree::{Answers, Dir, Sh};
use crate::Failure;

/// What `olddefconfig` does, and nothing else.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkArgs {
    /// The tree
    root: PathBuf,
    /// The first Kconfig file
    kconfig: String,
    /// The configuration, which is replaced
    config: PathBuf,
    /// Who answers commands
    #[arg(long, value_enum, default_value_t = Commands::Refused)]
    commands: Commands,
    /// The answers
    #[arg(long, value_name = "FILE", required_if_eq("commands", "known"))]
    answers: Option<PathBuf>,
    /// As Klipper's tool, not as Linux's
    #[arg(long)]
    klipper: bool,
    /// Print what the kernel says of this process at the end
    #[arg(long)]
    status: bool,
}

/// Who answers the commands that Kconfig files name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Commands {
    Refused,
    Run,
    Known,
}

/// Configures, and prints what was asked for.
pub(crate) fn work(args: &WorkArgs) -> Result<String, Failure> {
    let WorkArgs { root, kconfig, config, commands, answers, klipper, status } = args;
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let shell: Box<dyn Shell> = match (commands, answers) {
        (Commands::Run, _) => Box::new(Sh::with(root.clone(), env.clone())),
        (Commands::Known, Some(path)) => Box::new(Answers::read(path)?),
        _ => Box::new(NoShell),
    };
    let dialect = if *klipper { Dialect::KLIPPER } else { Dialect::CONF };
    let project = Kconfig::load(kconfig, &Dir(root.clone()), dialect, &env, &*shell)?;
    let mut configuration = project.evaluate();
    configuration.load(&std::fs::read_to_string(config)?);
    std::fs::write(config, configuration.to_dotconfig())?;
    Ok(if *status { std::fs::read_to_string("/proc/self/status")? } else { String::new() })
}
