//! Messages between the daemon, the helper and the jails: one JSON value each, with descriptors.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::{Errno, retry_on_intr},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
        sendmsg, socketpair,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Outcome, Sample, Usage, console::ConsoleKind, walk::Measured};

/// From the daemon to the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToHelper {
    /// Start a jail. Descriptors: a memory file with the spec, then the console's.
    Run { id: u64, console: ConsoleKind },
    /// Kill a jail, if it still lives.
    Kill { id: u64 },
}

/// From the helper to the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromHelper {
    /// A jail's first process has this number on the host.
    Started { id: u64, pid: i32 },
    /// What a jail holds now.
    Sample { id: u64, sample: Sample },
    /// A jail is over. Descriptors: `/build/src` and `/build/out`, or none.
    Finished { id: u64, outcome: Outcome, usage: Usage, took: Duration, copied: bool },
}

/// From a jail's first process to the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromJail {
    /// Descriptors: `/build/src`, `/build/out`, `/proc`, the user namespace.
    Dirs {
        /// Whether the source was copied because its file system cannot be a layer.
        copied: bool,
        /// What the scratch in memory holds before the first step.
        base: Measured,
    },
    /// The last step has ended, and everything it left is dead.
    Over { outcome: Outcome, usage: Usage },
}

/// No message is longer. What could be (specs) travels in a file.
pub(crate) const MAX_MESSAGE_B: usize = 64 * 1024;
/// No message of a jail is longer, so what the helper tells the daemon of it always fits.
pub(crate) const MAX_FROM_JAIL_B: usize = MAX_MESSAGE_B / 2;
/// No message has more descriptors.
const MAX_FDS: usize = 4;

/// Makes a connection that keeps messages apart and ends when one side dies.
pub(crate) fn connection() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// The bytes of a message.
pub(crate) fn encode(message: &impl Serialize) -> Result<Vec<u8>, Errno> {
    serde_json::to_vec(message).map_err(|_| Errno::INVAL)
}

/// The message that these bytes are.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Errno> {
    serde_json::from_slice(bytes).map_err(|_| Errno::BADMSG)
}

/// Sends one message.
pub(crate) fn send(
    to: impl AsFd,
    message: &impl Serialize,
    fds: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let bytes = encode(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOBIG);
    }
    let to = to.as_fd();
    retry_on_intr(|| sendmsg(to, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Receives one message of at most so many bytes; `None` when the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(
    from: impl AsFd,
    most_b: usize,
) -> Result<Option<(T, Vec<OwnedFd>)>, Errno> {
    let mut bytes = vec![0; most_b];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let from = from.as_fd();
    let received = match retry_on_intr(|| {
        recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
    }) {
        Err(Errno::CONNRESET) => return Ok(None),
        other => other?,
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::MSGSIZE);
    }
    Ok(Some((decode(&bytes[..received.bytes])?, fds)))
}
