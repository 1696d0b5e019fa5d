//! What keys and news do to the machine.

use std::path::{Path, PathBuf};

use kbs_kconfig::{EntryKind, Listing, Settable};
use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use super::edit::Line;
use super::event::{Effect, Event, Then, What, Writing};
use super::search::Search;
use super::state::{Edit, Level, Mode, Pane, PathFor, Reading, State, told_unset};
use super::view::layout::hit;
use crate::kconfig::ConfigText;

impl State<'_> {
    /// Takes one step; what has to be done outside.
    pub(crate) fn update(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
            Event::Key(key) => {
                self.notice = None;
                self.key(key)
            }
            Event::Paste(text) => {
                self.paste(&text);
                Vec::new()
            }
            Event::Mouse(mouse) => self.mouse(mouse),
            Event::Resize(columns, rows) => {
                self.size = (columns, rows);
                self.settle();
                Vec::new()
            }
            Event::Written(writing, result) => self.written(&writing, result),
            Event::Read(path, result) => {
                self.take(&path, result);
                Vec::new()
            }
            Event::LookedUp(text, build) => {
                // The answer to an earlier one says nothing of this one.
                if text == self.looked_up.text {
                    self.looked_up.build = build;
                }
                Vec::new()
            }
        }
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('z') => return vec![Effect::Suspend],
                KeyCode::Char('l') => return vec![Effect::Redraw],
                KeyCode::Char('c') if matches!(self.mode, Mode::Leaving) => {
                    return vec![Effect::Leave];
                }
                KeyCode::Char('c') => {
                    self.mode = Mode::Browse;
                    return self.leave();
                }
                _ => {}
            }
        }
        match &self.mode {
            Mode::Browse => self.browse(key),
            Mode::Edit(_) => self.edit(key),
            Mode::Search(_) => {
                self.search(key);
                Vec::new()
            }
            Mode::Path(..) => self.path_key(key),
            Mode::Read(..) => {
                self.read_on(key);
                Vec::new()
            }
            Mode::Leaving => self.answer(key),
        }
    }

    fn browse(&mut self, key: KeyEvent) -> Vec<Effect> {
        let page = isize::try_from(self.areas().rows.height.max(2) - 1).unwrap_or(1);
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('d') => self.step(page / 2),
                KeyCode::Char('u') => self.step(-page / 2),
                KeyCode::Char('n') => self.step(1),
                KeyCode::Char('p') => self.step(-1),
                _ => {}
            }
            return Vec::new();
        }
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(page),
            KeyCode::PageUp => self.step(-page),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            KeyCode::Enter => self.enter_or_change(),
            KeyCode::Right | KeyCode::Char('l') => self.enter(),
            KeyCode::Char(' ') => self.change_or_enter(),
            KeyCode::Char(value @ ('y' | 'm' | 'n')) => self.set_to(value),
            KeyCode::Left | KeyCode::Char('h') | KeyCode::Backspace => self.go_back(),
            KeyCode::Esc if self.levels.len() > 1 => self.go_back(),
            KeyCode::Esc | KeyCode::Char('q' | 'Q') => return self.leave(),
            KeyCode::Char('/') => self.mode = Mode::Search(Search::new()),
            KeyCode::Char('?') => {
                if let Some(row) = self.chosen() {
                    self.mode = Mode::Read(Reading::Entry(row.id), 0);
                }
            }
            KeyCode::F(1) => self.mode = Mode::Read(Reading::Keys, 0),
            _ => return self.switch(key.code),
        }
        Vec::new()
    }

    /// Keys that change what is shown, or concern files.
    fn switch(&mut self, code: KeyCode) -> Vec<Effect> {
        match code {
            KeyCode::Char('s' | 'S') => {
                return vec![self.write(self.home.path.clone(), What::Whole, Then::Stay)];
            }
            KeyCode::Char('w' | 'W') => self.ask_path(PathFor::Save),
            KeyCode::Char('d' | 'D') => self.ask_path(PathFor::SaveMinimal),
            KeyCode::Char('L' | 'o' | 'O') => self.ask_path(PathFor::Load),
            KeyCode::Char('a' | 'A' | 'z' | 'Z') => {
                let told;
                (self.listing, told) = match self.listing {
                    Listing::Shown => (Listing::All, "everything is listed"),
                    Listing::All => (Listing::Shown, "only what is shown is listed"),
                };
                self.tell(told);
                self.refresh();
            }
            KeyCode::Char('c' | 'C') => self.shows_names = !self.shows_names,
            KeyCode::Tab => self.turn_pane(&[Pane::Help, Pane::Why, Pane::Effect, Pane::Closed]),
            KeyCode::BackTab => {
                self.turn_pane(&[Pane::Closed, Pane::Effect, Pane::Why, Pane::Help]);
            }
            KeyCode::Char('<') => self.pane_top = self.pane_top.saturating_sub(1),
            KeyCode::Char('>') => self.pane_top += 1,
            KeyCode::Char('x' | 'X') | KeyCode::Delete => self.forget(),
            _ => {}
        }
        Vec::new()
    }

    fn turn_pane(&mut self, order: &[Pane]) {
        let at = order.iter().position(|pane| *pane == self.pane).unwrap_or(0);
        self.pane = order[(at + 1) % order.len()];
        self.pane_top = 0;
        self.settle();
    }

    fn step(&mut self, by: isize) {
        let last = self.rows.len().saturating_sub(1);
        let level = self.level_mut();
        level.cursor = level.cursor.saturating_add_signed(by).min(last);
        self.pane_top = 0;
        self.settle();
    }

    fn enter_or_change(&mut self) {
        let Some(row) = self.chosen() else { return };
        if self.opens(row.id) { self.enter() } else { self.change() }
    }

    fn change_or_enter(&mut self) {
        let Some(row) = self.chosen() else { return };
        let kind = self.kconfig.entry(row.id).kind;
        let is_toggled = matches!(self.now.setting(row.id).settable, Settable::Logic(_));
        if kind == EntryKind::Symbol || is_toggled { self.change() } else { self.enter() }
    }

    fn opens(&self, id: kbs_kconfig::EntryId) -> bool {
        let entry = self.kconfig.entry(id);
        let has_rows = || !self.now.list(&self.menu, id, self.listing).is_empty();
        entry.opens && (entry.kind != EntryKind::Symbol || has_rows())
    }

    fn enter(&mut self) {
        let Some(row) = self.chosen() else { return };
        if !self.opens(row.id) {
            return;
        }
        let mut level = Level { id: row.id, cursor: 0, top: 0 };
        let rows = self.now.list(&self.menu, row.id, self.listing);
        if rows.is_empty() {
            self.tell("this menu is empty at the moment (a: list everything)");
            return;
        }
        // In a choice, begin at the member that is on.
        if let Some(selected) = self.now.setting(row.id).selected {
            level.cursor = rows.iter().position(|row| row.id == selected).unwrap_or(0);
        }
        self.levels.push(level);
        self.rows = rows;
        self.pane_top = 0;
        self.settle();
    }

    fn go_back(&mut self) {
        if self.levels.len() < 2 {
            self.tell("this is the top of the menu (q: leave)");
            return;
        }
        let from = self.levels.pop().map(|level| level.id);
        self.rows = self.now.list(&self.menu, self.level().id, self.listing);
        if let Some(at) = self.rows.iter().position(|row| Some(row.id) == from) {
            self.level_mut().cursor = at;
        }
        self.pane_top = 0;
        self.settle();
    }

    /// Gives the chosen entry its next value, or asks for one.
    fn change(&mut self) {
        let Some(row) = self.chosen() else { return };
        let setting = self.now.setting(row.id);
        match setting.settable {
            Settable::Logic(ref values) => {
                let is_member = values.len() == 1;
                let Some(next) = setting.next() else { return };
                // Whoever picks a member of a choice is done with it.
                if self.set(row.id, next.as_str()) && is_member && self.is_in_choice() {
                    self.go_back();
                }
            }
            Settable::Number { .. } | Settable::Text => {
                let line = Line::new(setting.value.as_deref().unwrap_or_default());
                self.mode = Mode::Edit(Edit { id: row.id, line, refusal: None });
                self.settle();
            }
            _ => {
                if self.kconfig.entry(row.id).kind.has_value() {
                    self.set(row.id, "y");
                }
            }
        }
    }

    fn is_in_choice(&self) -> bool {
        self.kconfig.entry(self.level().id).kind == EntryKind::Choice
    }

    fn set_to(&mut self, value: char) {
        let Some(row) = self.chosen() else { return };
        if self.kconfig.entry(row.id).value.is_some() {
            self.set(row.id, value.encode_utf8(&mut [0; 4]));
        }
    }

    /// Forgets what was set of the chosen entry.
    fn forget(&mut self) {
        let Some(row) = self.chosen() else { return };
        if self.now.setting(row.id).by_user {
            self.now.forget(row.id);
            self.tell("follows from the files again");
            self.refresh();
        } else {
            self.tell("nobody has set it");
        }
    }

    fn edit(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Mode::Edit(edit) = &mut self.mode else { return Vec::new() };
        match key.code {
            KeyCode::Esc => self.mode = Mode::Browse,
            KeyCode::Enter => {
                let (id, value) = (edit.id, edit.line.text().to_owned());
                if self.set(id, &value) {
                    self.mode = Mode::Browse;
                } else if let (Mode::Edit(edit), Some(notice)) =
                    (&mut self.mode, self.notice.take())
                {
                    edit.refusal = Some(notice.text);
                }
            }
            _ => {
                if edit.line.key(key) {
                    edit.refusal = None;
                }
            }
        }
        self.settle();
        Vec::new()
    }

    fn search(&mut self, key: KeyEvent) {
        let height = usize::from(self.areas().body.height).saturating_sub(3);
        let page = isize::try_from(height).unwrap_or(1).max(1);
        let Mode::Search(search) = &mut self.mode else { return };
        match key.code {
            KeyCode::Esc => self.mode = Mode::Browse,
            KeyCode::Enter => {
                let found = search.hits.get(search.cursor).copied();
                self.mode = Mode::Browse;
                if let Some(id) = found {
                    self.go_to(id);
                }
            }
            KeyCode::Down => search.step(1, height),
            KeyCode::Up => search.step(-1, height),
            KeyCode::PageDown => search.step(page, height),
            KeyCode::PageUp => search.step(-page, height),
            _ => {
                let before = search.line.text().to_owned();
                search.line.key(key);
                if search.line.text() != before {
                    search.again(&self.haystack);
                }
            }
        }
    }

    fn ask_path(&mut self, used: PathFor) {
        let path = match used {
            PathFor::Save | PathFor::Load => self.home.config_path(),
            PathFor::SaveMinimal => self.home.path.with_file_name("defconfig"),
        };
        self.mode = Mode::Path(Line::new(&path.to_string_lossy()), used);
    }

    fn path_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Mode::Path(line, used) = &mut self.mode else { return Vec::new() };
        match key.code {
            KeyCode::Esc => self.mode = Mode::Browse,
            KeyCode::Enter if !line.text().is_empty() => {
                let (path, used) = (PathBuf::from(line.text()), *used);
                self.mode = Mode::Browse;
                let is_spec = path == self.home.path && path != self.home.config_path();
                if is_spec && used != PathFor::Save {
                    self.refuse(format!("{} is the spec", path.display()));
                    return Vec::new();
                }
                return vec![match used {
                    PathFor::Save => self.write(path, What::Whole, Then::Stay),
                    PathFor::SaveMinimal => self.write(path, What::Minimal, Then::Stay),
                    PathFor::Load => Effect::Read(path),
                }];
            }
            _ => {
                line.key(key);
            }
        }
        Vec::new()
    }

    fn read_on(&mut self, key: KeyEvent) {
        let page = usize::from(self.areas().body.height).saturating_sub(1).max(1);
        let Mode::Read(_, top) = &mut self.mode else { return };
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => *top += 1,
            KeyCode::Up | KeyCode::Char('k') => *top = top.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => *top += page,
            KeyCode::PageUp => *top = top.saturating_sub(page),
            KeyCode::Home | KeyCode::Char('g') => *top = 0,
            _ => self.mode = Mode::Browse,
        }
    }

    fn leave(&mut self) -> Vec<Effect> {
        if self.is_changed() || self.is_stale {
            self.mode = Mode::Leaving;
            return Vec::new();
        }
        vec![Effect::Leave]
    }

    fn answer(&mut self, key: KeyEvent) -> Vec<Effect> {
        match key.code {
            KeyCode::Char('y' | 'Y') | KeyCode::Enter => {
                vec![self.write(self.home.path.clone(), What::Whole, Then::Leave)]
            }
            KeyCode::Char('n' | 'N') => vec![Effect::Leave],
            KeyCode::Esc | KeyCode::Char('c' | 'C' | 'q') => {
                self.mode = Mode::Browse;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn write(&self, path: PathBuf, what: What, then: Then) -> Effect {
        let text = match what {
            What::Whole => self.home.text_at(&path, &self.now, self.kconfig),
            What::Minimal => self.now.to_minimal(),
        };
        Effect::Write(Writing { path, what, then }, text)
    }

    fn written(&mut self, writing: &Writing, result: Result<(), String>) -> Vec<Effect> {
        let Writing { path, what, then } = writing;
        self.mode = Mode::Browse;
        if let Err(why) = result {
            self.refuse(format!("cannot save {}: {why}", path.display()));
            return Vec::new();
        }
        if *what == What::Whole && *path == self.home.path {
            self.saved = self.now.clone();
            self.is_stale = false;
            if let Some(spec) = &mut self.spec {
                *spec = self.home.text_at(path, &self.now, self.kconfig);
            }
        }
        self.tell(match what {
            What::Whole => format!("saved {}", path.display()),
            What::Minimal => format!("saved {}, without what follows by itself", path.display()),
        });
        self.refresh();
        match then {
            Then::Stay => Vec::new(),
            Then::Leave => vec![Effect::Leave],
        }
    }

    fn take(&mut self, path: &Path, result: Result<String, String>) {
        match result {
            Err(why) => self.refuse(format!("cannot load {}: {why}", path.display())),
            Ok(text) => {
                let unset = self.now.load(&text);
                let told = told_unset(unset.len(), path);
                self.tell(told.unwrap_or_else(|| format!("loaded {}", path.display())));
                if path == self.home.path {
                    self.saved = self.now.clone();
                    self.is_stale = self.home.is_stale(&self.now, &text);
                }
                let (name, places) = (path.display().to_string(), Vec::new());
                self.read = ConfigText { name, text, places };
                self.refresh();
            }
        }
    }

    fn paste(&mut self, text: &str) {
        let text = text.trim_end_matches(['\r', '\n']);
        match &mut self.mode {
            Mode::Edit(Edit { line, refusal, .. }) => {
                line.insert(text);
                *refusal = None;
                self.settle();
            }
            Mode::Path(line, _) => line.insert(text),
            Mode::Search(search) => {
                search.line.insert(text);
                search.again(&self.haystack);
            }
            // What was copied elsewhere is no row of commands.
            Mode::Browse | Mode::Read(..) | Mode::Leaving => {}
        }
    }

    fn mouse(&mut self, mouse: MouseEvent) -> Vec<Effect> {
        if !matches!(self.mode, Mode::Browse) {
            return Vec::new();
        }
        match mouse.kind {
            MouseEventKind::ScrollDown => self.step(3),
            MouseEventKind::ScrollUp => self.step(-3),
            MouseEventKind::Down(MouseButton::Left) => {
                let Some(line) = hit(self.areas().rows, mouse.column, mouse.row) else {
                    return Vec::new();
                };
                let row = self.level().top + line;
                if row >= self.rows.len() {
                    return Vec::new();
                }
                // The first click chooses, the next one on the same row acts.
                if self.level().cursor == row {
                    self.enter_or_change();
                } else {
                    self.level_mut().cursor = row;
                    self.pane_top = 0;
                    self.settle();
                }
            }
            MouseEventKind::Down(MouseButton::Right) => self.go_back(),
            _ => {}
        }
        Vec::new()
    }
}
