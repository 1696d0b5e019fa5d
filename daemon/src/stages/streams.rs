//! The streams of a jail that a client sits at: a terminal, or input, output and errors apart.

use std::fs::File;
use std::io::{self, PipeReader, Write as _};
use std::os::fd::OwnedFd;

use kbs_sandbox::Console;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;

use crate::engine::tasks;
use crate::engine::watch::{Happening, Printer, Watch};

/// What a client sends to what runs in its jail.
#[derive(Debug)]
pub(crate) enum Input {
    /// Bytes to read, or typed at the terminal.
    Data(Vec<u8>),
    /// No more bytes come.
    End,
    /// The terminal has another size.
    Resize(Winsize),
}

/// Where a client's input comes from.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) receiver: mpsc::Receiver<Input>,
    /// Dropped when nobody needs it any more; ends the receiver.
    pub(crate) until: DropGuard,
}

/// The jail's ends of the streams.
#[derive(Debug)]
pub(crate) enum Theirs {
    Streams([OwnedFd; 3]),
    Terminal(OwnedFd),
}

/// Our ends.
#[derive(Debug)]
pub(crate) enum Ours {
    Streams { input: io::PipeWriter, output: PipeReader, errors: PipeReader },
    Terminal(File),
}

/// Makes streams: a terminal of this size, or three pipes.
pub(crate) fn streams(terminal: Option<Winsize>) -> io::Result<(Ours, Theirs)> {
    let Some(size) = terminal else {
        let ((in_reader, input), (output, out_writer), (errors, err_writer)) =
            (io::pipe()?, io::pipe()?, io::pipe()?);
        let theirs = [in_reader.into(), out_writer.into(), err_writer.into()];
        return Ok((Ours::Streams { input, output, errors }, Theirs::Streams(theirs)));
    };
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    unlockpt(&ours)?;
    // Not by its name: what `/dev/pts` is here is not our business.
    let theirs = ioctl_tiocgptpeer(&ours, flags)?;
    let mut modes = tcgetattr(&theirs)?;
    // Every jail speaks UTF-8: what is erased is a character, not a byte.
    modes.input_modes |= InputModes::IUTF8;
    tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    tcsetwinsize(&ours, size)?;
    Ok((Ours::Terminal(ours.into()), Theirs::Terminal(theirs)))
}

impl Theirs {
    /// The console of a jail.
    pub(crate) fn console(&self) -> io::Result<Console> {
        Ok(match self {
            Self::Streams([input, output, errors]) => {
                Console::Streams([input.try_clone()?, output.try_clone()?, errors.try_clone()?])
            }
            Self::Terminal(terminal) => Console::Terminal(terminal.try_clone()?),
        })
    }
}

impl Ours {
    /// Carries bytes between the client and the jail until everything in the jail has ended.
    ///
    /// # Errors
    /// Why that could not begin.
    pub(crate) fn carry(self, inputs: Inputs, watch: &Watch) -> io::Result<()> {
        let Inputs { mut receiver, until } = inputs;
        match self {
            Self::Streams { mut input, output, errors } => {
                let write = move || {
                    while let Some(Input::Data(data)) = receiver.blocking_recv() {
                        if input.write_all(&data).is_err() {
                            // Nobody reads it.
                            break;
                        }
                    }
                };
                let errors = move || pass_on(errors, Printer::Errors, watch);
                tasks::together(vec![Box::new(write), Box::new(errors)], move || {
                    pass_on(output, Printer::Output, watch);
                    drop(until);
                })
            }
            Self::Terminal(terminal) => {
                let mut keys = terminal.try_clone()?;
                let write = move || {
                    while let Some(input) = receiver.blocking_recv() {
                        let written = match input {
                            Input::Data(data) => keys.write_all(&data),
                            Input::Resize(size) => tcsetwinsize(&keys, size).map_err(Into::into),
                            Input::End => break,
                        };
                        if written.is_err() {
                            break;
                        }
                    }
                };
                tasks::together(vec![Box::new(write)], move || {
                    pass_on(terminal, Printer::Output, watch);
                    drop(until);
                })
            }
        }
    }
}

/// Tells the client what is printed, until the last who could print is gone; what a client that has
/// left does not take is dropped.
fn pass_on(mut from: impl io::Read, on: Printer, watch: &Watch) {
    let mut chunk = vec![0; 16 << 10];
    loop {
        match from.read(&mut chunk) {
            Ok(read @ 1..) => {
                watch.tell(Happening::Printed { on, data: chunk[..read].to_vec() });
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A terminal ends with an error.
            Ok(0) | Err(_) => return,
        }
    }
}
