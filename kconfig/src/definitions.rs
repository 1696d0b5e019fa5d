//! Finds the symbols that a Kconfig file defines, without understanding the file.

use crate::shown::shown;
use crate::symbol::Symbol;

/// One place where a symbol is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The symbol.
    pub name: Symbol,
    /// What a person is asked, fit for a terminal and at most 100 characters; `None` if nothing.
    pub prompt: Option<String>,
    /// What the choice asks that it is a member of, as `prompt`; `None` outside of choices, and of
    /// one that asks nothing.
    pub choice: Option<String>,
    /// Line of the `config` or `menuconfig`, counted from 1.
    pub line: usize,
}

/// Lists the definitions in the text of one Kconfig file, in order.
///
/// Good enough to make suggestions, and for nothing else: conditions, macros, sourced files and
/// continued lines are not looked at. A symbol defined in several places is listed for each.
pub fn defined_symbols(text: &str) -> Vec<Definition> {
    let mut found: Vec<Definition> = Vec::new();
    let mut block = Block::Other;
    let mut choice = None;
    let mut help = HelpText::Outside;
    for (index, line) in text.lines().enumerate() {
        let statement = line.trim();
        if statement.is_empty() || help.takes(indent(line)) || statement.starts_with('#') {
            continue;
        }
        let (word, rest) = statement.split_once(char::is_whitespace).unwrap_or((statement, ""));
        match word {
            "config" | "menuconfig" => {
                let name = rest.split_whitespace().next().unwrap_or_default();
                block = match Symbol::new(name) {
                    Ok(name) => {
                        let (choice, line) = (choice.clone(), index + 1);
                        found.push(Definition { name, prompt: None, choice, line });
                        Block::Definition
                    }
                    Err(_) => Block::Other,
                };
            }
            "bool" | "boolean" | "tristate" | "int" | "hex" | "string" | "prompt" => {
                let asks = match (&block, found.last_mut()) {
                    (Block::Definition, Some(last)) => &mut last.prompt,
                    (Block::Choice, _) => &mut choice,
                    _ => continue,
                };
                *asks = quoted(rest).map(|text| shown(&text)).or(asks.take());
            }
            "help" | "---help---" => help = HelpText::Announced,
            "choice" | "endchoice" => {
                block = if word == "choice" { Block::Choice } else { Block::Other };
                choice = None;
            }
            "menu" | "endmenu" | "if" | "endif" | "comment" | "source" | "rsource" | "osource"
            | "orsource" | "mainmenu" => block = Block::Other,
            _ => {}
        }
    }
    found
}

/// What the lines being read belong to.
enum Block {
    Definition,
    Choice,
    Other,
}

/// Whether lines are help, which may contain anything, also what looks like a definition.
enum HelpText {
    Outside,
    Announced,
    /// Lines indented by at least so many columns.
    Within(usize),
}

impl HelpText {
    /// Whether a line that is not blank is help.
    fn takes(&mut self, indent: usize) -> bool {
        match *self {
            Self::Announced if indent > 0 => *self = Self::Within(indent),
            Self::Within(least) if indent >= least => {}
            _ => *self = Self::Outside,
        }
        matches!(self, Self::Within(_))
    }
}

/// Columns before the first character, tabs reaching to the next multiple of 8.
fn indent(line: &str) -> usize {
    let mut columns = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns = (columns / 8 + 1) * 8,
            _ => break,
        }
    }
    columns
}

/// The string in single or double quotes that `text` begins with.
fn quoted(text: &str) -> Option<String> {
    let mut rest = text.trim_start().chars();
    let quote = rest.next().filter(|first| matches!(first, '"' | '\''))?;
    let mut found = String::new();
    loop {
        match rest.next()? {
            c if c == quote => return Some(found),
            '\\' => found.push(rest.next()?),
            c => found.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        defined_symbols(text)
            .into_iter()
            .map(|d| format!("{} {} {}", d.line, d.name, d.prompt.unwrap_or("-".to_owned())))
            .collect()
    }

    #[test]
    fn every_way_to_write_a_prompt_is_found() {
        let text = "\
config A
\tbool \"Use \\\"A\\\"\" if B
menuconfig B
    prompt 'The B'
    bool
config C
    int
    default 5
config D # why
    string \"D\"
    default \"not this\"
config E
    def_bool y
config F
    bool \"\x1b[2J\"
";
        assert_eq!(
            found(text),
            ["1 A Use \"A\"", "3 B The B", "6 C -", "9 D D", "12 E -", "14 F \\u{1b}[2J"]
        );
    }

    #[test]
    fn help_texts_define_nothing() {
        let text = "\
config A
\thelp
\t  Words.

\t  config NOT
\t    config NEITHER
\tbool \"A\"
config B
    ---help---
config C
    bool \"C\"
";
        assert_eq!(found(text), ["1 A A", "8 B -", "10 C C"]);
    }

    #[test]
    fn prompts_of_choices_and_comments_belong_to_no_symbol() {
        let text = "\
config A
    bool
choice
    prompt \"Pick\"
config B
    bool \"B\"
endchoice
config C
    bool
comment \"prompt\"
# config D
config $(E)
    bool \"E\"
";
        assert_eq!(found(text), ["1 A -", "5 B B", "8 C -"]);
        let choices: Vec<_> = defined_symbols(text).into_iter().map(|it| it.choice).collect();
        assert_eq!(choices, [None, Some("Pick".to_owned()), None]);
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text(chars in proptest::collection::vec(any::<char>(), 0..80)) {
            let text = format!("{}\nconfig A\n", String::from_iter(chars));
            for definition in defined_symbols(&text) {
                let line = text.lines().nth(definition.line - 1).unwrap();
                prop_assert!(line.contains(definition.name.as_str()));
            }
        }
    }
}
