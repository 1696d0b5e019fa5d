//! Everything that is on the screen, and where somebody is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kbs_kconfig::{
    Configuration, Entry, EntryId, EntryKind, Kconfig, Listing, Menu, Row, SetAsked, Tristate,
};

use super::edit::Line;
use super::event::Build;
use super::search::{Haystack, Search};
use super::view::layout::{Areas, areas};
use crate::kconfig::{ConfigText, Home};
use crate::render::explain;
use crate::render::screen::plain;

/// Effects that are told, at most.
pub(super) const EFFECTS_MAX: usize = 200;

/// Where a configuration comes from and goes to.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The file that `save` writes.
    pub(crate) home: Home,
    /// What it asks for; `None` where there is no such file.
    pub(crate) text: Option<ConfigText>,
    /// What somebody should know about it from the start.
    pub(crate) note: Option<String>,
    /// What to call it.
    pub(crate) label: String,
}

/// What the lower or right part of the screen tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pane {
    /// The help text.
    Help,
    /// Why the value is what it is.
    Why,
    /// What else changes when this is changed.
    Effect,
    /// Nothing: there is more room for the menu.
    Closed,
}

/// What the keys mean at the moment.
#[derive(Debug)]
pub(crate) enum Mode {
    /// Walking through menus.
    Browse,
    /// Typing the value of an entry.
    Edit(Edit),
    /// Looking for an entry.
    Search(Search),
    /// Typing the path of a file.
    Path(Line, PathFor),
    /// Reading: from which line on.
    Read(Reading, usize),
    /// Asked whether to save, on the way out.
    Leaving,
}

/// The value of an entry while it is typed.
#[derive(Debug)]
pub(crate) struct Edit {
    /// The entry.
    pub(crate) id: EntryId,
    /// What was typed.
    pub(crate) line: Line,
    /// Why it is refused.
    pub(crate) refusal: Option<String>,
}

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathFor {
    /// Writing the whole configuration.
    Save,
    /// Writing only what does not follow by itself.
    SaveMinimal,
    /// Reading a configuration.
    Load,
}

/// What fills the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All about an entry.
    Entry(EntryId),
    /// What the keys do.
    Keys,
}

/// A line for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Whether something was refused.
    pub(crate) is_refusal: bool,
    /// The words.
    pub(crate) text: String,
}

/// A menu on the way from the top to where somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    /// The menu.
    pub(crate) id: EntryId,
    /// The row that is chosen.
    pub(crate) cursor: usize,
    /// The first row on the screen.
    pub(crate) top: usize,
}

/// What a change changes, ready to be told.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    /// What the change is: `SLEEP: n → y`.
    pub(crate) change: Option<String>,
    /// What else changes.
    pub(crate) effects: Vec<String>,
    /// How many more there are.
    pub(crate) more: usize,
}

/// The configuration that was looked up last.
#[derive(Debug, Default)]
pub(crate) struct LookedUp {
    /// It.
    pub(crate) text: String,
    /// What is known of its build.
    pub(crate) build: Option<Build>,
    /// Whether nothing has happened since that makes another one of it.
    pub(crate) is_latest: bool,
}

/// The machine.
pub(crate) struct State<'k> {
    pub(super) kconfig: &'k Kconfig,
    pub(super) menu: Menu,
    pub(super) haystack: Haystack,
    /// As it is now.
    pub(super) now: Configuration<'k>,
    /// As it was read or written last.
    pub(super) saved: Configuration<'k>,
    /// Whether the file is not what would be written, although nobody changed anything.
    pub(super) is_stale: bool,
    pub(super) home: Home,
    /// The spec as it was read or written last, if it is one that is saved.
    pub(super) spec: Option<String>,
    pub(super) label: String,
    /// What was read last.
    pub(super) read: ConfigText,
    /// Never empty.
    pub(super) levels: Vec<Level>,
    pub(super) rows: Vec<Row>,
    pub(super) listing: Listing,
    pub(super) shows_names: bool,
    pub(super) pane: Pane,
    pub(super) pane_top: usize,
    pub(super) mode: Mode,
    pub(super) notice: Option<Notice>,
    pub(super) outlook: Outlook,
    /// Entries that differ from what was saved, and the menus that they are in.
    pub(super) changed: BTreeSet<EntryId>,
    pub(super) is_changed: bool,
    pub(super) looked_up: LookedUp,
    pub(super) size: (u16, u16),
}

impl std::fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { home, levels, mode, notice, .. } = self;
        f.debug_struct("State")
            .field("path", &home.path)
            .field("levels", levels)
            .field("mode", mode)
            .field("notice", notice)
            .finish_non_exhaustive()
    }
}

impl<'k> State<'k> {
    /// Stands at the top of the menu of `kconfig`, with what `origin` has.
    pub(crate) fn new(kconfig: &'k Kconfig, origin: Origin) -> Self {
        let Origin { home, text, note, label } = origin;
        let menu = Menu::of(kconfig);
        let mut now = kconfig.evaluate();
        let mut notice = note;
        let mut is_stale = false;
        if let Some(ConfigText { text, .. }) = &text {
            notice = notice.or(told_unset(now.load(text).len(), &home.path));
            is_stale = home.is_stale(&now, text);
        }
        let read = text.unwrap_or_default();
        let top = Level { id: menu.root(), cursor: 0, top: 0 };
        let mut state = Self {
            kconfig,
            haystack: Haystack::of(kconfig, &menu),
            menu,
            saved: now.clone(),
            now,
            is_stale,
            spec: home.spec_text(),
            home,
            label,
            read,
            levels: vec![top],
            rows: Vec::new(),
            listing: Listing::Shown,
            shows_names: false,
            pane: Pane::Help,
            pane_top: 0,
            mode: Mode::Browse,
            notice: notice.map(|text| Notice { is_refusal: false, text }),
            outlook: Outlook::default(),
            changed: BTreeSet::new(),
            is_changed: false,
            looked_up: LookedUp::default(),
            size: (80, 24),
        };
        state.refresh();
        state
    }

    /// Whether something is lost when nobody saves.
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// A file with nothing but the configuration, where the one is that is written.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.home.config_path()
    }

    /// What the file has to be still for it to be written; `None` where that does not matter.
    pub(crate) fn expects(&self, path: &Path) -> Option<&str> {
        self.spec.as_deref().filter(|_| path == self.home.path)
    }

    /// The whole configuration, as the project's tool writes it.
    pub(crate) fn text(&self) -> String {
        self.now.to_dotconfig()
    }

    /// The configuration, to be looked up, if it is another one than the last time.
    pub(crate) fn look_up(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.looked_up.is_latest, true) {
            return None;
        }
        let text = self.text();
        if text == self.looked_up.text {
            return None;
        }
        self.looked_up = LookedUp { text: text.clone(), build: None, is_latest: true };
        Some(text)
    }

    /// Columns and rows of the screen, as far as is known.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.size
    }

    pub(super) fn level(&self) -> Level {
        *self.levels.last().expect("the top of the menu is never left")
    }

    pub(super) fn level_mut(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the top of the menu is never left")
    }

    /// The row that is chosen.
    pub(super) fn chosen(&self) -> Option<Row> {
        self.rows.get(self.level().cursor).copied()
    }

    pub(super) fn areas(&self) -> Areas {
        areas(self.size, self.pane)
    }

    /// Lists the menu again, and looks ahead from the chosen row.
    pub(super) fn refresh(&mut self) {
        let chosen = self.chosen().map(|row| row.id);
        self.rows = self.now.list(&self.menu, self.level().id, self.listing);
        if let Some(at) = chosen.and_then(|id| self.rows.iter().position(|row| row.id == id)) {
            self.level_mut().cursor = at;
        }
        self.looked_up.is_latest = false;
        self.mark_changed();
        self.settle();
    }

    fn mark_changed(&mut self) {
        let effects = self.saved.effects(&self.now);
        self.is_changed = !effects.is_empty();
        self.changed.clear();
        for id in effects.iter().flat_map(|effect| self.kconfig.entries_of(effect.symbol)) {
            // What nobody is asked for follows from something that is marked.
            if self.kconfig.entry(id).title.is_none() {
                continue;
            }
            let mut at = Some(id);
            while let Some(id) = at.filter(|id| self.changed.insert(*id)) {
                at = self.menu.above(id);
            }
        }
    }

    /// Keeps the chosen row among the rows and on the screen, and looks ahead from it.
    pub(super) fn settle(&mut self) {
        let height = usize::from(self.areas().rows.height).max(1);
        let last = self.rows.len().saturating_sub(1);
        let level = self.level_mut();
        level.cursor = level.cursor.min(last);
        level.top = level.top.clamp((level.cursor + 1).saturating_sub(height), level.cursor);
        // No empty lines at the end while there are rows above.
        level.top = level.top.min((last + 1).saturating_sub(height));
        self.look_ahead();
    }

    /// Finds out what changes if the chosen entry gets its next value, or what is being typed.
    fn look_ahead(&mut self) {
        self.outlook = Outlook::default();
        if self.pane != Pane::Effect {
            return;
        }
        let Some(row) = self.chosen() else { return };
        let value = match &self.mode {
            Mode::Edit(edit) => Some(edit.line.text().to_owned()),
            _ => self.now.setting(row.id).next().map(|next| next.as_str().to_owned()),
        };
        let Some(value) = value else { return };
        let mut then = self.now.clone();
        if then.set_asked(row.id, &value).is_err() {
            return;
        }
        let own = self.kconfig.entry(row.id).symbol;
        let word = |value: Option<String>| value.map_or("absent".to_owned(), |v| plain(&v));
        let mut outlook = Outlook::default();
        for effect in self.now.effects(&then) {
            let line =
                format!("{}: {} → {}", effect.symbol, word(effect.before), word(effect.after));
            if Some(effect.symbol) == own {
                outlook.change = Some(line);
            } else if outlook.effects.len() < EFFECTS_MAX {
                outlook.effects.push(line);
            } else {
                outlook.more += 1;
            }
        }
        self.outlook = outlook;
    }

    /// Sets an entry, and tells why not.
    pub(super) fn set(&mut self, id: EntryId, value: &str) -> bool {
        match self.now.set_asked(id, value) {
            Ok(()) => {
                self.refresh();
                true
            }
            Err(refusal) => {
                let text = self.refusal(id, &refusal);
                self.refuse(text);
                false
            }
        }
    }

    /// Why an entry cannot be set, with what keeps it where that is known.
    fn refusal(&self, id: EntryId, refusal: &SetAsked) -> String {
        let entry = self.kconfig.entry(id);
        let name = label_of(&entry);
        let setting = self.now.setting(id);
        if *refusal == SetAsked::Fixed {
            let kept = entry.symbol.and_then(|symbol| kept_back(&self.now, symbol));
            let why = match kept {
                Some((why, _)) => why,
                None if setting.floor > Tristate::No => "other symbols select it".to_owned(),
                None => "it has the only value that it can have".to_owned(),
            };
            return format!("{name} cannot be changed at the moment: {why}");
        }
        format!("{name}: {refusal}")
    }

    pub(super) fn refuse(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { is_refusal: true, text: text.into() });
    }

    pub(super) fn tell(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { is_refusal: false, text: text.into() });
    }

    /// Goes to an entry, wherever it is; what is hidden is listed then.
    pub(super) fn go_to(&mut self, id: EntryId) {
        let mut way = Vec::new();
        let mut at = self.menu.above(id);
        while let Some(above) = at {
            if self.kconfig.entry(above).opens || above == self.menu.root() {
                way.push(above);
            }
            at = self.menu.above(above);
        }
        way.reverse();
        self.levels = Vec::new();
        for menu in way {
            // The row of the menu in the one before, so that going back leads there.
            if let Some(before) = self.levels.last_mut() {
                let rows = self.now.list(&self.menu, before.id, Listing::All);
                before.cursor = rows.iter().position(|row| row.id == menu).unwrap_or(0);
            }
            self.levels.push(Level { id: menu, cursor: 0, top: 0 });
        }
        if self.levels.is_empty() {
            self.levels.push(Level { id: self.menu.root(), cursor: 0, top: 0 });
        }
        let find = |rows: &[Row]| rows.iter().position(|row| row.id == id);
        self.rows = self.now.list(&self.menu, self.level().id, self.listing);
        let mut found = find(&self.rows);
        if found.is_none() {
            self.listing = Listing::All;
            self.rows = self.now.list(&self.menu, self.level().id, Listing::All);
            found = find(&self.rows);
            self.tell("hidden at the moment, so everything is listed now (a: only what is shown)");
        }
        match found {
            Some(cursor) => self.level_mut().cursor = cursor,
            None => self.refuse("the menu does not list it: nobody is ever asked for it"),
        }
        self.pane_top = 0;
        self.refresh();
    }
}

/// What keeps a symbol from being set at all, and what would have to be set before where that is all
/// there is to it.
pub(super) fn kept_back(now: &Configuration<'_>, symbol: &str) -> Option<(String, Vec<String>)> {
    let seen = now.explain(symbol).filter(|seen| seen.visible == Tristate::No)?;
    let obstacles = || seen.hidden.iter().flat_map(|prompt| &prompt.obstacles);
    let reasons: Vec<_> = obstacles().map(explain::obstacle).collect();
    let needs: Option<Vec<_>> = obstacles().map(|one| explain::to_set(&one.need)).collect();
    let reason = if reasons.is_empty() {
        "nobody is asked for it: its value follows from others".to_owned()
    } else {
        reasons.join("; ")
    };
    Some((reason, needs.map(|needs| needs.concat()).unwrap_or_default()))
}

/// How an entry is called in a sentence.
pub(super) fn label_of(entry: &Entry<'_>) -> String {
    match (entry.symbol, entry.title) {
        (Some(symbol), _) => plain(symbol),
        (None, Some(title)) => format!("“{}”", plain(title)),
        (None, None) => match entry.kind {
            EntryKind::Choice => "the choice".to_owned(),
            _ => "the entry".to_owned(),
        },
    }
}

/// What to say of lines of a file that set nothing.
pub(super) fn told_unset(count: usize, path: &Path) -> Option<String> {
    let path = path.display();
    match count {
        0 => None,
        1 => Some(format!("one line of {path} sets nothing that the project knows")),
        _ => Some(format!("{count} lines of {path} set nothing that the project knows")),
    }
}
