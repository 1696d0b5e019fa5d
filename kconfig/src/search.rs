//! Finds symbols by words.

use crate::help::Help;
use crate::ids::SymbolId;
use crate::kconfig::Kconfig;
use crate::spot::Spot;
use crate::tree::Item;

/// A symbol that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The symbol.
    pub symbol: String,
    /// `bool`, `tristate`, `int`, `hex`, `string`, or `unknown`.
    pub kind: &'static str,
    /// What a person is asked, `None` if nothing.
    pub prompt: Option<String>,
    /// Where it is defined first.
    pub at: Spot,
    /// Where the words were found; of several places, the most telling.
    pub found: FoundIn,
}

/// Where words were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundIn {
    /// In the name.
    Name,
    /// In what a person is asked.
    Prompt,
    /// In the title of the choice that it is a member of.
    Choice(String),
    /// In the help text, in this line.
    Help(String),
}

// Points of one word.
const SAME_NAME: u32 = 100;
const PART_OF_NAME: u32 = 50;
const START_IN_NAME: u32 = 40;
const WORD_OF_PROMPT: u32 = 30;
const IN_PROMPT: u32 = 20;
const IN_CHOICE: u32 = 15;
const IN_NAME: u32 = 12;
const WORD_OF_HELP: u32 = 8;
const IN_HELP: u32 = 4;
/// Orders what is found equally well: what a person can set is better.
const HAS_PROMPT: u32 = 3;

impl Kconfig {
    /// Finds the symbols that have every word of `query` in their names, prompts or help texts,
    /// best first.
    ///
    /// Case does not count, and neither does the prefix of symbols in configurations.
    pub fn search(&self, query: &str) -> Vec<Hit> {
        let prefix = self.prefix.as_str().to_lowercase();
        let words: Vec<String> = query
            .split_whitespace()
            .map(str::to_lowercase)
            .map(|word| word.strip_prefix(&prefix).map_or(word.clone(), str::to_owned))
            .filter(|word| !word.is_empty())
            .collect();
        if words.is_empty() {
            return Vec::new();
        }
        let mut hits: Vec<(u32, Hit)> = Vec::new();
        let mut seen = vec![false; self.tree.symbols.len()];
        for node in &self.tree.nodes {
            let Item::Symbol(id) = node.item else { continue };
            if !std::mem::replace(&mut seen[id.index()], true) {
                hits.extend(self.judge(id, &words));
            }
        }
        // The order of the files decides between equals.
        hits.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        hits.into_iter().map(|(_, hit)| hit).collect()
    }

    fn judge(&self, id: SymbolId, words: &[String]) -> Option<(u32, Hit)> {
        let symbol = &self.tree.symbols[id.index()];
        let nodes = || symbol.nodes.iter().map(|node| self.tree.node(*node));
        let name = self.tree.symbol_name(id);
        let prompts: Vec<&str> = nodes()
            .filter_map(|node| node.prompt)
            .map(|prompt| &**self.tree.names.text(prompt.value))
            .collect();
        let choice = self.choice_title(id);
        let helps: Vec<&Help> = nodes().filter_map(|node| node.help.as_ref()).collect();
        let text = Text { name, prompts: &prompts, choice, helps: &helps };
        let mut total = if prompts.is_empty() { 0 } else { HAS_PROMPT };
        let mut best: Option<(u32, FoundIn)> = None;
        for word in words {
            let (points, found) = text.mention(word)?;
            total += points;
            if best.as_ref().is_none_or(|(most, _)| *most < points) {
                best = Some((points, found));
            }
        }
        let hit = Hit {
            symbol: name.to_string(),
            kind: symbol.kind.word(),
            prompt: prompts.first().map(|prompt| (*prompt).to_owned()),
            at: self.tree.spot(nodes().next()?.span),
            found: best?.1,
        };
        Some((total, hit))
    }

    /// What the choice asks that the symbol is a member of.
    pub(crate) fn choice_title(&self, id: SymbolId) -> Option<&str> {
        let choice = self.model.symbols[id.index()].choice?;
        let nodes = &self.tree.choices[choice.index()].nodes;
        let prompt = nodes.iter().find_map(|node| self.tree.node(*node).prompt)?;
        Some(self.tree.names.text(prompt.value))
    }
}

/// All that is written about a symbol.
struct Text<'a> {
    name: &'a str,
    prompts: &'a [&'a str],
    choice: Option<&'a str>,
    helps: &'a [&'a Help],
}

impl Text<'_> {
    /// The points for mentioning `word`, and the best place that does.
    fn mention(&self, word: &str) -> Option<(u32, FoundIn)> {
        let in_name = self.in_name(word);
        let in_prompt = self.prompts.iter().filter_map(|text| mention(text, word)).max();
        let in_prompt = in_prompt.map_or(0, |how| how.of(IN_PROMPT, WORD_OF_PROMPT));
        if in_name.max(in_prompt) > 0 {
            let is_name = in_name >= in_prompt;
            let found = if is_name { FoundIn::Name } else { FoundIn::Prompt };
            return Some((in_name.max(in_prompt), found));
        }
        if let Some(title) = self.choice.filter(|title| mention(title, word).is_some()) {
            return Some((IN_CHOICE, FoundIn::Choice(title.to_owned())));
        }
        let lines = self.helps.iter().flat_map(|help| help.raw_lines());
        let best = lines.filter_map(|line| mention(line, word).map(|how| (how, line)));
        let (how, line) = best.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        Some((how.of(IN_HELP, WORD_OF_HELP), FoundIn::Help(line.trim().to_owned())))
    }

    fn in_name(&self, word: &str) -> u32 {
        let name = self.name.to_lowercase();
        if name == word {
            SAME_NAME
        } else if name.split('_').any(|part| part == word) {
            PART_OF_NAME
        } else if name.starts_with(word) || name.contains(&format!("_{word}")) {
            START_IN_NAME
        } else if name.contains(word) {
            IN_NAME
        } else {
            0
        }
    }
}

/// How a text mentions a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Part,
    Word,
}

impl How {
    fn of(self, part: u32, word: u32) -> u32 {
        match self {
            Self::Part => part,
            Self::Word => word,
        }
    }
}

fn mention(text: &str, word: &str) -> Option<How> {
    let text = text.to_lowercase();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = None;
    for (at, _) in text.match_indices(word) {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        if ![before, after].into_iter().flatten().any(is_part) {
            return Some(How::Word);
        }
        found = Some(How::Part);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dialect::Dialect;
    use crate::files::FileMap;
    use crate::shell::NoShell;

    const TEXT: &str = "config USB\n bool\n\
        config USB_SERIAL\n bool \"Serial over USB\"\n help\n  Speaks to hosts.\n\
        choice\n prompt \"Link to the host\"\nconfig LINK_CAN\n bool \"CAN bus\"\nendchoice\n\
        config BUSBAR\n bool \"Copper\"\n\
        config OTHER\n bool \"Other\"\n help\n  First line.\n  Nothing of a usb\n  device.\n";

    fn found(query: &str) -> Vec<String> {
        let files: FileMap = [("Kconfig", TEXT)].into_iter().collect();
        let kconfig =
            Kconfig::load("Kconfig", &files, Dialect::CONF, &BTreeMap::new(), &NoShell).unwrap();
        let told = |hit: Hit| format!("{} {:?}", hit.symbol, hit.found);
        kconfig.search(query).into_iter().map(told).collect()
    }

    #[test]
    fn names_come_before_prompts_and_prompts_before_help() {
        assert_eq!(
            found("usb"),
            ["USB Name", "USB_SERIAL Name", "BUSBAR Name", "OTHER Help(\"Nothing of a usb\")"]
        );
        assert_eq!(found("bus"), ["BUSBAR Name", "LINK_CAN Prompt"]);
        assert_eq!(found("CONFIG_USB"), found("usb"));
    }

    #[test]
    fn every_word_has_to_be_found_somewhere() {
        assert_eq!(found("serial hosts"), ["USB_SERIAL Name"]);
        assert_eq!(found("host can"), ["LINK_CAN Name"]);
        assert_eq!(
            found("host"),
            ["LINK_CAN Choice(\"Link to the host\")", "USB_SERIAL Help(\"Speaks to hosts.\")"]
        );
        assert_eq!(found("serial nothing"), [""; 0]);
        assert_eq!(found(" CONFIG_ "), [""; 0]);
    }
}
