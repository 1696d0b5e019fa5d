//! A terminal with somebody at it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is on the screen, and all that was ever sent to it.
struct Shown {
    screen: vt100::Parser,
    bytes: Vec<u8>,
}

/// A program at a terminal.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    theirs: OwnedFd,
    shown: Arc<Mutex<Shown>>,
    /// Nobody is to read any more.
    gone: Arc<AtomicBool>,
    before: Termios,
}

/// `kbs` in `dir`, with nothing of this environment that it looks at.
pub(crate) fn kbs(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbs"));
    command.current_dir(dir).env_clear().env("TERM", "xterm-256color");
    command
}

impl Terminal {
    /// Starts a program at a terminal of `columns` and `rows`.
    pub(crate) fn start(command: &Command, (columns, rows): (u16, u16)) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).unwrap();
        unlockpt(&keyboard).unwrap();
        let terminal = ioctl_tiocgptpeer(&keyboard, flags).unwrap();
        tcsetwinsize(&keyboard, size(columns, rows)).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        // A session of its own, as in a terminal's window.
        let mut leader = Command::new("/usr/bin/setsid");
        leader.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        leader.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(dir) = command.get_current_dir() {
            leader.current_dir(dir);
        }
        let child = leader.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        drop(leader);
        let screen = vt100::Parser::new(rows.max(1), columns.max(1), 0);
        let shown = Arc::new(Mutex::new(Shown { screen, bytes: Vec::new() }));
        let (mut output, seen) = (File::from(keyboard.try_clone().unwrap()), Arc::clone(&shown));
        let gone = Arc::new(AtomicBool::new(false));
        let is_gone = Arc::clone(&gone);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while !is_gone.load(Ordering::Relaxed) {
                // Not longer, so that the terminal can be closed.
                let timeout = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                let mut polled = [PollFd::new(&output, PollFlags::IN)];
                if poll(&mut polled, Some(&timeout)).unwrap_or(0) == 0 {
                    continue;
                }
                let Ok(read @ 1..) = output.read(&mut chunk) else { break };
                let mut shown = seen.lock().unwrap();
                shown.screen.process(&chunk[..read]);
                shown.bytes.extend_from_slice(&chunk[..read]);
            }
        });
        Self { child, keyboard: keyboard.into(), theirs: terminal, shown, gone, before }
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        let shown = self.shown.lock().unwrap();
        let (_, columns) = shown.screen.screen().size();
        let rows = shown.screen.screen().rows(0, columns);
        rows.map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    /// All that was sent to the terminal.
    pub(crate) fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap().bytes).into_owned()
    }

    /// Waits until this is on the screen; the screen.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Waits until the screen is as it should be; the screen.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "`{what}` is not in\n{screen}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the window another size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.resize_screen(columns, rows);
        tcsetwinsize(&self.keyboard, size(columns, rows)).unwrap();
    }

    /// Gives the window another size, of which the program learns nothing.
    pub(crate) fn resize_screen(&self, columns: u16, rows: u16) {
        self.shown.lock().unwrap().screen.screen_mut().set_size(rows, columns);
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Closes the window, as when a connection is lost; the status that the program ends with.
    #[track_caller]
    pub(crate) fn hang_up(mut self) -> Option<i32> {
        self.gone.store(true, Ordering::Relaxed);
        self.keyboard = File::open("/dev/null").unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the program has stopped.
    #[track_caller]
    pub(crate) fn wait_for_stop(&self) {
        let stat = format!("/proc/{}/stat", self.pid().as_raw_nonzero());
        let end = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&stat).unwrap();
            if text.rsplit(')').next().unwrap().trim_start().starts_with('T') {
                return;
            }
            assert!(Instant::now() < end, "it does not stop: {text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Makes sure that the terminal is as it was before.
    #[track_caller]
    pub(crate) fn assert_given_back(&self) {
        let after = tcgetattr(&self.theirs).unwrap();
        assert_eq!(format!("{after:?}"), format!("{:?}", self.before), "the terminal");
        let end = Instant::now() + PATIENCE;
        // What was written last may not have arrived yet.
        while !self.is_plain() {
            assert!(Instant::now() < end, "the screen is not given back\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether every key is a byte of its own.
    pub(crate) fn is_taken(&self) -> bool {
        !tcgetattr(&self.theirs).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    fn is_plain(&self) -> bool {
        let shown = self.shown.lock().unwrap();
        let screen = shown.screen.screen();
        !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
    }

    /// Waits for the end, after which the terminal has to be as it was; the status.
    #[track_caller]
    pub(crate) fn finish(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it does not end\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.signal(), None);
        self.assert_given_back();
        status
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only a test that failed leaves it running.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
