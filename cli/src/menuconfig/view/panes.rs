//! The pane beside or below the menu, and all that is known about an entry.

use kbs_kconfig::{EntryId, EntryKind, Settable};
use ratatui::layout::Rect;

use super::theme::Role;
use super::wrap::wrap;
use super::{Areas, Canvas};
use crate::menuconfig::state::{Pane, State};
use crate::render::explain::explanation;
use crate::render::screen::plain;

pub(super) fn draw(state: &State<'_>, areas: &Areas, canvas: &mut Canvas<'_>) {
    let area = areas.pane;
    if area.height < 2 || area.width < 4 {
        return;
    }
    let name = match state.pane {
        Pane::Help => "Help",
        Pane::Why => "Why",
        Pane::Effect => "Effect of a change",
        Pane::Closed => return,
    };
    let beside = area.x > 0;
    let rule = "─".repeat(usize::from(area.width));
    canvas.line(area, 0, &rule, Role::Dim);
    canvas.line(
        Rect { x: area.x + 2, width: area.width - 2, ..area },
        0,
        &format!(" {name} "),
        Role::Heading,
    );
    if beside {
        for line in 0..area.height {
            canvas.line(area, line, "│", Role::Dim);
        }
    }
    let inner = Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: area.width.saturating_sub(3),
        height: area.height - 1,
    };
    let lines = lines(state, usize::from(inner.width));
    let height = usize::from(inner.height);
    let top = state.pane_top.min(lines.len().saturating_sub(height));
    for (at, text) in (0..inner.height).zip(lines.iter().skip(top)) {
        canvas.line(inner, at, text, Role::Plain);
    }
    if top + height < lines.len() {
        let mark = "(>: more)";
        let x = area.right().saturating_sub(12);
        canvas.line(Rect { x, width: 11.min(area.width), ..area }, 0, mark, Role::Dim);
    }
}

/// What the pane tells, in lines of `width` cells.
fn lines(state: &State<'_>, width: usize) -> Vec<String> {
    let Some(row) = state.chosen() else { return Vec::new() };
    match state.pane {
        Pane::Help => {
            let mut text = facts(state, row.id);
            text.push_str("\n\n");
            text.push_str(&help(state, row.id));
            wrap(&text, width)
        }
        Pane::Why => wrap(&why(state, row.id), width),
        Pane::Effect => wrap(&effect(state), width),
        Pane::Closed => Vec::new(),
    }
}

/// Everything about an entry, to be read.
pub(super) fn about(state: &State<'_>, id: EntryId, width: usize) -> Vec<String> {
    let entry = state.kconfig.entry(id);
    let mut text = String::new();
    if let Some(title) = entry.title {
        text.push_str(&plain(title));
        text.push_str("\n\n");
    }
    text.push_str(&facts(state, id));
    let mut way = Vec::new();
    let mut at = state.menu.above(id);
    while let Some(above) = at {
        let entry = state.kconfig.entry(above);
        way.push(entry.title.or(entry.symbol).map(plain).unwrap_or_default());
        at = state.menu.above(above);
    }
    way.reverse();
    text.extend([format!("\nMenu: {}\n\n", way.join(" > "))]);
    text.push_str(&help(state, id));
    text.push_str("\n\nWhy\n");
    for line in why(state, id).lines() {
        text.extend([format!("  {line}\n")]);
    }
    wrap(&text, width)
}

/// Name, type, value, what is possible, and where it is written.
fn facts(state: &State<'_>, id: EntryId) -> String {
    let entry = state.kconfig.entry(id);
    let setting = state.now.setting(id);
    let mut facts = Vec::new();
    if let Some(symbol) = entry.symbol {
        facts.push(plain(symbol));
    }
    match entry.kind {
        EntryKind::Menu => facts.push("menu".to_owned()),
        EntryKind::Comment => facts.push("comment".to_owned()),
        EntryKind::Choice => facts.push("choice".to_owned()),
        _ => facts.push(entry.value.map_or("no type", |kind| kind.word()).to_owned()),
    }
    match (&setting.settable, setting.value) {
        (Settable::Number { range: Some(_), .. }, Some(value)) => {
            facts.push(format!("{} ({})", plain(&value), setting.settable.words()));
        }
        (_, Some(value)) if entry.kind == EntryKind::Symbol => {
            facts.push(format!("= {}", plain(&value)));
        }
        _ => {}
    }
    let spot = entry.spot;
    facts.push(format!("{}:{}", plain(&spot.file), spot.line));
    facts.join("  ")
}

fn help(state: &State<'_>, id: EntryId) -> String {
    // A symbol may be written in several places, and explained in one.
    let entry = state.kconfig.entry(id);
    let elsewhere = || {
        let others = entry.symbol.map(|symbol| state.kconfig.entries_of(symbol));
        others.unwrap_or_default().into_iter().find_map(|id| state.kconfig.help(id))
    };
    let help = state.kconfig.help(id).or_else(elsewhere);
    help.map_or_else(|| "(no help)".to_owned(), |help| plain(&help))
}

/// Why the value is what it is.
fn why(state: &State<'_>, id: EntryId) -> String {
    let setting = state.now.setting(id);
    let entry = state.kconfig.entry(id);
    if !entry.kind.has_value() {
        let shown = state.now.is_shown(&state.menu, id);
        return if shown {
            "It is shown.".to_owned()
        } else {
            "It is hidden: what it depends on is not met.".to_owned()
        };
    }
    let explained = |symbol: &str| {
        let seen = state.now.explain(symbol);
        seen.map(|seen| explanation(&seen, &|line| state.read.place(line))).unwrap_or_default()
    };
    let chosen = setting.selected.and_then(|selected| state.kconfig.entry(selected).symbol);
    let mut text = match (entry.symbol, chosen) {
        (Some(symbol), _) | (None, Some(symbol)) => explained(symbol),
        (None, None) => "Nothing is chosen.".to_owned(),
    };
    if matches!(setting.settable, Settable::Logic(_)) {
        text.extend([format!("\nPossible: {}.", setting.settable.words())]);
    }
    text
}

/// What a change of the chosen entry changes.
fn effect(state: &State<'_>) -> String {
    let outlook = &state.outlook;
    let Some(change) = &outlook.change else {
        let Some(row) = state.chosen() else { return String::new() };
        return match state.now.setting(row.id).settable {
            Settable::Number { .. } | Settable::Text => {
                "Type another value to see what it changes.".to_owned()
            }
            _ => "There is nothing to change here.".to_owned(),
        };
    };
    let mut text = format!("{change}\n");
    if outlook.effects.is_empty() {
        text.push_str("\nNothing else changes.");
        return text;
    }
    let count = outlook.effects.len() + outlook.more;
    let noun = if count == 1 { "symbol changes" } else { "symbols change" };
    text.extend([format!("\n{count} more {noun}:\n")]);
    for line in &outlook.effects {
        text.extend([format!("  {line}\n")]);
    }
    if outlook.more > 0 {
        text.extend([format!("  and {} more\n", outlook.more)]);
    }
    text
}
