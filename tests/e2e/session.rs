//! A `kbs` at a terminal of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::lab::PATIENCE;
use crate::processes::until;

/// A `kbs` at a terminal of its own.
pub(crate) struct Session {
    child: Child,
    keyboard: File,
    /// The terminal as programs have it.
    terminal: OwnedFd,
    screen: Arc<Mutex<Vec<u8>>>,
    /// What somebody would see now.
    seen: Arc<Mutex<vt100::Parser>>,
    before: Termios,
}

impl Session {
    /// Starts it; the terminal has 33 rows of 99 columns.
    pub(crate) fn start(command: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).unwrap();
        unlockpt(&keyboard).unwrap();
        let terminal = ioctl_tiocgptpeer(&keyboard, flags).unwrap();
        tcsetwinsize(&keyboard, size(33, 99)).unwrap();
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        // Its own session, led by it: what a terminal's window does.
        let mut leader = Command::new("setsid");
        leader.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => leader.env(name, value),
                None => leader.env_remove(name),
            };
        }
        let child = leader
            .env("TERM", "vt220")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .unwrap();
        drop(leader);
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        let seen = Arc::new(Mutex::new(vt100::Parser::new(33, 99, 0)));
        let mut shown = File::from(keyboard.try_clone().unwrap());
        let (bytes, cells) = (Arc::clone(&screen), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = shown.read(&mut chunk) {
                bytes.lock().unwrap().extend_from_slice(&chunk[..read]);
                cells.lock().unwrap().process(&chunk[..read]);
            }
        });
        let before = tcgetattr(&terminal).unwrap();
        Self { child, keyboard: keyboard.into(), terminal, screen, seen, before }
    }

    /// All that was shown so far, without what asks the terminal to mark what is pasted.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned();
        text.replace("\x1b[?2004h", "").replace("\x1b[?2004l\r", "")
    }

    /// Waits until this is on the screen, and clears it.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let end = std::time::Instant::now() + PATIENCE;
        while !self.text().contains(text) {
            assert!(std::time::Instant::now() < end, "`{text}` is not in\n{}", self.text());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let shown = self.text();
        self.screen.lock().unwrap().clear();
        shown
    }

    /// Waits until somebody would see this.
    #[track_caller]
    pub(crate) fn wait_to_see(&self, text: &str) {
        let seen = || self.seen.lock().unwrap().screen().contents();
        let end = std::time::Instant::now() + PATIENCE;
        while !seen().contains(text) {
            assert!(std::time::Instant::now() < end, "`{text}` is not in\n{}", seen());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Presses these keys.
    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the window another size.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.keyboard, size(rows, columns)).unwrap();
    }

    /// Sends `kbs` a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; its status, after making sure that the terminal is as it was before.
    #[track_caller]
    pub(crate) fn finish(&mut self) -> Option<i32> {
        let mut status = None;
        until("the session has ended", PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let after = tcgetattr(&self.terminal).unwrap();
        assert_eq!(format!("{after:?}"), format!("{:?}", self.before), "the terminal");
        status.unwrap().code()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Only a test that failed leaves it running.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
