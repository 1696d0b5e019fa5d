//! `kbs shell`.

use kbs_plan::error::Class;
use kbs_proto::pb;
use kbs_proto::pb::shell_ended::How;
use kbs_proto::pb::shell_input::Input;
use kbs_proto::pb::shell_open::What;
use kbs_proto::pb::shell_output::Output;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::Session;
use crate::env::Env;
use crate::error::{CliError, gone, remote};
use crate::exit::Exit;
use crate::follow::{interrupted, ticks};
use crate::key::KeyText;
use crate::render::progress::{LogTo, Progress};
use crate::render::text::command_line;
use crate::spec::SpecArgs;
use crate::terminal::{self, Raw};
use crate::ui::{Format, Ui};

const SIGKILL: i32 = 9;

/// Open the sandbox of a build: a shell in it, or one command
///
/// Everything is as the build finds it: image, source, configuration, environment and limits, only
/// without a limit on time. Changes are thrown away when the command ends. On a terminal TERM is set,
/// too; otherwise input, output and errors stay apart.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_STATUS)]
#[command(mut_arg("spec", |spec| spec.required(false).index(1)))]
#[command(group = clap::ArgGroup::new("sandbox").required(true).args(["spec", "failed"]))]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    spec: Option<SpecArgs>,
    /// Go on in the work tree that `kbs realize --keep-failed` kept; changes stay there
    #[arg(long, value_name = "KEY", conflicts_with = "SpecArgs")]
    failed: Option<String>,
    /// What to run instead of a shell
    #[arg(last = true, index = 2, value_name = "CMD")]
    command: Vec<String>,
}

const EXIT_STATUS: &str = "\
Exit status:
  that of the command, or 128 and the number of the signal that ended it;
  where there was no command to run, that of kbs: 2, 3, 4 or 70, see `kbs --help`";

/// Runs `kbs shell`.
///
/// # Errors
/// What is wrong with the request, or what the daemon answered.
pub(crate) async fn run(
    args: ShellArgs,
    env: &Env,
    session: &mut Session<'_>,
) -> Result<Exit, CliError> {
    let ShellArgs { spec, failed, command: argv } = args;
    let what = match (spec, failed) {
        (Some(spec), _) => What::Spec(spec.read()?.into()),
        (None, Some(key)) => What::Failed(key.parse::<KeyText>()?.to_wire()),
        (None, None) => return Err(CliError::new(Class::Bug, "there is neither a spec nor a key")),
    };
    let daemon = session.daemon().await?;
    let ui = &mut *session.ui;
    let mut ending = Ending::new().map_err(signals)?;
    // Before the size is asked for, so that no change of it is missed.
    let resized = signal(SignalKind::window_change()).map_err(signals)?;
    let is_shell = argv.is_empty();
    let terminal = terminal::is_interactive().then(|| pb::Terminal {
        kind: env.terminal_kind.clone().unwrap_or_default(),
        size: Some(terminal::size()),
    });
    let seat = if terminal.is_some() { Seat::Terminal(resized) } else { Seat::Streams };
    let open = pb::ShellOpen { what: Some(what), argv, terminal };
    let (inputs, receiver) = mpsc::channel(16);
    inputs.try_send(input(Input::Open(open))).expect("the channel is new and has room");
    let requests = ReceiverStream::new(receiver);
    let mut outputs = daemon.builds().shell(requests).await.map_err(remote)?.into_inner();
    let started = begin(&mut outputs, &mut ending, ui).await?;
    tell(&started, is_shell, ui);
    match sit(seat, inputs, &mut outputs, &mut ending, ui).await? {
        Some(How::Status(status)) => Ok(Exit::Command(u8::try_from(status).unwrap_or(u8::MAX))),
        Some(How::Signal(signal)) => Ok(signaled(signal)),
        Some(How::Killed(why)) => {
            ui.error(&CliError::new(Class::Build, why));
            Ok(signaled(SIGKILL))
        }
        None => Ok(Exit::Bug),
    }
}

/// Where the person is.
#[derive(Debug)]
enum Seat {
    /// At a terminal, which tells when its size changes.
    Terminal(Signal),
    /// Behind pipes and files.
    Streams,
}

/// The signals that end a command; a terminal is given back before.
#[derive(Debug)]
struct Ending([Signal; 4]);

impl Ending {
    fn new() -> std::io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::quit())?,
        ]))
    }

    async fn wait(&mut self) -> CliError {
        let [interrupt, terminate, hangup, quit] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
        interrupted()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn signals(error: std::io::Error) -> CliError {
    CliError::host("cannot wait for signals", &error)
}

fn input(input: Input) -> pb::ShellInput {
    pb::ShellInput { input: Some(input) }
}

fn signaled(signal: i32) -> Exit {
    Exit::Command(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// Shows what happens until the sandbox is open.
async fn begin(
    outputs: &mut Streaming<pb::ShellOutput>,
    ending: &mut Ending,
    ui: &mut Ui,
) -> Result<pb::ShellStarted, CliError> {
    use pb::event::Event;
    let mut progress = Progress::new(LogTo::LastLine);
    let mut ticks = ticks();
    loop {
        let output = tokio::select! {
            biased;
            error = ending.wait() => return Err(error),
            _ = ticks.tick(), if ui.is_live() => {
                progress.draw(ui);
                continue;
            }
            output = outputs.message() => output.map_err(remote)?.ok_or_else(|| gone(None))?,
        };
        match output.output {
            Some(Output::Started(started)) => {
                progress.finish(ui)?;
                return Ok(started);
            }
            Some(Output::Event(pb::Event { event })) => match (event, ui.format) {
                (Some(Event::Phase(phase)), Format::Text) => progress.phase(&phase, ui)?,
                (Some(Event::Notice(notice)), Format::Text) => progress.notice(&notice, ui)?,
                // Stdout is the command's.
                (Some(Event::Notice(notice)), Format::Json) if notice.kind != "progress" => {
                    ui.warn(&notice.text);
                }
                _ => {}
            },
            _ => {}
        }
    }
}

/// Tells what is open, and to whom a shell is opened also what to type there.
fn tell(started: &pb::ShellStarted, is_shell: bool, ui: &mut Ui) {
    let pb::ShellStarted { project, commands, directory, kept } = started;
    if !kept.is_empty() {
        ui.say(&format!("the sandbox of {project} as its build failed; changes stay in {kept}"));
    } else if is_shell {
        ui.say(&format!("the sandbox of {project} as its build begins; changes are thrown away"));
    }
    if is_shell {
        let lines: Vec<_> =
            commands.iter().map(|line| format!("\n  {}", command_line(&line.argv))).collect();
        ui.say(&format!("the build runs, in {directory}:{}", lines.concat()));
    }
}

/// Carries bytes between the person and the command until that has ended.
async fn sit(
    mut seat: Seat,
    inputs: mpsc::Sender<pb::ShellInput>,
    outputs: &mut Streaming<pb::ShellOutput>,
    ending: &mut Ending,
    ui: &mut Ui,
) -> Result<Option<How>, CliError> {
    let is_terminal = matches!(seat, Seat::Terminal(_));
    let _raw = is_terminal.then(Raw::enter).transpose()?;
    let mut typed = terminal::send_input(inputs.clone());
    loop {
        let resized = async {
            match &mut seat {
                Seat::Terminal(resized) => resized.recv().await,
                Seat::Streams => std::future::pending().await,
            }
        };
        let output = tokio::select! {
            biased;
            error = ending.wait() => return Err(error),
            _ = resized => {
                // A daemon that takes no input tells why.
                inputs.send(input(Input::Resize(terminal::size()))).await.ok();
                continue;
            }
            output = outputs.message() => output.map_err(remote)?.ok_or_else(|| gone(None))?,
            _ = &mut typed, if is_terminal => {
                return Err(CliError::new(Class::Cancelled, "the terminal is gone"));
            }
        };
        match output.output {
            Some(Output::Stdout(bytes)) => ui.bytes(&bytes)?,
            Some(Output::Stderr(bytes)) => ui.log(&bytes),
            Some(Output::Ended(pb::ShellEnded { how })) => return Ok(how),
            _ => {}
        }
    }
}
