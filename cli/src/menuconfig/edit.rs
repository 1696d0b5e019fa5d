//! A line of text while it is typed.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Longest line that can be typed, in characters.
const LINE_MAX: usize = 4096;

/// A line of text, and where the cursor is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    text: Vec<char>,
    cursor: usize,
    shown: String,
}

impl Line {
    /// Begins with `text`, and the cursor behind it.
    pub(crate) fn new(text: &str) -> Self {
        let mut line = Self::default();
        line.insert(text);
        line
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.shown
    }

    /// How many characters stand before the cursor.
    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Inserts `text`, without what is no character.
    pub(crate) fn insert(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            if self.text.len() < LINE_MAX {
                self.text.insert(self.cursor, c);
                self.cursor += 1;
            }
        }
        self.show();
    }

    /// Takes a key; whether it meant something here.
    pub(crate) fn key(&mut self, key: KeyEvent) -> bool {
        let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if with_control => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('k') if with_control => self.text.truncate(self.cursor),
            KeyCode::Char('w') if with_control => {
                let before = &self.text[..self.cursor];
                let kept = before.iter().rposition(|c| *c != ' ').map_or(0, |last| {
                    before[..last].iter().rposition(|c| *c == ' ').map_or(0, |blank| blank + 1)
                });
                self.text.drain(kept..self.cursor);
                self.cursor = kept;
            }
            KeyCode::Char('a') if with_control => self.cursor = 0,
            KeyCode::Char('e') if with_control => self.cursor = self.text.len(),
            KeyCode::Char('b') if with_control => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Char('f') if with_control => {
                self.cursor = (self.cursor + 1).min(self.text.len());
            }
            KeyCode::Char('h') if with_control => self.delete_before(),
            KeyCode::Char('d') if with_control => self.delete(),
            KeyCode::Char(_) if with_control || key.modifiers.contains(KeyModifiers::ALT) => {
                return false;
            }
            KeyCode::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => self.delete_before(),
            KeyCode::Delete => self.delete(),
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => return false,
        }
        self.show();
        true
    }

    fn delete_before(&mut self) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.text.remove(self.cursor);
        }
    }

    fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    fn show(&mut self) {
        self.shown = self.text.iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(line: &mut Line, keys: &[(KeyCode, KeyModifiers)]) {
        for (code, modifiers) in keys {
            line.key(KeyEvent::new(*code, *modifiers));
        }
    }

    #[test]
    fn a_line_is_edited_as_in_a_shell() {
        let (plain, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        let mut line = Line::new("ab cd");
        press(&mut line, &[(KeyCode::Char('w'), control), (KeyCode::Char('é'), plain)]);
        assert_eq!((line.text(), line.cursor()), ("ab é", 4));
        press(&mut line, &[(KeyCode::Home, plain), (KeyCode::Delete, plain)]);
        assert_eq!(line.text(), "b é");
        press(&mut line, &[(KeyCode::Right, plain), (KeyCode::Char('k'), control)]);
        assert_eq!(line.text(), "b");
        press(&mut line, &[(KeyCode::Backspace, plain), (KeyCode::Backspace, plain)]);
        assert_eq!((line.text(), line.cursor()), ("", 0));
        assert!(!line.key(KeyEvent::new(KeyCode::Char('x'), KeyModifiers::ALT)));
        line.insert("a\n\x1b[31mb");
        assert_eq!(line.text(), "a[31mb");
        press(&mut line, &[(KeyCode::Left, plain), (KeyCode::Char('u'), control)]);
        assert_eq!((line.text(), line.cursor()), ("b", 0));
    }
}
