//! A service of the host that answers.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Sends every datagram back, until it is dropped.
pub(crate) struct Echo {
    port: u16,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let over = Arc::clone(&over);
            move || {
                let mut bytes = [0; 512];
                while let Ok((size, from)) = socket.recv_from(&mut bytes)
                    && !over.load(Ordering::Relaxed)
                {
                    socket.send_to(&bytes[..size], from).unwrap();
                }
            }
        });
        Self { port, over, thread: Some(thread) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let wake = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        wake.send_to(b"", (Ipv4Addr::LOCALHOST, self.port)).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}
