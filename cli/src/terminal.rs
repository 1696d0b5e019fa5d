//! The terminal of this process, when somebody sits at it.

use std::io::{IsTerminal as _, Read as _};

use kbs_proto::pb;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::{mpsc, oneshot};

use crate::error::CliError;

/// Bytes of input that are sent at a time.
const PIECE_B: usize = 16 << 10;

/// Whether input and output both are a terminal.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// The size of the terminal, nothing where it has none.
pub(crate) fn size() -> pb::WindowSize {
    let size = tcgetwinsize(stdout());
    size.map(|size| pb::WindowSize { rows: size.ws_row.into(), columns: size.ws_col.into() })
        .unwrap_or_default()
}

/// The terminal without any of its own thoughts: every key is a byte to send. Dropping it gives the
/// terminal back as it was.
#[derive(Debug)]
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Why it cannot be changed.
    pub(crate) fn enter() -> Result<Self, CliError> {
        let failed =
            |errno| CliError::host("cannot take the terminal", &std::io::Error::from(errno));
        let before = tcgetattr(stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Self { before })
    }

    /// What gives the terminal back as well, where nothing is dropped any more.
    pub(crate) fn restorer(&self) -> impl Fn() + Send + Sync + 'static {
        let before = self.before.clone();
        move || {
            tcsetattr(stdin(), OptionalActions::Now, &before).ok();
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing any more.
        tcsetattr(stdin(), OptionalActions::Now, &self.before).ok();
    }
}

/// Sends what is read from stdin, piece by piece, by a thread of its own that nobody waits for: it
/// may be reading for ever. The receiver returned ends when the input does.
pub(crate) fn send_input(to: mpsc::Sender<pb::ShellInput>) -> oneshot::Receiver<()> {
    use pb::shell_input::Input;
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let _ended = ended;
        let mut input = std::io::stdin().lock();
        let mut piece = vec![0; PIECE_B];
        loop {
            let input = match input.read(&mut piece) {
                Ok(read_b @ 1..) => Input::Data(piece[..read_b].to_vec()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => Input::Eof(true),
            };
            let is_last = matches!(input, Input::Eof(_));
            if to.blocking_send(pb::ShellInput { input: Some(input) }).is_err() || is_last {
                return;
            }
        }
    });
    end
}
