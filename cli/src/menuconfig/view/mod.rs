//! Draws the machine, whatever size there is.

mod dialogs;
pub(super) mod layout;
mod panes;
mod rows;
mod theme;
mod wrap;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

pub(crate) use theme::Theme;

use super::event::Build;
use super::state::{Mode, State};
use crate::render::screen::plain;
use layout::Areas;
use theme::Role;
use wrap::cells;

/// Where and how to draw.
struct Canvas<'b> {
    buffer: &'b mut Buffer,
    theme: Theme,
}

impl Canvas<'_> {
    /// Writes `text` at the start of line `line` of `area`, cut at its end.
    fn line(&mut self, area: Rect, line: u16, text: &str, role: Role) {
        let style = self.theme.style(role);
        if line < area.height {
            let width = usize::from(area.width);
            self.buffer.set_stringn(area.x, area.y + line, text, width, style);
        }
    }

    /// Gives the whole line `line` of `area` a style.
    fn bar(&mut self, area: Rect, line: u16, role: Role) {
        let style: Style = self.theme.style(role);
        if line < area.height {
            self.buffer.set_style(Rect { y: area.y + line, height: 1, ..area }, style);
        }
    }
}

/// Draws `state`; where the cursor of the terminal belongs, if it is to be seen.
pub(crate) fn draw(state: &State<'_>, theme: Theme, buffer: &mut Buffer) -> Option<Position> {
    let areas = state.areas();
    // A terminal that shrank while nobody looked.
    let whole = buffer.area;
    if areas.whole.width > whole.width || areas.whole.height > whole.height {
        return None;
    }
    let mut canvas = Canvas { buffer, theme };
    title(state, &areas, &mut canvas);
    let cursor = match &state.mode {
        Mode::Search(search) => dialogs::search(state, search, &areas, &mut canvas),
        Mode::Read(reading, top) => {
            dialogs::read(state, *reading, *top, &areas, &mut canvas);
            None
        }
        Mode::Browse | Mode::Edit(_) | Mode::Path(..) | Mode::Leaving => {
            rows::draw(state, &areas, &mut canvas);
            panes::draw(state, &areas, &mut canvas);
            dialogs::ask(state, &areas, &mut canvas)
        }
    };
    foot(state, &areas, &mut canvas);
    cursor
}

fn title(state: &State<'_>, areas: &Areas, canvas: &mut Canvas<'_>) {
    let top = state.kconfig.entry(state.menu.root()).title.unwrap_or("Main menu");
    let changed = match (state.is_changed(), state.is_stale) {
        (true, _) => " [changed]",
        (false, true) => " [not as the project's tool writes it]",
        (false, false) => "",
    };
    canvas.bar(areas.title, 0, Role::Title);
    let label = plain(&state.label);
    canvas.line(areas.title, 0, &format!(" {} — {label}{changed}", plain(top)), Role::Title);
    let way: Vec<String> = state.levels[1..]
        .iter()
        .map(|level| plain(state.kconfig.entry(level.id).title.unwrap_or("…")))
        .collect();
    let way = if way.is_empty() { "top".to_owned() } else { format!("top > {}", way.join(" > ")) };
    let all = match state.listing {
        kbs_kconfig::Listing::All => "  (everything is listed)",
        kbs_kconfig::Listing::Shown => "",
    };
    canvas.line(areas.path, 0, &format!(" {way}{all}"), Role::Heading);
    let build = match state.looked_up.build {
        Some(Build::Cached) => " build cached ",
        Some(Build::Open) => " would be built ",
        None => return,
    };
    let width = u16::try_from(cells(build)).unwrap_or(u16::MAX).min(areas.path.width);
    let x = areas.path.right() - width;
    canvas.line(Rect { x, width, ..areas.path }, 0, build, Role::Notice);
}

/// What is to be known now, and what the keys do.
fn foot(state: &State<'_>, areas: &Areas, canvas: &mut Canvas<'_>) {
    let hints: &[&str] = match &state.mode {
        Mode::Browse => &[
            "Enter open",
            "Space set",
            "/ search",
            "? help",
            "Tab pane",
            "s save",
            "q leave",
            "F1 keys",
            "y/m/n",
        ],
        Mode::Edit(_) => &["Enter take it", "Esc leave it"],
        Mode::Search(_) => &["Enter go there", "↑↓ choose", "Esc back"],
        Mode::Path(..) => &["Enter do it", "Esc back"],
        Mode::Read(..) => &["↑↓ PgUp PgDn scroll", "any other key: back"],
        Mode::Leaving => &["y save and leave", "n leave without saving", "Esc stay"],
    };
    let width = usize::from(areas.hints.width);
    let mut text = String::new();
    for hint in hints {
        if text.chars().count() + hint.chars().count() + 3 > width {
            break;
        }
        text.push_str("  ");
        text.push_str(hint);
    }
    let notice = state.notice.as_ref().map(|notice| {
        let role = if notice.is_refusal { Role::Refusal } else { Role::Notice };
        let mark = if notice.is_refusal { "!" } else { "-" };
        (format!(" {mark} {}", plain(&notice.text)), role)
    });
    match notice {
        Some((notice, role)) if areas.notice.height == 0 => {
            canvas.line(areas.hints, 0, &notice, role);
        }
        notice => {
            if let Some((notice, role)) = notice {
                canvas.line(areas.notice, 0, &notice, role);
            }
            canvas.line(areas.hints, 0, &text, Role::Dim);
        }
    }
}
