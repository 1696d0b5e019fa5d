//! Reads `.config`, defconfig and fragment text, and writes it again.
//!
//! A configuration comes from strangers and ends up included by makefiles, where a stray line is
//! a program. So reading keeps only what is an assignment beyond doubt, and writing starts from
//! the values that were read: no byte of another line can get through.

use std::sync::Arc;

use crate::assignments::{Assignment, Assignments, Place};
use crate::notation::Notation;
use crate::shown::shown;
use crate::symbol::{Prefix, Symbol};
use crate::value::{Value, ValueError};

/// Largest configuration in bytes.
pub const TEXT_MAX_B: usize = 16 * 1024 * 1024;
/// Longest line in bytes, its end not counted.
pub const LINE_MAX_B: usize = 64 * 1024;
/// Most symbols in one text; Linux has about 20 000.
pub const SYMBOLS_MAX: usize = 200_000;
/// How many ignored lines a [`Reading`] keeps; it counts the rest.
pub const IGNORED_KEPT: usize = 100;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A line that is neither an assignment nor a comment, and has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredLine {
    /// Line, counted from 1.
    pub line: usize,
    /// The line fit for a terminal: control characters escaped, cut after 100 characters.
    pub text: String,
}

/// What [`parse`] found in a text.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The assignments.
    pub assignments: Assignments,
    /// The first [`IGNORED_KEPT`] lines that mean nothing, to warn about.
    pub ignored: Vec<IgnoredLine>,
    /// How many lines mean nothing, kept or not.
    pub ignored_total: usize,
}

/// A configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// More than [`TEXT_MAX_B`].
    #[error(
        "cannot read {origin}: its {size_b} bytes are more than the {TEXT_MAX_B} of a configuration"
    )]
    TooLarge {
        /// What the caller called the text.
        origin: String,
        /// Its size in bytes.
        size_b: usize,
    },
    /// A line of more than [`LINE_MAX_B`].
    #[error("cannot read line {line} of {origin}: it is longer than {LINE_MAX_B} bytes")]
    LineTooLong {
        /// What the caller called the text.
        origin: String,
        /// Line, counted from 1.
        line: usize,
    },
    /// More than [`SYMBOLS_MAX`].
    #[error("cannot read {origin}: it sets more than {SYMBOLS_MAX} symbols")]
    TooManySymbols {
        /// What the caller called the text.
        origin: String,
    },
    /// An assignment whose value must not reach make.
    #[error("cannot set {symbol} as line {line} of {origin} asks")]
    Value {
        /// What the caller called the text.
        origin: String,
        /// Line, counted from 1.
        line: usize,
        /// The symbol, without prefix.
        symbol: Symbol,
        /// What is wrong with the value.
        source: ValueError,
    },
}

/// Reads the text of a `.config`, a defconfig or a fragment.
///
/// `origin` names the text in messages. Lines end in `\n` or `\r\n`; a byte order mark before the
/// first one is skipped. An assignment is `CONFIG_X=` and a [`Value`], or `# CONFIG_X is not set`,
/// without blanks around it. Other `#` lines and blank lines are skipped, every other line is
/// ignored and counted.
///
/// # Errors
/// [`ReadError`]: over a limit, or a string value that make would not take literally, as
/// [`Value::text`] explains.
pub fn parse(text: &str, origin: &str, notation: &Notation) -> Result<Reading, ReadError> {
    if text.len() > TEXT_MAX_B {
        return Err(ReadError::TooLarge { origin: origin.to_owned(), size_b: text.len() });
    }
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let name: Arc<str> = origin.into();
    let mut reading =
        Reading { assignments: Assignments::new(notation.clone()), ..Reading::default() };
    for (index, raw) in text.split('\n').enumerate() {
        let line = index + 1;
        let raw = raw.strip_suffix('\r').unwrap_or(raw);
        if raw.len() > LINE_MAX_B {
            return Err(ReadError::LineTooLong { origin: origin.to_owned(), line });
        }
        match classify(raw, notation) {
            Line::Assignment(symbol, Ok(value)) => {
                let place = Some(Place { origin: Arc::clone(&name), line });
                reading.assignments.push(Assignment { symbol, value, place });
            }
            Line::Assignment(symbol, Err(source)) => {
                return Err(ReadError::Value { origin: origin.to_owned(), line, symbol, source });
            }
            Line::Skipped => {}
            Line::Ignored => {
                reading.ignored_total += 1;
                if reading.ignored.len() < IGNORED_KEPT {
                    reading.ignored.push(IgnoredLine { line, text: shown(raw) });
                }
            }
        }
    }
    Ok(reading)
}

/// Reduces the text that a Kconfig tool wrote to what is hashed and handed to the build.
///
/// Keeps the assignments in the tool's order, each on a line ending in `\n`, and nothing else: the
/// comments carry times and versions that would make equal configurations differ. Of a symbol
/// assigned twice, the last one stays. Applying it again changes nothing.
///
/// # Errors
/// As [`parse`].
pub fn canonical(text: &str, notation: &Notation) -> Result<String, ReadError> {
    Ok(parse(text, "the normalised configuration", notation)?.assignments.to_text())
}

enum Line {
    Assignment(Symbol, Result<Value, ValueError>),
    Skipped,
    Ignored,
}

fn classify(line: &str, notation: &Notation) -> Line {
    let prefix = &notation.prefix;
    if let Some(comment) = line.strip_prefix('#') {
        return match unset_symbol(comment, prefix) {
            Some(symbol) => Line::Assignment(symbol, Ok(Value::No)),
            None => Line::Skipped,
        };
    }
    if line.bytes().all(|byte| matches!(byte, b' ' | b'\t')) {
        return Line::Skipped;
    }
    let Some((symbol, spelling)) = split_assignment(line, prefix) else {
        return Line::Ignored;
    };
    match notation.read(spelling) {
        Err(ValueError::Malformed) => Line::Ignored,
        value => Line::Assignment(symbol, value),
    }
}

fn unset_symbol(comment: &str, prefix: &Prefix) -> Option<Symbol> {
    let name = comment.strip_prefix(' ')?.strip_prefix(prefix.as_str())?;
    Symbol::new(name.strip_suffix(" is not set")?).ok()
}

fn split_assignment<'a>(line: &'a str, prefix: &Prefix) -> Option<(Symbol, &'a str)> {
    let (name, spelling) = line.strip_prefix(prefix.as_str())?.split_once('=')?;
    Some((Symbol::new(name).ok()?, spelling))
}

impl ReadError {
    /// Says what to do next.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::TooLarge { origin, .. }
            | Self::LineTooLong { origin, .. }
            | Self::TooManySymbols { origin } => {
                Some(format!("check that {origin} is a configuration"))
            }
            Self::Value { source, .. } => source.help(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Reading {
        parse(text, "test.config", &Notation::default()).unwrap()
    }

    fn symbol(name: &str) -> Symbol {
        Symbol::new(name).unwrap()
    }

    #[test]
    fn every_form_of_assignment_is_read_with_its_line() {
        let text = "#\n# Automatically written\n\nCONFIG_A=y\nCONFIG_B=m\nCONFIG_C=n\n\
                    # CONFIG_D is not set\nCONFIG_E=-12\nCONFIG_F=0x1F\nCONFIG_G=\"a \\\" \\\\\"\n";
        let reading = read(text);
        assert_eq!(reading.ignored_total, 0);
        assert_eq!(
            reading.assignments.to_text(),
            "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n# CONFIG_D is not set\n\
             CONFIG_E=-12\nCONFIG_F=0x1F\nCONFIG_G=\"a \\\" \\\\\"\n"
        );
        assert_eq!(reading.assignments.get("G"), Some(&Value::text(r#"a " \"#).unwrap()));
        let place = reading.assignments.assignment("D").unwrap().place.clone().unwrap();
        assert_eq!((&*place.origin, place.line), ("test.config", 7));
    }

    #[test]
    fn lines_that_only_make_would_obey_are_never_written_again() {
        for line in [
            "$(shell touch x)",
            "include foo",
            "export A",
            "CONFIG_A := y",
            "CONFIG_A:=y",
            "CONFIG_A+=y",
            "CONFIG_A?=y",
            "CONFIG_A!=id",
            "CONFIG_A =y",
            "CONFIG_A= y",
            "CONFIG_A=$(shell id)",
            "CONFIG_A=y # $(shell id)",
            "CONFIG_A=y#",
            "CONFIG_A=y\\",
            "CONFIG_A=\"x\"\\",
            "CONFIG_A=\"x\\\"",
            "CONFIG_A=\"x\" $(shell id)",
            "CONFIG_A=`id`",
            "CONFIG_A=",
            "CONFIG_=y",
            "CONFIG_$(X)=y",
            "CONFIG_A\\",
            "\tCONFIG_A=y",
            " CONFIG_A=y",
            "CONFIG_A=\ty",
            "CONFIG_A=y\t",
            "CONFIG_A=y\0",
            "\0",
            "CONFIG_A\0=y",
            "CONFIG_A=y\x0c",
            "\x0c",
            "CONFIG_A=y\u{2028}CONFIG_B=y",
            "CONFIG_A=y\u{85}CONFIG_B=y",
            "CONFIG_A=y\rCONFIG_B=y",
            "\u{feff}\u{feff}CONFIG_A=y",
            "config_A=y",
            "MAKEFLAGS=y",
        ] {
            let reading = read(&format!("{line}\nCONFIG_Z=y\n"));
            assert_eq!(reading.assignments.to_text(), "CONFIG_Z=y\n", "{line:?}");
            assert_eq!(reading.ignored_total, 1, "{line:?}");
            assert_eq!(reading.ignored[0].line, 1, "{line:?}");
        }
    }

    #[test]
    fn comments_that_resemble_an_unset_symbol_stay_comments() {
        for line in [
            "#CONFIG_A is not set",
            "# CONFIG_A is not set.",
            "# CONFIG_A is not set\\",
            "# CONFIG_A  is not set",
            "# CONFIG_$(X) is not set",
            "# CONFIG_ is not set",
            "# A is not set",
            "# CONFIG_A is not set \\",
            "# $(shell id) \\",
        ] {
            let reading = read(line);
            assert!(reading.assignments.is_empty(), "{line:?}");
            assert_eq!(reading.ignored_total, 0, "{line:?}");
        }
    }

    #[test]
    fn foreign_line_ends_and_byte_order_marks_are_tolerated() {
        let reading = read("\u{feff}CONFIG_A=y\r\n# CONFIG_B is not set\r\n\r\nCONFIG_C=\"x\"\r");
        assert_eq!(
            reading.assignments.to_text(),
            "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x\"\n"
        );
        assert_eq!(reading.ignored_total, 0);
    }

    #[test]
    fn strings_that_make_would_expand_are_refused_by_name() {
        let error = parse(
            "CONFIG_A=y\nCONFIG_PINS=\"PA1 $(shell id)\"\n",
            "printer.config",
            &Notation::default(),
        )
        .unwrap_err();
        assert_eq!(
            error,
            ReadError::Value {
                origin: "printer.config".to_owned(),
                line: 2,
                symbol: symbol("PINS"),
                source: ValueError::Dollar
            }
        );
        assert_eq!(error.to_string(), "cannot set PINS as line 2 of printer.config asks");
        assert!(error.help().unwrap().contains('$'));
        for (value, source) in [
            ("${X}", ValueError::Dollar),
            ("$X", ValueError::Dollar),
            ("\\$(X)", ValueError::Dollar),
            ("a\tb", ValueError::Control),
            ("a\0b", ValueError::Control),
            ("a\rCONFIG_B=y", ValueError::Control),
            ("a\u{2028}b", ValueError::Control),
        ] {
            let text = format!("CONFIG_A=\"{value}\"");
            let found = parse(&text, "x", &Notation::default()).unwrap_err();
            assert!(
                matches!(&found, ReadError::Value { source: s, .. } if *s == source),
                "{text:?}"
            );
        }
    }

    #[test]
    fn texts_and_lines_have_limits() {
        let limit = |text: &str| parse(text, "x", &Notation::default()).map(|_| ());
        let line = "#".repeat(LINE_MAX_B);
        assert_eq!(limit(&format!("{line}\r\n")), Ok(()));
        assert_eq!(
            limit(&format!("\n{line}#")),
            Err(ReadError::LineTooLong { origin: "x".to_owned(), line: 2 })
        );
        let size_b = TEXT_MAX_B + 1;
        assert_eq!(
            limit(&"\n".repeat(size_b)),
            Err(ReadError::TooLarge { origin: "x".to_owned(), size_b })
        );
    }

    #[test]
    fn a_flood_of_senseless_lines_is_counted_but_not_kept() {
        let reading = read(&"x\n".repeat(10 * IGNORED_KEPT));
        assert_eq!(reading.ignored_total, 10 * IGNORED_KEPT);
        assert_eq!(reading.ignored.len(), IGNORED_KEPT);
    }

    #[test]
    fn ignored_lines_cannot_drive_a_terminal() {
        let reading = read("\x1b[2Jboo");
        assert_eq!(reading.ignored[0].text, "\\u{1b}[2Jboo");
    }

    #[test]
    fn a_prefix_is_read_and_written() {
        let prefix = Notation { prefix: Prefix::new("CT_").unwrap(), ..Notation::default() };
        let reading = parse("CT_A=y\nCONFIG_B=y\n# CT_C is not set\n", "x", &prefix).unwrap();
        assert_eq!(reading.assignments.to_text(), "CT_A=y\n# CT_C is not set\n");
        assert_eq!(reading.ignored_total, 1);
    }

    #[test]
    fn canonical_text_carries_no_time_and_no_version() {
        let written = |stamp: &str| {
            format!("#\n# Version {stamp}\n#\n\n#\n# Menu\n#\nCONFIG_B=y\nCONFIG_A=n\n# end\n")
        };
        let first = canonical(&written("1.36 Mon"), &Notation::default()).unwrap();
        assert_eq!(first, "CONFIG_B=y\n# CONFIG_A is not set\n");
        assert_eq!(canonical(&written("1.37 Tue"), &Notation::default()).unwrap(), first);
    }

    fn any_text() -> impl Strategy<Value = String> {
        vec(any::<char>(), 0..200).prop_map(String::from_iter)
    }

    /// Text made of the pieces that lines of a configuration are made of, hostile ones too.
    fn config_like() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "CONFIG_",
            "A",
            "B",
            "_C",
            "=",
            "y",
            "m",
            "n",
            "12",
            "-",
            "0x",
            "fF",
            "\"",
            "\\",
            "$",
            "$(shell id)",
            "# ",
            "#",
            " is not set",
            "\n",
            "\n",
            "\r\n",
            "\r",
            " ",
            "\t",
            "\0",
            "\x0c",
            "\u{2028}",
            "\u{feff}",
            "CONFIG_A=y\n",
            "CONFIG_B=\"",
            "# CONFIG_C is not set\n",
            "é",
            ":=",
            "include x",
        ]);
        vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![any_text(), config_like()]
    }

    /// Written without the reader's own functions, so that both would have to be wrong.
    fn is_plain_line(line: &str) -> bool {
        let name = |name: &str| !name.is_empty() && name.chars().all(|c| !" =$#:\\\t".contains(c));
        if let Some(unset) = line.strip_prefix("# CONFIG_") {
            return unset.strip_suffix(" is not set").is_some_and(name);
        }
        let Some((symbol, value)) = line.strip_prefix("CONFIG_").and_then(|l| l.split_once('='))
        else {
            return false;
        };
        let quoted = value.len() >= 2 && value.starts_with('"') && value.ends_with('"');
        let word = !value.is_empty()
            && value.chars().all(|c| c == '-' || c.is_ascii_hexdigit() || "xXym".contains(c));
        name(symbol) && (quoted || word)
    }

    proptest! {
        #[test]
        fn written_text_holds_nothing_but_plain_assignments(text in hostile()) {
            if let Ok(reading) = parse(&text, "x", &Notation::default()) {
                let text = reading.assignments.to_text();
                let foreign = text.contains(['$', '\0', '\r', '\t', '\x0c', '\u{2028}']);
                prop_assert!(!foreign, "{:?}", text);
                prop_assert!(text.is_empty() || text.ends_with('\n'));
                for line in text.lines() {
                    prop_assert!(is_plain_line(line), "{:?}", line);
                }
            }
        }

        #[test]
        fn written_text_is_a_fixed_point(text in hostile()) {
            if let Ok(reading) = parse(&text, "x", &Notation::default()) {
                let once = reading.assignments.to_text();
                let again = parse(&once, "x", &Notation::default()).unwrap();
                prop_assert_eq!(again.ignored_total, 0);
                prop_assert_eq!(again.assignments.to_text(), once);
            }
        }

        #[test]
        fn canonical_is_idempotent(text in hostile()) {
            if let Ok(once) = canonical(&text, &Notation::default()) {
                prop_assert_eq!(canonical(&once, &Notation::default()), Ok(once));
            }
        }
    }
}
