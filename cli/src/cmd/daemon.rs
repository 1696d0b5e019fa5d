//! `kbs daemon`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;

use kbs_plan::error::{Class, Help};
use kbs_plan::quantity::Span;
use kbs_proto::pb;

use super::Session;
use crate::args::Global;
use crate::connect::{Daemon, Stay};
use crate::env::Env;
use crate::error::{CliError, is_gone, remote};
use crate::exit::Exit;
use crate::place::{Place, config_file, state_dir};
use crate::render::json;
use crate::render::table::pairs;
use crate::render::text::{size, span};
use crate::ui::Format;

/// Run, start, stop or look at the build daemon
///
/// Commands that need a daemon start one themselves; it leaves after ten idle minutes, or as its
/// configuration says.
#[derive(Debug, clap::Args)]
pub(crate) struct DaemonArgs {
    #[command(subcommand)]
    pub(crate) command: DaemonCommand,
}

/// What to do with the daemon
#[derive(Debug, clap::Subcommand)]
pub(crate) enum DaemonCommand {
    Run(RunArgs),
    /// Start a daemon in the background, unless one answers
    ///
    /// Prints its socket.
    Start {
        /// Leave after so long without work: seconds, or `30m` [default: as configured, or never]
        #[arg(long, value_name = "TIME")]
        idle_exit: Option<Span>,
    },
    /// Stop the daemon once running builds have ended, and wait for that
    Stop {
        /// Stop running builds
        #[arg(long)]
        force: bool,
    },
    /// Show who answers and how it is
    Status,
}

/// Serve in the foreground
///
/// Takes the options of kbsd; `kbs daemon run -- --help` lists them.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Leave the terminal's session first
    #[arg(long, hide = true)]
    detached: bool,
    /// Options of kbsd
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    options: Vec<OsString>,
}

/// No daemon answers.
#[derive(Debug, thiserror::Error)]
enum DaemonError {
    #[error("--no-daemon leaves nothing to {action}")]
    Here { action: &'static str },
    #[error("no daemon is running")]
    Absent,
}

impl Help for DaemonError {
    fn class(&self) -> Class {
        match self {
            Self::Here { .. } => Class::User,
            Self::Absent => Class::Environment,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Here { .. } => Some("leave out --no-daemon".to_owned()),
            Self::Absent => Some("start one with `kbs daemon start`".to_owned()),
        }
    }
}

/// Runs `kbs daemon run`: becomes the daemon.
///
/// Without options it serves where the other commands look for it.
///
/// # Errors
/// Why it cannot leave the terminal's session, or where to serve is not said.
pub(crate) fn serve(args: RunArgs, global: &Global, env: &Env) -> Result<ExitCode, CliError> {
    let RunArgs { detached, options } = args;
    if detached {
        // Otherwise an interrupt meant for the client would end the daemon, too.
        rustix::process::setsid()
            .map_err(|error| CliError::host("cannot leave the terminal's session", &error))?;
    }
    let mut forwarded = vec![OsString::from("kbsd")];
    // An option after one that only kbsd knows is among `options`.
    let is_given =
        |name: &str| options.iter().any(|option| option.as_bytes().starts_with(name.as_bytes()));
    let is_question = is_given("--help") || is_given("--version");
    if !is_question && !is_given("--state") {
        forwarded.extend(["--state".into(), state_dir(global, env)?.into_os_string()]);
    }
    if !is_question
        && !is_given("--config")
        && let Some(file) = config_file(env)?
    {
        forwarded.extend(["--config".into(), file.into_os_string()]);
    }
    if let Some(socket) = &global.socket {
        forwarded.extend(["--socket".into(), socket.clone().into_os_string()]);
    }
    forwarded.extend(options);
    Ok(kbs_daemon::command(forwarded))
}

/// Runs the other subcommands of `kbs daemon`.
///
/// # Errors
/// What the daemon answered, or that there is none.
pub(crate) async fn run(args: DaemonArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    match args.command {
        DaemonCommand::Run(_) => unreachable!("it is no request to a daemon"),
        DaemonCommand::Start { idle_exit } => {
            let stay = idle_exit.map_or(Stay::AsConfigured, |Span(idle)| Stay::For(idle));
            start(stay, session).await
        }
        DaemonCommand::Stop { force } => stop(force, session).await,
        DaemonCommand::Status => status(session).await,
    }
}

async fn start(stay: Stay, session: &mut Session<'_>) -> Result<Exit, CliError> {
    refuse_here("start", session)?;
    let daemon = Daemon::reach(&session.place, session.env, stay).await?;
    let done = if daemon.is_new { "started" } else { "runs already" };
    session.ui.say(done);
    if let Some(socket) = daemon.socket {
        session.ui.data(&socket.display())?;
    }
    Ok(Exit::Done)
}

async fn stop(force: bool, session: &mut Session<'_>) -> Result<Exit, CliError> {
    refuse_here("stop", session)?;
    let Some(daemon) = Daemon::find(&session.place).await? else {
        session.ui.say("no daemon is running");
        return Ok(Exit::Done);
    };
    let process = daemon.process().await;
    match daemon.control().stop(pb::StopRequest { force }).await {
        Ok(_) => {}
        // It may leave faster than it answers.
        Err(status) if is_gone(&status) => {}
        Err(status) => return Err(remote(status)),
    }
    let Daemon { socket, .. } = daemon;
    let Some(socket) = socket else { return Ok(Exit::Done) };
    // The socket goes first; the store is closed once the process has ended.
    while Daemon::at(&socket).await?.is_some()
        || process.as_ref().is_some_and(|process| !process.has_ended())
    {
        session.ui.show("waiting for running builds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    session.ui.say("stopped");
    Ok(Exit::Done)
}

async fn status(session: &mut Session<'_>) -> Result<Exit, CliError> {
    refuse_here("look at", session)?;
    let daemon = Daemon::find(&session.place).await?.ok_or(DaemonError::Absent)?;
    let reply = daemon.control().status(pb::StatusRequest {}).await.map_err(remote)?.into_inner();
    let ui = &mut *session.ui;
    if ui.format == Format::Json {
        ui.json(&json::status(&reply))?;
        return Ok(Exit::Done);
    }
    let pb::StatusReply {
        version,
        pid,
        state_dir,
        uptime_s,
        running_builds,
        waiting_requests,
        resident_b,
        config_file,
    } = reply;
    let config = if config_file.is_empty() { "none" } else { &config_file };
    let socket = daemon.socket.map(|socket| socket.display().to_string()).unwrap_or_default();
    ui.data(&pairs(&[
        ("version", &version),
        ("pid", &pid.to_string()),
        ("state", &state_dir),
        ("config", config),
        ("socket", &socket),
        ("up", &span(Duration::from_secs(uptime_s))),
        ("builds", &format!("{running_builds} running, {waiting_requests} requests waiting")),
        ("memory", &size(resident_b)),
    ]))?;
    Ok(Exit::Done)
}

fn refuse_here(action: &'static str, session: &Session<'_>) -> Result<(), DaemonError> {
    match session.place {
        Place::Here(_) => Err(DaemonError::Here { action }),
        Place::Socket(_) | Place::State { .. } => Ok(()),
    }
}
