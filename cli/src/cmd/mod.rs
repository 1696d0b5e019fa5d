//! One file per subcommand.

mod completion;
mod config;
mod daemon;
mod doctor;
mod gc;
mod image;
mod log;
mod ls;
mod man;
mod menuconfig;
mod plan;
mod realize;
mod recipe;
mod root;
mod shell;
mod show;
mod source;
mod store;

use std::process::ExitCode;

use tokio::runtime::Builder;

use crate::args::{Args, Global};
use crate::connect::{Daemon, Stay};
use crate::env::Env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::place::Place;
use crate::ui::Ui;

/// What to do
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Realize(realize::RealizeArgs),
    Plan(plan::PlanArgs),
    Log(log::LogArgs),
    Shell(shell::ShellArgs),
    Show(show::ShowArgs),
    Ls(ls::LsArgs),
    Root(root::RootArgs),
    Gc(gc::GcArgs),
    Store(store::StoreArgs),
    Source(source::SourceArgs),
    Image(image::ImageArgs),
    Recipe(recipe::RecipeArgs),
    Config(Box<config::ConfigArgs>),
    Menuconfig(Box<menuconfig::MenuconfigArgs>),
    Daemon(daemon::DaemonArgs),
    Doctor(doctor::DoctorArgs),
    Completion(completion::CompletionArgs),
    Man(man::ManArgs),
}

/// What every command that asks a daemon needs.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    /// The two streams.
    pub(crate) ui: &'a mut Ui,
    /// Where to look for a daemon.
    pub(crate) place: Place,
    /// What the environment says of one that is started.
    pub(crate) env: &'a Env,
}

impl Session<'_> {
    /// The daemon, started where none answers.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn daemon(&mut self) -> Result<Daemon, CliError> {
        let daemon = Daemon::reach(&self.place, self.env, Stay::AWhile).await?;
        match &daemon.socket {
            Some(socket) if daemon.is_new => {
                self.ui.detail(&format!("started a daemon on {}", socket.display()));
            }
            Some(socket) => self.ui.detail(&format!("using the daemon on {}", socket.display())),
            None => self.ui.detail("doing the daemon's work in this process"),
        }
        Ok(daemon)
    }
}

/// Does what the command line asks for.
///
/// # Errors
/// What ended it early.
pub(crate) fn run(args: Args, env: &Env, ui: &mut Ui) -> Result<ExitCode, CliError> {
    let Args { global, mut command } = args;
    match &mut command {
        Command::Config(args) => args.settle()?,
        Command::Menuconfig(args) => args.settle()?,
        _ => {}
    }
    match command {
        Command::Recipe(args) => recipe::run(&args, ui).map(ExitCode::from),
        Command::Config(args) if !args.asks_a_daemon() => {
            config::run(*args, ui).map(ExitCode::from)
        }
        Command::Completion(args) => completion::run(&args, ui).map(ExitCode::from),
        Command::Man(args) => man::run(&args, ui).map(ExitCode::from),
        Command::Menuconfig(args) if !args.asks_a_daemon() => {
            menuconfig::run(&args, &global, env, ui, None).map(ExitCode::from)
        }
        Command::Daemon(daemon::DaemonArgs { command: daemon::DaemonCommand::Run(args) }) => {
            daemon::serve(args, &global, env)
        }
        command => ask(command, &global, env, ui).map(ExitCode::from),
    }
}

/// Runs a command that asks a daemon.
fn ask(command: Command, global: &Global, env: &Env, ui: &mut Ui) -> Result<Exit, CliError> {
    let place = Place::choose(global, env)?;
    // A client alone waits for one thing at a time, unless somebody types while it writes, or it asks
    // once more in the middle of its own work; a daemon in this process works meanwhile.
    let mut runtime = match (&place, &command) {
        (Place::Here(_), _)
        | (
            _,
            Command::Shell(_) | Command::Store(_) | Command::Config(_) | Command::Menuconfig(_),
        ) => Builder::new_multi_thread(),
        (Place::Socket(_) | Place::State { .. }, _) => Builder::new_current_thread(),
    };
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| CliError::host("cannot start the runtime", &error))?;
    let mut session = Session { ui, place, env };
    let session = &mut session;
    runtime.block_on(async {
        match command {
            Command::Realize(args) => realize::run(args, session).await,
            Command::Plan(args) => plan::run(args, session).await,
            Command::Log(args) => log::run(args, session).await,
            Command::Shell(args) => shell::run(args, env, session).await,
            Command::Show(args) => show::run(args, session).await,
            Command::Ls(args) => ls::run(args, session).await,
            Command::Root(args) => root::run(args, session).await,
            Command::Gc(args) => gc::run(args, session).await,
            Command::Store(args) => store::run(args, session).await,
            Command::Source(args) => source::run(args, session).await,
            Command::Image(args) => image::run(args, session).await,
            Command::Doctor(args) => doctor::run(args, session).await,
            Command::Daemon(args) => daemon::run(args, session).await,
            Command::Config(args) => {
                let _daemon = args.fetch(session).await?;
                config::run(*args, session.ui)
            }
            Command::Menuconfig(args) => {
                let daemon = args.fetch(session).await?;
                menuconfig::run(&args, global, env, session.ui, daemon.as_ref())
            }
            Command::Recipe(_) | Command::Completion(_) | Command::Man(_) => {
                unreachable!("these ask no daemon")
            }
        }
    })
}
