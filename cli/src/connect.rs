//! Finding a daemon, and starting one where none is.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kbs_daemon::Config;
use kbs_plan::error::{Class, Help};
use kbs_proto::client::MESSAGE_MAX_B;
use kbs_proto::pb::StatusRequest;
use kbs_proto::pb::builds_client::BuildsClient;
use kbs_proto::pb::daemon_client::DaemonClient;
use kbs_proto::pb::images_client::ImagesClient;
use kbs_proto::pb::sources_client::SourcesClient;
use kbs_proto::pb::store_client::StoreClient;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::UnixStream;
use tonic::transport::Channel;

use crate::env::Env;
use crate::error::CliError;
use crate::place::{Place, SOCKET_NAME, config_file};
use crate::start::{Launch, start};

/// How long a daemon that was started along the way stays without work, unless its configuration
/// says.
const IDLE_EXIT: Duration = Duration::from_mins(10);

/// When a daemon that is started leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// After so long without work, whatever its configuration says.
    For(Duration),
    /// As its configuration says, or for ever.
    AsConfigured,
    /// As its configuration says, or after a while: nobody asked for a daemon.
    AWhile,
}

/// A daemon that answers.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// Where it listens; `None` in this process.
    pub(crate) socket: Option<PathBuf>,
    /// Whether it was started just now.
    pub(crate) is_new: bool,
    channel: Channel,
    // Dropping it ends the daemon inside this process.
    _inside: Option<kbs_daemon::InProcess>,
}

/// No daemon can be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Nobody listens there.
    #[error("no daemon listens on {}", socket.display())]
    Nobody {
        /// Where.
        socket: PathBuf,
    },
    /// The socket cannot be used.
    #[error("cannot connect to the daemon on {}", socket.display())]
    Refused {
        /// Where.
        socket: PathBuf,
        /// Why.
        source: tonic::transport::Error,
    },
}

impl Help for ConnectError {
    fn class(&self) -> Class {
        Class::Environment
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Nobody { .. } => Some(
                "start it with `kbs daemon start`, or give --state instead of --socket".to_owned(),
            ),
            Self::Refused { .. } => None,
        }
    }
}

macro_rules! clients {
    ($($name:ident: $client:ident;)*) => {$(
        /// A client of one service.
        pub(crate) fn $name(&self) -> $client<Channel> {
            $client::new(self.channel.clone()).max_decoding_message_size(MESSAGE_MAX_B)
        }
    )*};
}

/// A process of this host that is looked at, so that its number cannot become another's.
#[derive(Debug)]
pub(crate) struct Process(OwnedFd);

impl Process {
    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        let mut ended = [PollFd::new(&self.0, PollFlags::IN)];
        // Where the kernel cannot tell, waiting would not end.
        !matches!(poll(&mut ended, Some(&Timespec::default())), Ok(0))
    }
}

impl Daemon {
    clients! {
        builds: BuildsClient;
        sources: SourcesClient;
        images: ImagesClient;
        store: StoreClient;
        control: DaemonClient;
    }

    /// Finds the daemon of `place`, or starts one with the configuration that `env` chooses.
    ///
    /// # Errors
    /// Why no daemon answers, or why none could be started.
    pub(crate) async fn reach(place: &Place, env: &Env, stay: Stay) -> Result<Self, CliError> {
        if let Some(daemon) = Self::find(place).await? {
            return Ok(daemon);
        }
        match place {
            Place::Socket(socket) => Err(ConnectError::Nobody { socket: socket.clone() }.into()),
            Place::Here(state) => {
                Self::inside(Config::read(state, config_file(env)?.as_deref())?).await
            }
            Place::State { shared: _, dir } => {
                let program = std::env::current_exe()
                    .map_err(|error| CliError::host("cannot tell where kbs is", &error))?;
                let file = config_file(env)?;
                // The daemon reads it again; what is wrong with it is better told here.
                let config = Config::read(dir, file.as_deref())?;
                let idle_exit = match stay {
                    Stay::For(idle) => Some(idle),
                    Stay::AWhile if config.idle_exit.is_none() => Some(IDLE_EXIT),
                    Stay::AWhile | Stay::AsConfigured => None,
                };
                let config = file.as_deref();
                Ok(start(&Launch { program: &program, state: dir, config, idle_exit }).await?)
            }
        }
    }

    /// The process that listens, `None` where it is none of this host or cannot be looked at.
    pub(crate) async fn process(&self) -> Option<Process> {
        let told = self.control().status(StatusRequest {}).await.ok()?.into_inner().pid;
        let peer = UnixStream::connect(self.socket.as_deref()?).await.ok()?.peer_cred().ok()?;
        // Behind a forwarded socket another process listens than the one that answers.
        let pid = peer.pid().filter(|&pid| u32::try_from(pid) == Ok(told))?;
        pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok().map(Process)
    }

    /// Does a daemon's work in this process.
    ///
    /// # Errors
    /// Why it cannot be done, for one that another daemon has the state directory.
    pub(crate) async fn inside(config: Config) -> Result<Self, CliError> {
        let inside = kbs_daemon::in_process(config).await?;
        let channel = inside.channel.clone();
        Ok(Self { socket: None, is_new: true, channel, _inside: Some(inside) })
    }

    /// Finds the daemon of `place`, `None` where none answers.
    ///
    /// # Errors
    /// [`ConnectError::Refused`].
    pub(crate) async fn find(place: &Place) -> Result<Option<Self>, ConnectError> {
        match place {
            Place::Here(_) => Ok(None),
            Place::Socket(socket) => Self::at(socket).await,
            Place::State { shared, dir } => {
                if let Some(socket) = shared.as_deref().filter(|socket| socket.exists())
                    && let Ok(Some(daemon)) = Self::at(socket).await
                {
                    return Ok(Some(daemon));
                }
                Self::at(&dir.join(SOCKET_NAME)).await
            }
        }
    }

    /// The daemon on `socket`, `None` where nobody listens: a left-over socket is as good as none, and so
    /// is a daemon that is leaving.
    ///
    /// # Errors
    /// [`ConnectError::Refused`].
    pub(crate) async fn at(socket: &Path) -> Result<Option<Self>, ConnectError> {
        match kbs_proto::client::connect(socket).await {
            Ok(channel) => Ok(Some(Self {
                socket: Some(socket.to_owned()),
                is_new: false,
                channel,
                _inside: None,
            })),
            Err(error) if is_nobody(&error) => Ok(None),
            Err(source) => Err(ConnectError::Refused { socket: socket.to_owned(), source }),
        }
    }
}

fn is_nobody(error: &(dyn std::error::Error + 'static)) -> bool {
    use ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotADirectory, NotFound,
        UnexpectedEof,
    };
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<std::io::Error>())
        // Of no system call: the connection ended before it was one.
        .is_none_or(|error| {
            let is_absent = matches!(error.kind(), NotFound | NotADirectory | ConnectionRefused);
            let is_leaving = matches!(
                error.kind(),
                ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof
            );
            is_absent || is_leaving
        })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What a client finds that connects to `socket`.
    fn found(socket: &Path) -> Result<Option<Daemon>, ConnectError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Daemon::at(socket))
    }

    #[test]
    fn a_daemon_that_leaves_meanwhile_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join(SOCKET_NAME);
        assert!(matches!(found(&socket), Ok(None)));
        let listener = UnixListener::bind(&socket).unwrap();
        let ends: [fn(&UnixListener); 3] = [
            // At once, which resets what the client has sent.
            |listener| drop(listener.accept().unwrap()),
            |listener| {
                let mut client = listener.accept().unwrap().0;
                drop(client.read_exact(&mut [0; 4]));
            },
            |listener| {
                let mut client = listener.accept().unwrap().0;
                drop(client.write_all(b"220 ready\r\n"));
                drop(client.read_exact(&mut [0; 4]));
            },
        ];
        for end in ends {
            std::thread::scope(|scope| {
                scope.spawn(|| end(&listener));
                // What answers first may be taken for a daemon until it is asked something.
                found(&socket).unwrap();
            });
        }
        drop(listener);
        assert!(matches!(found(&socket), Ok(None)));
    }
}
