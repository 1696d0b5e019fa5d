//! Foreign text on its way to a terminal, in pieces of any size.

/// What stays of foreign text beside its characters, line breaks and tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing.
    Nothing,
    /// Colours, and returns to the begin of a line.
    Colours,
}

/// Longest colour sequence that is kept.
const PARAMETERS_MAX_B: usize = 64;

/// Takes out of foreign text what would steer a terminal.
///
/// No escape character gets through but that of a whole colour sequence.
#[derive(Debug)]
pub(crate) struct Filter {
    keep: Keep,
    state: State,
    /// The begin of a character.
    rest: Vec<u8>,
    is_coloured: bool,
}

/// What the characters before were.
#[derive(Debug)]
enum State {
    Text,
    /// An escape character, and maybe what cannot end its sequence.
    Escape,
    /// A control sequence with these parameters, cut.
    Control(String),
    /// A string for the terminal: a title, a link, the clipboard, a picture.
    Foreign,
}

impl Filter {
    pub(crate) fn new(keep: Keep) -> Self {
        Self { keep, state: State::Text, rest: Vec::new(), is_coloured: false }
    }

    /// What may be shown of `bytes`, which go on where the last ones ended. What is not UTF-8
    /// becomes U+FFFD.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let mut shown = String::with_capacity(bytes.len());
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let mut left = &all[..];
        loop {
            let (text, rest, is_end) = match std::str::from_utf8(left) {
                Ok(text) => (text, &b""[..], true),
                Err(error) => {
                    let (valid, rest) = left.split_at(error.valid_up_to());
                    let text = std::str::from_utf8(valid).expect("it was valid up to here");
                    let broken_b = error.error_len();
                    (text, &rest[broken_b.unwrap_or(0)..], broken_b.is_none())
                }
            };
            text.chars().for_each(|c| self.step(c, &mut shown));
            left = rest;
            if is_end {
                break;
            }
            self.step(char::REPLACEMENT_CHARACTER, &mut shown);
        }
        self.rest = left.to_vec();
        shown
    }

    /// What ends the colours that were left on, so that they are not those of other text.
    pub(crate) fn reset(&mut self) -> &'static str {
        if std::mem::take(&mut self.is_coloured) { "\x1b[0m" } else { "" }
    }

    fn step(&mut self, c: char, shown: &mut String) {
        let state = std::mem::replace(&mut self.state, State::Text);
        self.state = match (state, c) {
            // The line break bounds what an unfinished sequence can hide.
            (_, '\n') => {
                shown.push(c);
                State::Text
            }
            (_, '\x1b') | (State::Escape, ' '..='/') => State::Escape,
            (State::Escape, '[') => State::Control(String::new()),
            (State::Escape, ']' | 'P' | 'X' | '^' | '_') => State::Foreign,
            (_, '\x18' | '\x1a')
            | (State::Escape, '\x30'..='\x7f')
            | (State::Foreign, '\x07' | '\u{9c}') => State::Text,
            (State::Foreign, _) => State::Foreign,
            (State::Control(mut parameters), ' '..='?') => {
                if parameters.len() <= PARAMETERS_MAX_B {
                    parameters.push(c);
                }
                State::Control(parameters)
            }
            (State::Control(parameters), '@'..='~') => {
                if c == 'm' {
                    self.colour(&parameters, shown);
                }
                State::Text
            }
            (State::Text | State::Escape | State::Control(_), _) => self.text(c, shown),
        };
    }

    fn text(&self, c: char, shown: &mut String) -> State {
        match c {
            '\u{9b}' => return State::Control(String::new()),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => return State::Foreign,
            '\t' => shown.push(c),
            '\r' if self.keep == Keep::Colours => shown.push(c),
            _ if c.is_control() => {}
            _ => shown.push(c),
        }
        State::Text
    }

    fn colour(&mut self, parameters: &str, shown: &mut String) {
        // With other parameters it is none: some set what keys the terminal sends.
        let is_one = parameters.len() <= PARAMETERS_MAX_B
            && parameters.chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':');
        if is_one && self.keep == Keep::Colours {
            self.is_coloured = !matches!(parameters, "" | "0");
            shown.extend(["\x1b[", parameters, "m"]);
        }
    }
}

/// `text` without what would steer a terminal: only line breaks and tabs stay of the controls.
pub(crate) fn plain(text: &str) -> String {
    Filter::new(Keep::Nothing).push(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colours(text: &[u8]) -> String {
        Filter::new(Keep::Colours).push(text)
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        let hostile = "a\x1b[31mb\x1b]0;title\x07c\x1b]8;;x\x1b\\d\re\x08\x1bcf\n\tg\u{9b}1mh";
        assert_eq!(plain(hostile), "abcdef\n\tgh");
        assert_eq!(plain("end\x1b["), "end");
    }

    #[test]
    fn text_line_ends_and_colours_stay() {
        let text = "grün\t…\r\n\x1b[1;31merror:\x1b[0m 100%\r\x1b[38:5:9mx\x1b[m";
        assert_eq!(colours(text.as_bytes()), text);
    }

    #[test]
    fn no_sequence_but_colours_gets_through() {
        for (hostile, shown) in [
            (&b"a\x1b[2Jb"[..], "ab"),
            (b"a\x1b[6nb", "ab"),
            (b"a\x1b[?1049hb", "ab"),
            (b"a\x1b[>4;2mb", "ab"),
            (b"a\x1b[?4mb", "ab"),
            (b"a\x1b[1 mb", "ab"),
            (b"a\x1b[1\nm", "a\nm"),
            (b"a\x1b]52;c;eA==\x07b", "ab"),
            (b"a\x1b]0;title\x1b\\b", "ab"),
            (b"a\x1bPq#0\x1b\\b", "ab"),
            (b"a\x1b_G\x07b", "ab"),
            (b"a\x1b^x\x1b[1mb", "a\x1b[1mb"),
            (b"a\x1bXx\x18b", "ab"),
            (b"a\x1b]0;open\nb", "a\nb"),
            (b"a\x1b(0b\x1b#8c\x1bcd\x1b7e", "abcde"),
            (b"a\x1b\x1b[2Jb", "ab"),
            (b"a\x0e\x0f\x08\x07\x00\x7fb", "ab"),
            (b"a\x9b2Jb", "a\u{fffd}2Jb"),
            (b"a\xff\xc3(b", "a\u{fffd}\u{fffd}(b"),
            ("a\u{9b}2Jb\u{9d}0;x\u{9c}c\u{90}q\x1b\\d\u{85}\u{8d}e".as_bytes(), "abcde"),
            ("a\u{9b}31mb".as_bytes(), "a\x1b[31mb"),
            ("a\x1b[3é".as_bytes(), "aé"),
            (b"end\xe2\x80", "end"),
        ] {
            assert_eq!(colours(hostile), shown, "{}", hostile.escape_ascii());
        }
        let long = format!("a\x1b[{}mb", "1;".repeat(10_000));
        assert_eq!(colours(long.as_bytes()), "ab");
    }

    #[test]
    fn where_the_text_is_cut_does_not_matter() {
        let text =
            "ü\x1b[1;31m€\x1b[0m\x1b]0;tütle\x1b\\b\x1b[2Jc\u{9b}5nd\u{9d}x\u{9c}\r\n\x1bPq\x07e😀";
        let text = [text.as_bytes(), b"\xff\xe2\x28f\xf0\x9f\x98"].concat();
        let whole = colours(&text);
        assert_eq!(whole, "ü\x1b[1;31m€\x1b[0mbcd\r\ne😀\u{fffd}\u{fffd}(f");
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut filter = Filter::new(Keep::Colours);
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                let shown = pieces.map(|piece| filter.push(piece)).concat();
                assert_eq!(shown, whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn colours_that_are_left_on_are_ended_once() {
        let mut filter = Filter::new(Keep::Colours);
        filter.push(b"\x1b[8mx");
        assert_eq!([filter.reset(), filter.reset()], ["\x1b[0m", ""]);
        filter.push(b"\x1b[1mx\x1b[0m\x1b[31mx\x1b[my");
        assert_eq!(filter.reset(), "");
    }
}
