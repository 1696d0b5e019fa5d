//! The menu, row by row.

use kbs_kconfig::{Entry, EntryId, EntryKind, Row, Settable, Setting, Tristate, ValueKind};

use super::theme::Role;
use super::wrap::cells;
use super::{Areas, Canvas};
use crate::menuconfig::state::State;
use crate::render::screen::plain;

/// Cells of a value that are shown in a row.
const VALUE_MAX: usize = 40;

pub(super) fn draw(state: &State<'_>, areas: &Areas, canvas: &mut Canvas<'_>) {
    let level = state.level();
    if state.rows.is_empty() {
        canvas.line(areas.rows, 0, "  (nothing is shown here; a: list everything)", Role::Dim);
        return;
    }
    let shown = state.rows.iter().enumerate().skip(level.top);
    for (line, (at, row)) in (0..areas.rows.height).zip(shown) {
        let is_chosen = at == level.cursor;
        let is_changed = state.changed.contains(&row.id);
        let mark = if is_chosen { '>' } else { ' ' };
        let change = if is_changed { '~' } else { ' ' };
        let text = format!("{mark}{change}{}", text(state, *row));
        let role = match (is_chosen, is_changed, row.shown) {
            (true, ..) => Role::Chosen,
            (_, true, _) => Role::Changed,
            (_, _, false) => Role::Hidden,
            _ => Role::Plain,
        };
        if is_chosen {
            canvas.bar(areas.rows, line, Role::Chosen);
        }
        canvas.line(areas.rows, line, &text, role);
    }
    more(state, areas, canvas);
}

/// Arrows at the right edge where there is more.
fn more(state: &State<'_>, areas: &Areas, canvas: &mut Canvas<'_>) {
    let (top, height) = (state.level().top, usize::from(areas.rows.height));
    if areas.rows.width < 20 || height < 2 {
        return;
    }
    let edge = ratatui::layout::Rect { x: areas.rows.right() - 1, width: 1, ..areas.rows };
    if top > 0 {
        canvas.line(edge, 0, "↑", Role::Heading);
    }
    if top + height < state.rows.len() {
        canvas.line(edge, areas.rows.height - 1, "↓", Role::Heading);
    }
}

/// A row without its marks.
fn text(state: &State<'_>, row: Row) -> String {
    let entry = state.kconfig.entry(row.id);
    let setting = state.now.setting(row.id);
    let title = entry.title.or(entry.symbol).map(plain).unwrap_or_default();
    let mut text = "  ".repeat(row.depth);
    if entry.kind == EntryKind::Comment {
        text.push_str("*** ");
        text.push_str(&title);
        text.push_str(" ***");
    } else {
        text.push_str(&value(state, &entry, &setting, row.id));
        text.push_str(&title);
    }
    if let (true, Some(symbol)) = (state.shows_names, entry.symbol) {
        text.extend([format!(" <{}>", plain(symbol))]);
    }
    if let Some(selected) = setting.selected {
        let entry = state.kconfig.entry(selected);
        let title = entry.title.or(entry.symbol).map(plain).unwrap_or_default();
        text.extend([format!(" ({title})")]);
    }
    let is_open_question = entry.symbol.is_some()
        && !setting.by_user
        && setting.settable != Settable::Fixed
        && !is_in_choice(state, row.id);
    if is_open_question {
        text.push_str(" (NEW)");
    }
    if !row.shown {
        text.push_str(" (hidden)");
    }
    if entry.opens {
        let has_rows = !state.now.list(&state.menu, row.id, state.listing).is_empty();
        match (entry.kind, has_rows) {
            (_, true) => text.push_str("  --->"),
            (EntryKind::Symbol, false) if state.menu.below(row.id).is_empty() => {}
            (_, false) => text.push_str("  ----"),
        }
    }
    text
}

fn is_in_choice(state: &State<'_>, id: EntryId) -> bool {
    let above = state.menu.above(id);
    above.is_some_and(|above| state.kconfig.entry(above).kind == EntryKind::Choice)
}

/// The value in front of a title, as menus of this kind have always shown it.
fn value(state: &State<'_>, entry: &Entry<'_>, setting: &Setting, id: EntryId) -> String {
    let is_free = matches!(setting.settable, Settable::Logic(_));
    let value = setting.value.as_deref().unwrap_or_default();
    let mark = match value {
        "y" => '*',
        "m" => 'M',
        _ => ' ',
    };
    let excludes = is_in_choice(state, id)
        && state.menu.above(id).is_some_and(|choice| {
            state.now.setting(choice).value.as_deref() == Some(Tristate::Yes.as_str())
        });
    match (entry.kind, entry.value) {
        (EntryKind::Choice, _) if !is_free => "    ".to_owned(),
        (EntryKind::Menu | EntryKind::Comment, _) | (_, None) => "    ".to_owned(),
        _ if excludes => format!("({}) ", if value == "y" { 'X' } else { ' ' }),
        (_, Some(ValueKind::Bool)) if is_free => format!("[{mark}] "),
        (_, Some(ValueKind::Tristate)) if is_free => {
            if setting.floor == Tristate::Module {
                format!("{{{mark}}} ")
            } else {
                format!("<{mark}> ")
            }
        }
        (_, Some(ValueKind::Bool | ValueKind::Tristate)) => format!("-{mark}- "),
        _ => format!("({}) ", cut(&plain(value))),
    }
}

/// `text`, cut to what a row has room for.
fn cut(text: &str) -> String {
    if cells(text) <= VALUE_MAX {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        if cells(&short) + 2 > VALUE_MAX {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

/// A found entry on one line: its name, its title, and whether it is hidden.
pub(super) fn found(state: &State<'_>, id: EntryId) -> String {
    let entry = state.kconfig.entry(id);
    let title = entry.title.map(plain).unwrap_or_default();
    let name = entry.symbol.map(plain).unwrap_or_default();
    let kind = match entry.kind {
        EntryKind::Menu => "menu: ",
        EntryKind::Choice => "choice: ",
        EntryKind::Comment => "comment: ",
        _ => "",
    };
    let value = match (entry.kind, state.now.setting(id).value) {
        (EntryKind::Symbol, Some(value)) => format!(" = {}", cut(&plain(&value))),
        _ => String::new(),
    };
    let hidden = if state.now.is_shown(&state.menu, id) { "" } else { " (hidden)" };
    let gap = if name.is_empty() || title.is_empty() { "" } else { " — " };
    format!("{kind}{name}{value}{gap}{title}{hidden}")
}
