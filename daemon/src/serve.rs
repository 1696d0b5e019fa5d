//! Listening, leaving, and serving inside another process.

use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use kbs_plan::error::{Class, Help};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::config::Config;
use crate::engine::{Engine, Urgency, tasks};
use crate::problem::Problem;
use crate::service;
use crate::stages::garbage;

/// A daemon could not start, or ended badly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The state directory cannot be used.
    #[error("cannot use the state directory {}", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        problem: Problem,
    },
    /// The socket cannot be listened on.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The transport failed.
    #[error("the daemon's transport failed")]
    Transport(#[source] tonic::transport::Error),
}

impl Help for StartError {
    fn class(&self) -> Class {
        match self {
            Self::State { problem, .. } => problem.class(),
            Self::Listen { .. } | Self::Transport(_) => Class::Environment,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::State { problem, .. } => problem.as_help().help(),
            Self::Listen { .. } | Self::Transport(_) => None,
        }
    }
}

async fn open(config: Config) -> Result<Arc<Engine>, StartError> {
    let path = config.state_dir.clone();
    let opened = tokio::task::spawn_blocking(move || Engine::open(config)).await;
    match opened {
        Ok(Ok(engine)) => {
            let engine = Arc::new(engine);
            garbage::begin_at_start(&engine);
            Ok(engine)
        }
        Ok(Err(problem)) => Err(StartError::State { path, problem }),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Serves on the configured socket until `leave` is cancelled, a client asks to stop, or nobody has
/// asked for anything for so long.
///
/// # Errors
/// [`StartError`].
pub(crate) async fn serve(config: Config, leave: CancellationToken) -> Result<(), StartError> {
    let socket = config.socket();
    let (idle, config_socket) = (config.idle_exit, config.socket.is_some());
    let engine = open(config).await?;
    let listen = |source| StartError::Listen { path: socket.clone(), source };
    let guest_list = if config_socket { GuestList::Group } else { GuestList::Owner };
    let listener = bind(&socket, guest_list).map_err(listen)?;
    tracing::info!(socket = %socket.display(), "listening");
    if let Some(idle) = idle {
        tasks::spawn(leave_when_idle(Arc::clone(&engine), idle, leave.clone()));
    }
    let peers = UnixListenerStream::new(listener)
        .filter(move |peer| peer.as_ref().is_ok_and(|peer| guest_list.admits(peer)));
    let done = CancellationToken::new();
    let serving = service::router(&engine, &leave)
        .serve_with_incoming_shutdown(peers, done.clone().cancelled_owned());
    tokio::pin!(serving);
    let drain = async {
        drained(&engine, &leave).await;
        // From here on a client starts another daemon, which waits until this one is gone.
        drop(std::fs::remove_file(&socket));
        done.cancel();
        // A client that does not read what it asked for holds nobody up for long.
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    let served = tokio::select! {
        served = &mut serving => served.map_err(StartError::Transport),
        () = drain => Ok(()),
    };
    // It ends early by itself now that the engine stops; the store is left as it should be then.
    for _ in 0..COLLECTION_STEPS {
        if !engine.collecting.is_under_way() {
            break;
        }
        tokio::time::sleep(COLLECTION_STEP).await;
    }
    served
}

/// How often, and how far apart, whoever leaves looks whether a collection has ended: 3 s in all.
const COLLECTION_STEPS: u32 = 300;
const COLLECTION_STEP: Duration = Duration::from_millis(10);

/// Resolves when it is time to leave and no build runs any more.
async fn drained(engine: &Engine, leave: &CancellationToken) {
    leave.cancelled().await;
    engine.stop(Urgency::WhenDone);
    while engine.flights.len() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Who may speak to a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GuestList {
    /// The owner and root: a socket in our own state directory.
    Owner,
    /// Whom the socket's group and directory let in: one that an operator placed.
    Group,
}

impl GuestList {
    fn admits(self, peer: &UnixStream) -> bool {
        let us = rustix::process::geteuid().as_raw();
        let is_owner = || peer.peer_cred().is_ok_and(|peer| peer.uid() == us || peer.uid() == 0);
        self == Self::Group || is_owner()
    }

    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o660,
        }
    }
}

/// Binds the socket, replacing what an earlier daemon left: whoever holds the state directory's
/// lock owns its socket.
fn bind(socket: &Path, guest_list: GuestList) -> std::io::Result<UnixListener> {
    let (Some(dir), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(std::io::Error::other("not a path of a socket"));
    };
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Through the open directory, because a socket address holds at most 107 bytes.
    let dir = std::fs::File::open(dir)?;
    let short = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
    let listener = UnixListener::bind(&short)?;
    std::fs::set_permissions(&short, std::fs::Permissions::from_mode(guest_list.mode()))?;
    Ok(listener)
}

async fn leave_when_idle(engine: Arc<Engine>, idle: Duration, leave: CancellationToken) {
    let step = (idle / 4).clamp(Duration::from_millis(50), Duration::from_secs(5));
    while engine.idle_for() < idle {
        tokio::time::sleep(step).await;
    }
    tracing::info!("idle; leaving");
    leave.cancel();
}

/// A daemon inside this process; dropping it ends it.
#[derive(Debug)]
pub struct InProcess {
    /// Where clients connect.
    pub channel: Channel,
    leave: CancellationToken,
    engine: Arc<Engine>,
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.engine.stop(Urgency::Now);
        self.leave.cancel();
        for _ in 0..COLLECTION_STEPS {
            if !self.engine.collecting.is_under_way() {
                break;
            }
            std::thread::sleep(COLLECTION_STEP);
        }
    }
}

/// Serves in this process, over the same services, without a socket: `--no-daemon`.
///
/// # Errors
/// [`StartError`], also where another daemon holds the state directory.
pub async fn in_process(config: Config) -> Result<InProcess, StartError> {
    let engine = open(config).await?;
    let leave = CancellationToken::new();
    let (dial, accept) = tokio::sync::mpsc::channel::<std::io::Result<tokio::io::DuplexStream>>(4);
    let router = service::router(&engine, &leave);
    let until = leave.clone();
    tasks::spawn(async move {
        let served = router
            .serve_with_incoming_shutdown(ReceiverStream::new(accept), until.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the in-process daemon failed");
        }
    });
    let connector = tower::service_fn(move |_| {
        let dial = dial.clone();
        async move {
            let (ours, theirs) = tokio::io::duplex(1 << 20);
            match dial.send(Ok(theirs)).await {
                Ok(()) => Ok(TokioIo::new(ours)),
                Err(_) => Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
            }
        }
    });
    // The URI is required and never used.
    let channel = Endpoint::from_static("http://kbsd.local")
        .connect_with_connector(connector)
        .await
        .map_err(StartError::Transport)?;
    Ok(InProcess { channel, leave, engine })
}
