//! `kbs menuconfig`.

use std::path::PathBuf;

use kbs_kconfig::Kconfig;
use kbs_plan::error::Class;
use serde_json::json;

use crate::args::Global;
use crate::env::Env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::TreeArgs;
use crate::menuconfig::{Disk, Left, Mouse, Origin, Script, State, Theme, run_script, sit};
use crate::ui::{Color, Format, Ui};

/// Change a configuration in a menu on the terminal
///
/// Shows what the project's own menuconfig shows, with the keys of mconf and kconfiglib, and writes
/// what that would write. `?` tells all about an entry, Tab why it has its value and what else a
/// change changes, F1 the keys.
#[derive(Debug, clap::Args)]
pub(crate) struct MenuconfigArgs {
    /// The configuration to change [default: .config in the tree]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    #[command(flatten)]
    tree: TreeArgs,
    /// Show no menu but do this: steps like `set SLEEP=2; save`
    #[arg(long, value_name = "STEPS")]
    script: Option<String>,
    /// Listen to the mouse; the terminal then marks text only with Shift
    #[arg(long, conflicts_with = "script")]
    mouse: bool,
}

/// Runs `kbs menuconfig`.
///
/// # Errors
/// What is wrong with the request, the files or the terminal.
pub(crate) fn run(
    args: &MenuconfigArgs,
    global: &Global,
    env: &Env,
    ui: &mut Ui,
) -> Result<Exit, CliError> {
    let MenuconfigArgs { file, tree, script, mouse } = args;
    let script = script.as_deref().map(Script::parse).transpose()?;
    let kconfig = tree.load()?;
    let path = file.clone().unwrap_or_else(|| tree.dotconfig());
    let text = Disk::find(&path).map_err(|error| {
        CliError::host(format!("cannot read the configuration {}", path.display()), &error)
    })?;
    let label = path.display().to_string();
    let origin = Origin { path, text, note: None, label };
    let work = Work { kconfig: &kconfig, origin, disk: Disk::KeepsOld };
    match script {
        Some(script) => work.carry_out(&script, ui),
        None => work.show(global, env, *mouse, ui),
    }
}

/// What is to be changed.
pub(crate) struct Work<'k> {
    pub(crate) kconfig: &'k Kconfig,
    pub(crate) origin: Origin,
    pub(crate) disk: Disk,
}

impl Work<'_> {
    fn carry_out(self, script: &Script, ui: &mut Ui) -> Result<Exit, CliError> {
        let Self { kconfig, origin, disk } = self;
        for path in run_script(script, kconfig, &origin, disk)? {
            match ui.format {
                Format::Text => ui.data(&path.display())?,
                Format::Json => ui.json(&json!({ "event": "saved", "path": path }))?,
            }
        }
        if !script.saves() {
            ui.warn("the script saves nothing; end it with `save`");
        }
        Ok(Exit::Done)
    }

    fn show(self, global: &Global, env: &Env, mouse: bool, ui: &mut Ui) -> Result<Exit, CliError> {
        if env.dumb_terminal {
            return Err(CliError::new(Class::User, "TERM says that this terminal shows no menus")
                .with_help("change single symbols with --script 'set SYMBOL=VALUE; save'"));
        }
        let theme = match global.color {
            Color::Always => Theme::Colours,
            Color::Auto if !env.no_color => Theme::Colours,
            Color::Auto | Color::Never => Theme::Plain,
        };
        let mouse = if mouse { Mouse::Heard } else { Mouse::Left };
        let path = self.origin.path.clone();
        let mut state = State::new(self.kconfig, self.origin);
        match sit(&mut state, self.disk, theme, mouse)? {
            Left::ByKey { dropped: true } => {
                ui.say(&format!("{} is as it was; changes were not saved", path.display()));
                Ok(Exit::Done)
            }
            Left::ByKey { dropped: false } => Ok(Exit::Done),
            Left::ByForce(kept) => {
                if let Some(kept) = kept {
                    ui.say(&format!("what was not saved is in {}", kept.display()));
                }
                Ok(Exit::Cancelled)
            }
        }
    }
}
