//! `kbs menuconfig`.

use std::path::{Path, PathBuf};

use kbs_kconfig::Kconfig;
use kbs_plan::error::Class;
use kbs_plan::spec::{ConfigAsk, ConfigText};
use serde_json::json;
use tokio::runtime::Handle;

use super::Session;
use crate::args::Global;
use crate::connect::Daemon;
use crate::env::Env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::kconfig::{self, Form, Home, TreeArgs, is_toml};
use crate::menuconfig::{Disk, Left, LookUp, Mouse, Origin, Script, State, Theme, run_script, sit};
use crate::ui::{Color, Format, Ui};

/// Change a configuration in a menu on the terminal
///
/// Shows what the project's own menuconfig shows, with the keys of mconf and kconfiglib, and writes
/// what that would write. `?` tells all about an entry, Tab why it has its value and what else a
/// change changes, F1 the keys. With a spec, what is saved goes where its configuration comes from.
#[derive(Debug, clap::Args)]
pub(crate) struct MenuconfigArgs {
    /// A spec (a .toml file or a directory), or the configuration to change [default: .config in
    /// the tree]
    #[arg(value_name = "SPEC|FILE", value_hint = clap::ValueHint::AnyPath)]
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

impl MenuconfigArgs {
    /// Decides whether FILE is a spec.
    ///
    /// # Errors
    /// A spec that cannot be used together with the options.
    pub(crate) fn settle(&mut self) -> Result<(), CliError> {
        let is_spec = |file: &mut PathBuf| is_toml(file) || file.is_dir();
        self.file.take_if(is_spec).map_or(Ok(()), |spec| self.tree.take_spec(spec))
    }

    /// Whether a daemon has to be asked for the Kconfig files.
    pub(crate) fn asks_a_daemon(&self) -> bool {
        self.tree.asks_a_daemon()
    }

    /// Gets the Kconfig files where a daemon has them; that daemon.
    ///
    /// # Errors
    /// A wrong spec, or what the daemon answered.
    pub(crate) async fn fetch(
        &self,
        session: &mut Session<'_>,
    ) -> Result<Option<Daemon>, CliError> {
        self.tree.fetch(session).await
    }

    /// How to find out whether the build of what would be saved is there already.
    fn look_up(&self, daemon: Option<&Daemon>) -> Result<Option<LookUp>, CliError> {
        let Some(daemon) = daemon else { return Ok(None) };
        let spec = self.tree.build_spec()?;
        let spec = move |text: &str| {
            let mut spec = spec.clone();
            let config = spec.config.as_mut()?;
            let (origin, text) = ("menu".to_owned(), text.to_owned());
            let accept_drift = std::mem::take(&mut config.accept_drift);
            let base = Some(ConfigText { origin, text });
            *config = ConfigAsk { base, accept_drift, ..ConfigAsk::default() };
            Some(spec)
        };
        let (runtime, builds) = (Handle::current(), daemon.builds());
        Ok(Some(LookUp { runtime, builds, spec: Box::new(spec) }))
    }

    /// Where the configuration comes from and goes to.
    fn origin(&self) -> Result<(Origin, Disk), CliError> {
        let label = |path: &Path| path.display().to_string();
        if let (Some(spec), None) = (self.tree.spec(), &self.file) {
            let asked = self.tree.config(None)?.unwrap_or_default();
            let home = Home::of_spec(spec, &asked)?;
            let (label, note, text) = (label(&home.path), home.note(), Some(asked));
            return Ok((Origin { home, text, note, label }, Disk::Replaces));
        }
        let path = match (&self.file, self.tree.project()) {
            (Some(file), _) => file.clone(),
            (None, Some(project)) => PathBuf::from(format!("{project}.config")),
            (None, None) => self.tree.dotconfig(),
        };
        let text = Disk::find(&path).map_err(|error| {
            CliError::host(format!("cannot read the configuration {}", path.display()), &error)
        })?;
        let (form, disk) = if self.tree.asks_a_daemon() {
            (text.clone().map_or(Form::Whole, Form::Own), Disk::Replaces)
        } else {
            (Form::Whole, Disk::KeepsOld)
        };
        let label = label(&path);
        let named = |text| kconfig::ConfigText { name: label.clone(), text, ..Default::default() };
        let (text, home) = (text.map(named), Home { path, form });
        Ok((Origin { home, text, note: None, label }, disk))
    }
}

/// Runs `kbs menuconfig`; the Kconfig files are those of `daemon`, if there is one.
///
/// # Errors
/// What is wrong with the request, the files or the terminal.
pub(crate) fn run(
    args: &MenuconfigArgs,
    global: &Global,
    env: &Env,
    ui: &mut Ui,
    daemon: Option<&Daemon>,
) -> Result<Exit, CliError> {
    let script = args.script.as_deref().map(Script::parse).transpose()?;
    let kconfig = args.tree.load()?;
    let (origin, disk) = args.origin()?;
    let work = Work { kconfig: &kconfig, origin, disk };
    match script {
        Some(script) => work.carry_out(&script, ui),
        None => work.show(global, env, ui, args.mouse, args.look_up(daemon)?),
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
        if let Some(note) = &origin.note {
            ui.say(note);
        }
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

    fn show(
        self,
        global: &Global,
        env: &Env,
        ui: &mut Ui,
        mouse: bool,
        look_up: Option<LookUp>,
    ) -> Result<Exit, CliError> {
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
        let path = self.origin.home.path.clone();
        let mut state = State::new(self.kconfig, self.origin);
        match sit(&mut state, self.disk, theme, mouse, look_up)? {
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
