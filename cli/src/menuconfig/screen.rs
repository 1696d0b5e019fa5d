//! The terminal: takes it, draws on it, and gives it back whatever happens.

use std::io::{ErrorKind, Stdout, Write, stdout};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use kbs_plan::error::Class;
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use ratatui::crossterm::{execute, queue};
use ratatui::layout::{Rect, Size};
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use super::disk::{Disk, beside};
use super::event::{Build, Effect, Event};
use super::lookup::LookUp;
use super::state::State;
use super::view::{Theme, draw};
use crate::error::CliError;
use crate::terminal::{Raw, is_interactive};

/// How the menu ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Left {
    /// By a key, with everything saved, or with changes that nobody wanted.
    ByKey {
        /// Whether changes were thrown away.
        dropped: bool,
    },
    /// By a signal or because the terminal is gone; what was not saved is in this file.
    ByForce(Option<PathBuf>),
}

/// Whether the mouse is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mouse {
    /// It is; the terminal cannot mark text with it meanwhile.
    Heard,
    /// It belongs to the terminal.
    Left,
}

/// What arrives from outside.
enum News {
    Input(event::Event),
    Signal(i32),
    LookedUp(String, Option<Build>),
    /// There is nothing more to read.
    Gone,
}

/// Shows the menu until somebody leaves it; `look_up` tells what is known of builds.
///
/// # Errors
/// There is no terminal, or it does not do what it should. It is given back as it was.
pub(crate) fn sit(
    state: &mut State<'_>,
    disk: Disk,
    theme: Theme,
    mouse: Mouse,
    look_up: Option<LookUp>,
) -> Result<Left, CliError> {
    if !is_interactive() {
        return Err(CliError::new(Class::User, "the menu needs a terminal to be shown on")
            .with_help("change single symbols with --script 'set SYMBOL=VALUE; save'"));
    }
    force_color_output(theme == Theme::Colours);
    let failed = |error| CliError::host("cannot listen to signals", &error);
    // The size as well: before anybody reads keys, nobody else tells of it.
    let wanted = [SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGCONT, SIGWINCH];
    let signals = Signals::new(wanted).map_err(failed)?;
    let mut screen = Screen::enter(mouse)?;
    let _hook = Hook::set(screen.raw.as_ref());
    let (to, news) = channel();
    let configurations = look_up.map(|look_up| {
        let to = to.clone();
        look_up.start(move |text, build| to.send(News::LookedUp(text, build)).is_ok())
    });
    hear(signals, to);
    let left = screen.run(state, disk, theme, &news, configurations.as_ref());
    screen.leave();
    left.map_err(|error| match forced(state) {
        Left::ByForce(Some(kept)) => {
            error.with_help(format!("what was not saved is in {}", kept.display()))
        }
        _ => error,
    })
}

/// Starts the threads that listen to keys and signals. Nobody waits for them.
fn hear(mut signals: Signals, to: Sender<News>) {
    let keys = to.clone();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if keys.send(News::Input(event)).is_err() {
                return;
            }
        }
        keys.send(News::Gone).ok();
    });
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if to.send(News::Signal(signal)).is_err() {
                return;
            }
        }
    });
}

/// The terminal to draw on. One that is gone takes everything: whoever draws is told by a signal,
/// and the library, where it cannot show the cursor any more, ends in a panic.
struct Out(Stdout);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(_) => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush().ok();
        Ok(())
    }
}

/// The terminal while it is taken.
struct Screen {
    /// `None` while somebody else has it.
    raw: Option<Raw>,
    terminal: Terminal<CrosstermBackend<Out>>,
    /// What `terminal` draws on.
    size: Size,
    mouse: Mouse,
}

/// Draws on a screen of the size that it has now, of which it is known that nothing is on it.
///
/// Left to itself, the library asks the terminal where its cursor is whenever the size changes, and
/// the answer is lost among the keys.
fn blank() -> Result<(Terminal<CrosstermBackend<Out>>, Size), CliError> {
    let backend = CrosstermBackend::new(Out(stdout()));
    let size = size_of(&backend)?;
    let viewport = Viewport::Fixed(Rect::new(0, 0, size.width, size.height));
    let terminal = Terminal::with_options(backend, TerminalOptions { viewport });
    Ok((terminal.map_err(failed)?, size))
}

impl Screen {
    fn enter(mouse: Mouse) -> Result<Self, CliError> {
        let (terminal, size) = blank()?;
        let mut screen = Self { raw: None, terminal, size, mouse };
        screen.take()?;
        Ok(screen)
    }

    /// Takes the terminal, also where it was taken already and somebody meddled with it.
    fn take(&mut self) -> Result<(), CliError> {
        self.raw = None;
        self.raw = Some(Raw::enter()?);
        let mut out = Out(stdout());
        queue!(out, EnterAlternateScreen, EnableBracketedPaste).map_err(failed)?;
        if self.mouse == Mouse::Heard {
            queue!(out, EnableMouseCapture).map_err(failed)?;
        }
        out.flush().map_err(failed)?;
        self.clear()
    }

    /// Makes the screen empty, and knows that it is.
    fn clear(&mut self) -> Result<(), CliError> {
        (self.terminal, self.size) = blank()?;
        self.terminal.backend_mut().clear().map_err(failed)
    }

    /// Gives the terminal back.
    fn leave(&mut self) {
        if self.raw.is_some() {
            restore_screen();
            self.raw = None;
        }
    }

    fn run(
        &mut self,
        state: &mut State<'_>,
        disk: Disk,
        theme: Theme,
        news: &Receiver<News>,
        configurations: Option<&watch::Sender<String>>,
    ) -> Result<Left, CliError> {
        loop {
            if let Some((to, text)) = configurations.and_then(|to| Some((to, state.look_up()?))) {
                to.send_replace(text);
            }
            self.draw(state, theme)?;
            let Ok(mut one) = news.recv() else { return Ok(forced(state)) };
            // All that has arrived meanwhile is drawn at once.
            loop {
                let effects = match one {
                    News::Gone | News::Signal(SIGHUP | SIGINT | SIGTERM) => {
                        self.leave();
                        return Ok(forced(state));
                    }
                    News::Signal(SIGTSTP) => vec![Effect::Suspend],
                    News::Signal(SIGCONT) => {
                        // A lost connection is told by this signal as well, at times first.
                        if self.take().is_err() {
                            return Ok(forced(state));
                        }
                        Vec::new()
                    }
                    // Every drawing looks at the size.
                    News::Signal(_) => Vec::new(),
                    News::LookedUp(text, build) => state.update(Event::LookedUp(text, build)),
                    News::Input(input) => known(input).map_or_else(Vec::new, |e| state.update(e)),
                };
                if self.carry_out(effects, state, disk)? == Next::Leave {
                    return Ok(Left::ByKey { dropped: state.is_changed() });
                }
                match news.try_recv() {
                    Ok(next) => one = next,
                    Err(_) => break,
                }
            }
        }
    }

    fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        state: &mut State<'_>,
        disk: Disk,
    ) -> Result<Next, CliError> {
        let mut open = effects;
        while !open.is_empty() {
            let mut more = Vec::new();
            for effect in open {
                let event = match effect {
                    Effect::Leave => return Ok(Next::Leave),
                    Effect::Redraw => {
                        self.clear()?;
                        continue;
                    }
                    Effect::Suspend => {
                        self.leave();
                        // It cannot be refused, and ends when somebody goes on.
                        kill_process(getpid(), Signal::STOP)
                            .map_err(|errno| failed(errno.into()))?;
                        self.take()?;
                        continue;
                    }
                    Effect::Write(writing, text) => {
                        let expected = state.expects(&writing.path);
                        let result = match (expected, Disk::find(&writing.path)) {
                            (Some(expected), Ok(Some(found))) if found != expected => {
                                Err("somebody has changed it meanwhile".to_owned())
                            }
                            _ => {
                                let written = disk.write(&writing.path, &text);
                                written.map_err(|error| error.to_string())
                            }
                        };
                        Event::Written(writing, result)
                    }
                    Effect::Read(path) => {
                        let result = Disk::read(&path).map_err(|error| error.to_string());
                        Event::Read(path, result)
                    }
                };
                more.extend(state.update(event));
            }
            open = more;
        }
        Ok(Next::GoOn)
    }

    fn draw(&mut self, state: &mut State<'_>, theme: Theme) -> Result<(), CliError> {
        let size = size_of(self.terminal.backend())?;
        queue!(Out(stdout()), BeginSynchronizedUpdate).map_err(failed)?;
        if size != self.size {
            self.clear()?;
        }
        if (self.size.width, self.size.height) != state.size() {
            state.update(Event::Resize(self.size.width, self.size.height));
        }
        self.terminal
            .draw(|frame| {
                if let Some(cursor) = draw(state, theme, frame.buffer_mut()) {
                    frame.set_cursor_position(cursor);
                }
            })
            .map_err(failed)?;
        execute!(Out(stdout()), EndSynchronizedUpdate).map_err(failed)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The size of the screen; that of old where the terminal does not know, as on a serial line.
fn size_of(backend: &CrosstermBackend<Out>) -> Result<Size, CliError> {
    let size = backend.size().map_err(failed)?;
    Ok(if size.width == 0 || size.height == 0 { Size::new(80, 24) } else { size })
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Leave,
}

/// What the machine hears of an input.
fn known(input: event::Event) -> Option<Event> {
    match input {
        event::Event::Key(key) => Some(Event::Key(key)),
        event::Event::Paste(text) => Some(Event::Paste(text)),
        event::Event::Mouse(mouse) => Some(Event::Mouse(mouse)),
        event::Event::Resize(columns, rows) => Some(Event::Resize(columns, rows)),
        event::Event::FocusGained | event::Event::FocusLost => None,
    }
}

/// Keeps what was not saved, when there is nobody to ask.
fn forced(state: &State<'_>) -> Left {
    let path = beside(&state.config_path(), ".unsaved");
    let kept = state.is_changed() && Disk::Replaces.write(&path, &state.text()).is_ok();
    Left::ByForce(kept.then_some(path))
}

/// Puts the screen back that was there before.
fn restore_screen() {
    // A terminal that is gone needs nothing any more.
    execute!(
        stdout(),
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    )
    .ok();
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn failed(error: std::io::Error) -> CliError {
    CliError::host("cannot draw on the terminal", &error)
}

type PanicHook = dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync;

/// Gives the terminal back before a panic is told, for as long as it lives.
struct Hook {
    before: Arc<PanicHook>,
}

impl Hook {
    fn set(raw: Option<&Raw>) -> Self {
        let before: Arc<PanicHook> = std::panic::take_hook().into();
        let told = Arc::clone(&before);
        let restore = raw.map(Raw::restorer);
        std::panic::set_hook(Box::new(move |info| {
            restore_screen();
            if let Some(restore) = &restore {
                restore();
            }
            told(info);
        }));
        Self { before }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // Not while the panic is under way: hooks cannot be set then.
        if !std::thread::panicking() {
            let before = Arc::clone(&self.before);
            std::panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::tcgetattr;

    use super::*;

    /// In its presence, the test is the program that it looks at.
    const ROLE: &str = "KBS_TEST_PANICS";
    const NAME: &str =
        "menuconfig::screen::tests::a_panic_gives_the_terminal_back_before_it_is_told";

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        if std::env::var_os(ROLE).is_some() {
            let screen = Screen::enter(Mouse::Heard).unwrap();
            let _hook = Hook::set(screen.raw.as_ref());
            panic!("the ceiling falls");
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).unwrap();
        unlockpt(&keyboard).unwrap();
        let terminal = ioctl_tiocgptpeer(&keyboard, flags).unwrap();
        let before = format!("{:?}", tcgetattr(&terminal).unwrap());
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        let mut child = Command::new("/usr/bin/setsid")
            .args(["--ctty", "--wait"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(ROLE, "1")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .unwrap();
        let mut shown = File::from(keyboard);
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // Ends with an error when nobody has the terminal any more.
            shown.read_to_end(&mut bytes).ok();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        assert!(!child.wait().unwrap().success());
        assert_eq!(format!("{:?}", tcgetattr(&terminal).unwrap()), before);
        drop(terminal);
        let told = reader.join().unwrap();
        let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("{what:?} in {told:?}"));
        assert!(at("\x1b[?1049h") < at("\x1b[?1049l"));
        assert!(at("\x1b[?1049l") < at("the ceiling falls"));
        assert!(at("\x1b[?1000h") < at("\x1b[?1000l"));
    }
}
