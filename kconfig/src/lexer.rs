//! Lines and tokens of Kconfig files.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::dialect::Tool;
use crate::expr::Relation;
use crate::help::{Help, indent};
use crate::ids::NameId;
use crate::load_error::LoadError;
use crate::macros::{Assign, Macros, closing};
use crate::names::Names;
use crate::shown::shown;
use crate::spot::Spot;

/// The text of one file, read line by line.
#[derive(Debug)]
pub(crate) struct Lines {
    text: Arc<str>,
    at: usize,
    number: u32,
}

/// A line, with those that a `\` at the end joins to it.
#[derive(Debug)]
pub(crate) struct Line {
    text: Arc<str>,
    part: Range<usize>,
    joined: Option<String>,
    /// Counted from 1; of the first one if there are several.
    pub(crate) number: u32,
}

impl Line {
    /// The line without its end.
    pub(crate) fn text(&self) -> &str {
        self.joined.as_deref().unwrap_or(&self.text[self.part.clone()])
    }
}

impl Lines {
    /// Starts at the first line of `text`.
    pub(crate) fn new(text: Arc<str>) -> Self {
        Self { text, at: 0, number: 0 }
    }

    /// Takes the next line.
    pub(crate) fn take(&mut self) -> Option<Line> {
        let first = self.physical()?;
        let number = self.number;
        let mut joined: Option<String> = None;
        let mut last = first.clone();
        while let Some(open) = self.text[last.clone()].strip_suffix('\\') {
            let joined = joined.get_or_insert_with(String::new);
            joined.push_str(open);
            match self.physical() {
                Some(next) => last = next,
                None => break,
            }
        }
        if let Some(joined) = &mut joined {
            let tail = &self.text[last.clone()];
            if !tail.ends_with('\\') {
                joined.push_str(tail);
            }
        }
        Some(Line { text: Arc::clone(&self.text), part: first, joined, number })
    }

    /// Takes a help text: the lines that stand as far in as the first of them, or further.
    ///
    /// For `conf` the line behind the word is always a part of it, even if it says something.
    pub(crate) fn help(&mut self, tool: Tool) -> Help {
        let start = self.at;
        let mut least = None;
        let mut is_next = tool == Tool::Conf;
        loop {
            let before = (self.at, self.number);
            let Some(line) = self.physical() else { break };
            let line = &self.text[line];
            let is_next = std::mem::take(&mut is_next);
            let depth = indent(line);
            if line.trim().is_empty() || is_next && depth == 0 {
                continue;
            }
            if depth == 0 || depth < *least.get_or_insert(depth) {
                (self.at, self.number) = before;
                break;
            }
        }
        let end = self.at.min(self.text.len());
        Help { text: Arc::clone(&self.text), part: start.min(end)..end }
    }

    fn physical(&mut self) -> Option<Range<usize>> {
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let end = self.text[start..].find('\n').map_or(self.text.len(), |length| start + length);
        self.at = end + 1;
        self.number += 1;
        Some(start..end)
    }
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A bare word: a symbol, a number, a keyword.
    Word(NameId),
    /// A text in quotes.
    Quoted(NameId),
    /// `&&`
    And,
    /// `||`
    Or,
    /// `!`
    Not,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `=` and its kin.
    Relation(Relation),
}

/// One token of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) what: What,
    /// Counted from 1, in bytes of the joined line.
    pub(crate) column: u32,
}

/// What is needed to make tokens.
pub(crate) struct Lexer<'x, 'a> {
    pub(crate) tool: Tool,
    pub(crate) names: &'x mut Names,
    pub(crate) macros: &'x mut Macros<'a>,
    /// The line. Its column is set for errors.
    pub(crate) at: Spot,
}

impl Lexer<'_, '_> {
    /// Cuts `line` from the byte `start` on into `tokens`.
    pub(crate) fn tokens(
        &mut self,
        line: &str,
        start: usize,
        tokens: &mut Vec<Token>,
    ) -> Result<(), LoadError> {
        let bytes = line.as_bytes();
        let mut at = start;
        while let Some(&byte) = bytes.get(at) {
            let next = bytes.get(at + 1).copied();
            let (what, length) = match byte {
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {
                    at += 1;
                    continue;
                }
                b'#' => break,
                b'&' if next == Some(b'&') => (What::And, 2),
                b'|' if next == Some(b'|') => (What::Or, 2),
                b'!' if next == Some(b'=') => (What::Relation(Relation::Unequal), 2),
                b'<' if next == Some(b'=') => (What::Relation(Relation::LessEqual), 2),
                b'>' if next == Some(b'=') => (What::Relation(Relation::GreaterEqual), 2),
                b'!' => (What::Not, 1),
                b'<' => (What::Relation(Relation::Less), 1),
                b'>' => (What::Relation(Relation::Greater), 1),
                b'=' => (What::Relation(Relation::Equal), 1),
                b'(' => (What::Open, 1),
                b')' => (What::Close, 1),
                b'"' | b'\'' => {
                    let (text, length) = self.quoted(&line[at..], at)?;
                    (What::Quoted(self.names.intern(&text)), length)
                }
                b'$' if next == Some(b'(') => match self.word(&line[at..], at)? {
                    (text, length) if text.is_empty() => {
                        at += length;
                        continue;
                    }
                    (text, length) => (What::Word(self.names.intern(&text)), length),
                },
                byte if is_word(byte) => {
                    let (text, length) = self.word(&line[at..], at)?;
                    (What::Word(self.names.intern(&text)), length)
                }
                // `conf` warns about the character and goes on.
                _ if self.tool == Tool::Conf => {
                    at += line[at..].chars().next().map_or(1, char::len_utf8);
                    continue;
                }
                _ => {
                    let reason = format!("`{}` means nothing here", shown(&line[at..]));
                    return Err(self.fault(at, reason));
                }
            };
            tokens.push(Token { what, column: column(at) });
            at += length;
        }
        Ok(())
    }

    /// The text in quotes at the start of `rest`, and its length with quotes.
    fn quoted(&mut self, rest: &str, at: usize) -> Result<(String, usize), LoadError> {
        let quote = rest.as_bytes()[0];
        let mut text = String::new();
        let mut from = 1;
        loop {
            let stop = |byte: &u8| *byte == quote || *byte == b'\\' || *byte == b'$';
            let Some(length) = rest.as_bytes()[from..].iter().position(stop) else {
                return Err(self.fault(at, "the text in quotes never ends".to_owned()));
            };
            text.push_str(&rest[from..from + length]);
            from += length;
            let byte = rest.as_bytes()[from];
            if byte == quote {
                break;
            } else if byte == b'\\' {
                let escaped = rest[from + 1..].chars().next();
                text.extend(escaped);
                from += 1 + escaped.map_or(0, char::len_utf8);
            } else if rest[from..].starts_with("$(") {
                let (expanded, length) = self.expansion(&rest[from..], at)?;
                text.push_str(&expanded);
                from += length;
            } else {
                text.push('$');
                from += 1;
            }
        }
        if self.tool == Tool::Kconfiglib && text.contains('$') {
            let spot = self.spot(at);
            text = self.macros.expand_plain(&text, &spot)?;
        }
        Ok((text, from + 1))
    }

    /// The word at the start of `rest`, and its length before macros are expanded.
    fn word<'t>(&mut self, rest: &'t str, at: usize) -> Result<(Cow<'t, str>, usize), LoadError> {
        let plain = word_length(rest);
        if !rest[plain..].starts_with("$(") {
            return Ok((rest[..plain].into(), plain));
        }
        let mut text = rest[..plain].to_owned();
        let mut from = plain;
        while rest[from..].starts_with("$(") {
            let (expanded, length) = self.expansion(&rest[from..], at)?;
            text.push_str(&expanded);
            from += length;
            let plain = word_length(&rest[from..]);
            text.push_str(&rest[from..from + plain]);
            from += plain;
        }
        Ok((text.into(), from))
    }

    /// Expands the `$(…)` at the start of `rest`.
    fn expansion(&mut self, rest: &str, at: usize) -> Result<(String, usize), LoadError> {
        let end = closing(&rest[2..])
            .ok_or_else(|| self.fault(at, "the macro is never closed".to_owned()))?;
        let spot = self.spot(at);
        Ok((self.macros.expand(&rest[..end + 3], &spot)?, end + 3))
    }

    fn spot(&self, at: usize) -> Spot {
        Spot { column: column(at), ..self.at.clone() }
    }

    fn fault(&self, at: usize, reason: String) -> LoadError {
        LoadError::Syntax { at: self.spot(at), reason }
    }
}

/// The length of the bare word at the start of `text`.
pub(crate) fn word_length(text: &str) -> usize {
    text.bytes().position(|byte| !is_word(byte)).unwrap_or(text.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/')
}

/// The column of byte `at`, counted from 1.
fn column(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

/// The parts of `text` if it assigns to a variable of the preprocessor.
pub(crate) fn assignment(text: &str) -> Option<(&str, Assign, &str)> {
    let mut end = 0;
    loop {
        end += word_length(&text[end..]);
        if !text[end..].starts_with("$(") {
            break;
        }
        end += closing(&text[end + 2..])? + 3;
    }
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let (how, value) = if let Some(value) = rest.strip_prefix(":=") {
        (Assign::Now, value)
    } else if let Some(value) = rest.strip_prefix("+=") {
        (Assign::Append, value)
    } else {
        (Assign::OnUse, rest.strip_prefix('=')?)
    };
    (!name.is_empty()).then(|| (name, how, value.trim_start()))
}
