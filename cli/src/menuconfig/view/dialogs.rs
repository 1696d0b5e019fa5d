//! What is asked, looked for or read.

use ratatui::layout::{Position, Rect};

use super::panes::about;
use super::rows::found;
use super::theme::Role;
use super::wrap::{cells, wrap};
use super::{Areas, Canvas};
use crate::menuconfig::edit::Line;
use crate::menuconfig::search::Search;
use crate::menuconfig::state::{Edit, Mode, PathFor, Reading, State, label_of};
use crate::render::screen::plain;

const KEYS: &str = "\
Moving
  Up Down k j        one row up or down
  PgUp PgDn ^U ^D    a page, or half of one
  Home End g G       the first or the last row
  Enter Right l      open a menu (Enter: or change the entry)
  Left h Backspace   back to the menu before
  Esc                back; at the top, leave
  /                  search names and prompts, and go there

Changing
  Space              the next value, or ask for one
  y m n              set to y, m or n
  x Delete           forget what was set: it follows from the files again

Looking
  ?                  everything about the entry
  Tab                the pane: help, why, effect of a change, closed
  < >                scroll the pane
  a z                list everything, also what is hidden
  c                  show the names of symbols

Files
  s                  save
  w                  save to another file
  d                  save only what does not follow by itself
  L o                load a file
  q                  leave

Marks
  [*] on  [ ] off  <M> module  -*- cannot be changed  {M} may be more, not less
  (X) the chosen one  (value)  >  the row you are on  ~  not saved yet
  (NEW) nobody has set it  (hidden) not shown at the moment
";

/// What is asked below the menu, over the last lines of it.
pub(super) fn ask(state: &State<'_>, areas: &Areas, canvas: &mut Canvas<'_>) -> Option<Position> {
    match &state.mode {
        Mode::Edit(edit) => {
            let Edit { id, line, refusal } = edit;
            let entry = state.kconfig.entry(*id);
            let words = state.now.setting(*id).settable.words();
            let title = format!("{} ({words})", label_of(&entry));
            let below = refusal.as_deref().map(|why| format!("! {}", plain(why)));
            prompt(&title, line, below, areas, canvas)
        }
        Mode::Path(line, used) => {
            let title = match used {
                PathFor::Save => "Save the configuration to",
                PathFor::SaveMinimal => "Save what does not follow by itself to",
                PathFor::Load => "Load a configuration from",
            };
            prompt(title, line, None, areas, canvas)
        }
        Mode::Leaving => {
            let question = if state.is_changed() {
                format!("Save the changes to {}?", plain(&state.label))
            } else {
                format!(
                    "{} is not as the project's tool would write it. Save it?",
                    plain(&state.label)
                )
            };
            let area = window(areas, 3, canvas);
            canvas.line(area, 0, &question, Role::Heading);
            canvas.line(
                area,
                1,
                "[y] save and leave  [n] leave without saving  [Esc] stay",
                Role::Plain,
            );
            None
        }
        _ => None,
    }
}

/// A title, a line that is typed, and what is wrong with it.
fn prompt(
    title: &str,
    line: &Line,
    below: Option<String>,
    areas: &Areas,
    canvas: &mut Canvas<'_>,
) -> Option<Position> {
    let area = window(areas, 4, canvas);
    canvas.line(area, 0, title, Role::Heading);
    if let Some(below) = below {
        canvas.line(area, 2, &below, Role::Refusal);
    }
    typed(
        line,
        Rect { y: area.y + 1, height: area.height.saturating_sub(1).min(1), ..area },
        canvas,
    )
}

/// The line that is typed, scrolled so that the cursor is seen; where the cursor is.
fn typed(line: &Line, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    if area.height == 0 || area.width < 4 {
        return None;
    }
    let before: String = line.text().chars().take(line.cursor()).collect();
    let room = usize::from(area.width) - 3;
    let mut start = 0;
    while cells(&before[start..]) > room {
        start += before[start..].chars().next().map_or(1, char::len_utf8);
    }
    canvas.line(area, 0, &format!("> {}", &line.text()[start..]), Role::Plain);
    let x = area.x + 2 + u16::try_from(cells(&before[start..])).unwrap_or(0);
    Some(Position { x: x.min(area.right() - 1), y: area.y })
}

/// An empty part of the screen at the end of the body, under a rule.
fn window(areas: &Areas, lines: u16, canvas: &mut Canvas<'_>) -> Rect {
    let body = areas.body;
    let lines = lines.min(body.height);
    let area = Rect { y: body.bottom() - lines, height: lines, ..body };
    for line in 0..area.height {
        canvas.line(area, line, &" ".repeat(usize::from(area.width)), Role::Plain);
    }
    if lines < 3 {
        return area;
    }
    canvas.line(area, 0, &"─".repeat(usize::from(area.width)), Role::Dim);
    let inner = Rect { y: area.y + 1, height: area.height - 1, ..area };
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(1), ..inner }
}

/// A search and what it found.
pub(super) fn search(
    state: &State<'_>,
    search: &Search,
    areas: &Areas,
    canvas: &mut Canvas<'_>,
) -> Option<Position> {
    let body = areas.body;
    let head = Rect { height: body.height.min(1), ..body };
    let cursor = typed(&search.line, head, canvas);
    let told = match (search.line.text().trim().is_empty(), search.count) {
        (true, _) => "  words of a name or a prompt, in any order".to_owned(),
        (false, 0) => "  nothing found".to_owned(),
        (false, 1) => "  one entry".to_owned(),
        (false, count) => format!("  {count} entries"),
    };
    canvas.line(
        Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body },
        0,
        &told,
        Role::Dim,
    );
    let list = Rect { y: body.y + 2, height: body.height.saturating_sub(2), ..body };
    for (line, (at, id)) in (0..list.height).zip(search.hits.iter().enumerate().skip(search.top)) {
        let is_chosen = at == search.cursor;
        let role = if is_chosen { Role::Chosen } else { Role::Plain };
        if is_chosen {
            canvas.bar(list, line, Role::Chosen);
        }
        let mark = if is_chosen { "> " } else { "  " };
        canvas.line(list, line, &format!("{mark}{}", found(state, *id)), role);
    }
    cursor
}

/// A text that fills the body.
pub(super) fn read(
    state: &State<'_>,
    reading: Reading,
    top: usize,
    areas: &Areas,
    canvas: &mut Canvas<'_>,
) {
    let body = areas.body;
    let area = Rect { x: 1.min(body.width), width: body.width.saturating_sub(2), ..body };
    let width = usize::from(area.width);
    let lines = match reading {
        Reading::Entry(id) => about(state, id, width),
        Reading::Keys => wrap_keys(width),
    };
    let top = top.min(lines.len().saturating_sub(usize::from(area.height)));
    for (at, line) in (0..area.height).zip(lines.iter().skip(top)) {
        canvas.line(area, at, line, Role::Plain);
    }
}

/// The keys; their columns stay where the screen is wide enough.
fn wrap_keys(width: usize) -> Vec<String> {
    if KEYS.lines().all(|line| cells(line) <= width) {
        KEYS.lines().map(str::to_owned).collect()
    } else {
        wrap(KEYS, width)
    }
}
