//! `kbs.v1.Builds.Shell`.

use std::sync::Arc;

use kbs_proto::pb::shell_input::Input;
use kbs_proto::pb::shell_open::What;
use kbs_proto::pb::shell_output::Output;
use kbs_proto::{border::need, pb, status::to_status};
use rustix::termios::Winsize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::stream::{self, Answer};
use super::{builds, encode};
use crate::engine::watch::{Happening, Opened, Printer};
use crate::engine::{Engine, tasks};
use crate::problem::EngineError;
use crate::stages::shell::{self, Ask, Command, End, Sandbox, Terminal};
use crate::stages::streams::{self, Inputs};

/// Opens a sandbox for a client.
pub(super) async fn open(
    engine: &Arc<Engine>,
    mut sent: Streaming<pb::ShellInput>,
) -> Result<Answer<pb::ShellOutput>, Status> {
    let Some(pb::ShellInput { input: Some(Input::Open(open)) }) = sent.message().await? else {
        return Err(to_status(&EngineError::Request {
            text: "the first input of a shell opens it".to_owned(),
            help: Some("use a kbs of the same version as the daemon".to_owned()),
        }));
    };
    let pb::ShellOpen { what, argv, terminal } = open;
    let what = need("what", what).map_err(|error| to_status(&error))?;
    let what = match what {
        What::Spec(spec) => Ok(Box::new(builds::decode(Some(spec))?)),
        What::Failed(prefix) => Err(prefix),
    };
    let terminal = terminal.map(|pb::Terminal { kind, size }| Terminal {
        kind,
        size: winsize(size.unwrap_or_default()),
    });
    let (sender, receiver) = mpsc::channel(16);
    let over = CancellationToken::new();
    let inputs = Inputs { receiver, until: over.clone().drop_guard() };
    tasks::spawn(async move {
        tokio::select! {
            () = hand_over(sent, sender) => {}
            () = over.cancelled() => {}
        }
    });
    let running = tasks::request(engine, move |engine, watch| {
        let sandbox = match what {
            Ok(spec) => Sandbox::Fresh(spec),
            Err(prefix) => Sandbox::Failed(builds::find(engine, &prefix)?),
        };
        let command = Command { argv, terminal };
        shell::shell(engine, Ask { sandbox, command }, inputs, watch)
    });
    let message = |output| pb::ShellOutput { output: Some(output) };
    Ok(stream::of(
        running,
        move |happening| output(happening).map(message),
        move |end| vec![message(Output::Ended(ended(end)))],
    ))
}

/// Hands over what a client sends until it sends no more.
async fn hand_over(mut sent: Streaming<pb::ShellInput>, to: mpsc::Sender<streams::Input>) {
    while let Ok(Some(pb::ShellInput { input })) = sent.message().await {
        let input = match input {
            Some(Input::Data(data)) => streams::Input::Data(data),
            Some(Input::Eof(_)) => streams::Input::End,
            Some(Input::Resize(size)) => streams::Input::Resize(winsize(size)),
            Some(Input::Open(_)) | None => continue,
        };
        if to.send(input).await.is_err() {
            return;
        }
    }
}

fn winsize(size: pb::WindowSize) -> Winsize {
    let pb::WindowSize { rows, columns } = size;
    let count = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    Winsize { ws_row: count(rows), ws_col: count(columns), ws_xpixel: 0, ws_ypixel: 0 }
}

fn output(happening: Happening) -> Option<Output> {
    Some(match happening {
        Happening::Opened(opened) => Output::Started(started(*opened)),
        Happening::Printed { on: Printer::Output, data } => Output::Stdout(data),
        Happening::Printed { on: Printer::Errors, data } => Output::Stderr(data),
        other => Output::Event(encode::event(other)?),
    })
}

fn started(opened: Opened) -> pb::ShellStarted {
    let Opened { project, commands, directory, kept } = opened;
    pb::ShellStarted {
        project,
        commands: commands.into_iter().map(|argv| pb::CommandLine { argv }).collect(),
        directory,
        kept: kept.map(|path| path.display().to_string()).unwrap_or_default(),
    }
}

fn ended(end: End) -> pb::ShellEnded {
    use pb::shell_ended::How;
    pb::ShellEnded {
        how: Some(match end {
            End::Status(status) => How::Status(status),
            End::Signal(signal) => How::Signal(signal),
            End::Killed(why) => How::Killed(why),
        }),
    }
}
