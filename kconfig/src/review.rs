//! Which lines of a configuration came to nothing, and what they may have meant.

use std::collections::BTreeMap;

use crate::assignments::Assignments;
use crate::configuration::Configuration;
use crate::definitions::Definition;
use crate::expr::Tristate;
use crate::ids::{ChoiceId, SymbolId};
use crate::notation::Notation;
use crate::number::{base, number};
use crate::resolve::Wish;
use crate::shown::shown;
use crate::suggest::{SUGGESTIONS_MAX, Suggestion, suggest, suggest_member};
use crate::symbol::Symbol;
use crate::tree::Kind;
use crate::value::Value;

use Tristate::{No, Yes};

/// A line of a configuration that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Line, counted from 1.
    pub line: usize,
    /// The symbol, fit for a terminal; of a line that is no assignment, the line.
    pub symbol: String,
    /// What the line sets it to, without quotes.
    pub asked: Option<String>,
    /// What it is, without quotes; `None` where the `.config` does not name it.
    pub got: Option<String>,
    /// Why.
    pub why: DroppedWhy,
}

/// Why a line came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DroppedWhy {
    /// It is neither an assignment nor a comment.
    Unreadable,
    /// No Kconfig file defines the symbol.
    Unknown,
    /// The value does not belong to the type of the symbol, which is this.
    Value(&'static str),
    /// A later line sets the symbol again.
    SetAgain {
        /// That line.
        line: usize,
    },
    /// Nobody is asked for the symbol: its value follows from others.
    Derived,
    /// The symbol is not visible.
    Hidden,
    /// The symbol is visible up to `m` only.
    Limited,
    /// Other symbols select it.
    Selected,
    /// The number is out of range.
    OutOfRange {
        /// The smallest.
        low: String,
        /// The largest.
        high: String,
    },
    /// Another member of its choice is on.
    OtherMember {
        /// That member.
        chosen: String,
        /// The line that sets it, `None` if it is the default.
        line: Option<usize>,
    },
    /// It is the default of its choice, in which nothing else is set.
    ChoiceDefault,
    /// The project's tool makes another value of it.
    Adjusted,
}

/// A line that sets something.
struct Line<'t> {
    number: usize,
    name: &'t str,
    value: Option<&'t str>,
}

impl Configuration<'_> {
    /// Lists the lines of `text` that came to nothing, in order. `text` is what was loaded last.
    ///
    /// Lines that turn something off that is off anyway are none of them.
    pub fn review(&self, text: &str) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        let mut lines: Vec<Line<'_>> = Vec::new();
        for (index, raw) in text.lines().enumerate() {
            match self.assignment(raw) {
                Some((name, value)) => lines.push(Line { number: index + 1, name, value }),
                None if raw.trim().is_empty() || raw.trim_start().starts_with('#') => {}
                None => dropped.push(Dropped {
                    line: index + 1,
                    symbol: shown(raw),
                    asked: None,
                    got: None,
                    why: DroppedWhy::Unreadable,
                }),
            }
        }
        let last: BTreeMap<&str, usize> =
            lines.iter().map(|line| (line.name, line.number)).collect();
        dropped.extend(lines.iter().filter_map(|line| self.judge(line, &last)));
        dropped.sort_by_key(|dropped| dropped.line);
        dropped
    }

    fn judge(&self, line: &Line<'_>, last: &BTreeMap<&str, usize>) -> Option<Dropped> {
        let dropped = |asked: &str, got: Option<String>, why: DroppedWhy| Dropped {
            line: line.number,
            symbol: shown(line.name),
            asked: Some(asked.to_owned()),
            got,
            why,
        };
        let spelled = line.value.unwrap_or("n");
        let Some(id) = self.find(line.name) else {
            let is_off = matches!(line.value, None | Some("n"));
            return (!is_off).then(|| dropped(unquoted(spelled), None, DroppedWhy::Unknown));
        };
        let symbol = &self.kconfig.tree.symbols[id.index()];
        let resolver = self.resolver();
        let got = resolver.text(id);
        let is_there = self.values.states[id.index()].written;
        let is_named = || is_there.then(|| got.to_owned());
        let Some(wish) = self.spelled(id, line.value) else {
            let why = DroppedWhy::Value(symbol.kind.word());
            return Some(dropped(unquoted(spelled), is_named(), why));
        };
        let asked = match &wish {
            Wish::Open => return None,
            Wish::Logic(value) => value.as_str(),
            Wish::Text(text) => text,
        };
        let same_number = || {
            let number = |text| number(text, base(symbol.kind), self.kconfig.dialect.tool);
            let is_number = matches!(symbol.kind, Kind::Int | Kind::Hex);
            is_number && number(asked).is_some() && number(asked) == number(got)
        };
        let is_taken = is_there || symbol.kind.is_logic() || symbol.transitional;
        if asked == got && is_taken || is_there && same_number() {
            return None;
        }
        let why = match last.get(line.name) {
            Some(&later) if later != line.number => DroppedWhy::SetAgain { line: later },
            _ => self.why_dropped(id, &wish),
        };
        Some(dropped(asked, is_named(), why))
    }

    /// Why a symbol does not have the value that a person set.
    fn why_dropped(&self, id: SymbolId, wish: &Wish) -> DroppedWhy {
        let known = &self.kconfig.model.symbols[id.index()];
        let state = &self.values.states[id.index()];
        let resolver = self.resolver();
        if known.prompts.is_empty() {
            return DroppedWhy::Derived;
        }
        if let (Some(choice), true) = (known.choice, state.visible == Yes) {
            let chosen = self.values.choice_states[choice.index()].selection;
            if chosen == Some(id) {
                return DroppedWhy::ChoiceDefault;
            }
            return chosen.map_or(DroppedWhy::Adjusted, |chosen| {
                let asked = self.facts().asked(chosen).filter(|asked| asked.value != "n");
                DroppedWhy::OtherMember {
                    chosen: self.kconfig.tree.symbol_name(chosen).to_string(),
                    line: asked.and_then(|asked| asked.line),
                }
            });
        }
        match wish {
            Wish::Logic(wish) if resolver.floor(id) > *wish => DroppedWhy::Selected,
            _ if state.visible == No => DroppedWhy::Hidden,
            Wish::Logic(wish) if *wish > state.visible => DroppedWhy::Limited,
            Wish::Text(text) if !resolver.fits(id, text) => {
                let range = resolver.range_property(id).map(|range| range.value);
                let end = |id: SymbolId| resolver.text(id).to_owned();
                range.map_or(DroppedWhy::Adjusted, |(low, high)| DroppedWhy::OutOfRange {
                    low: end(low),
                    high: end(high),
                })
            }
            _ => DroppedWhy::Adjusted,
        }
    }

    /// Suggests what to set instead of what a line of `text` sets, best first.
    ///
    /// Looks for symbols of similar names, for prompts that speak of the same, and among the
    /// members of the choice whose other members stand beside the line. Takes a while in a large
    /// project: ask for few.
    pub fn suggestions(&self, dropped: &Dropped, text: &str) -> Vec<Suggestion> {
        let (Ok(symbol), Some(asked)) = (Symbol::new(dropped.symbol.as_str()), &dropped.asked)
        else {
            return Vec::new();
        };
        let value = asked.parse().or_else(|_| Value::text(asked.as_str())).unwrap_or(Value::Yes);
        let mut found = Vec::new();
        if dropped.why == DroppedWhy::Unknown
            && value == Value::Yes
            && let Some(choice) = self.former_choice(dropped.line, text)
        {
            let members = &self.kconfig.model.choices[choice.index()].members;
            let members: Vec<_> = members.iter().flat_map(|id| self.definitions_of(*id)).collect();
            found.extend(suggest_member(&symbol, &value, &members, &self.assignments()));
        }
        for suggestion in self.similar_to(&symbol, &value) {
            if !found.iter().any(|known| known.symbol() == suggestion.symbol()) {
                found.push(suggestion);
            }
        }
        found.truncate(SUGGESTIONS_MAX);
        found
    }

    /// Suggests what may have been meant by a name that no Kconfig file defines, best first.
    pub fn similar(&self, symbol: &str) -> Vec<Suggestion> {
        Symbol::new(symbol).map_or(Vec::new(), |symbol| self.similar_to(&symbol, &Value::Yes))
    }

    fn similar_to(&self, symbol: &Symbol, asked: &Value) -> Vec<Suggestion> {
        let defined: Vec<Definition> =
            self.defined().flat_map(|id| self.definitions_of(id)).collect();
        suggest(symbol, asked, &defined, &self.assignments())
    }

    /// The choice that a line's symbol was a member of: those of its members that are left stand
    /// beside the line, and none of them is set.
    fn former_choice(&self, line: usize, text: &str) -> Option<ChoiceId> {
        let lines: Vec<&str> = text.lines().collect();
        let at = line.checked_sub(1)?;
        let member = |line: &&str| {
            let (name, value) = self.assignment(line)?;
            let id = self.find(name)?;
            let choice = self.kconfig.model.symbols[id.index()].choice?;
            Some((choice, value.is_some_and(|value| value.starts_with('y'))))
        };
        let before = lines.get(..at)?.iter().rev().take(NEIGHBOURS).find_map(member);
        let after = lines.get(at + 1..)?.iter().take(NEIGHBOURS).find_map(member);
        let found = match (before, after) {
            (Some((before, _)), Some((after, _))) if before == after => Some(before),
            (Some((choice, false)), None) | (None, Some((choice, false))) => Some(choice),
            (Some((before, false)), Some((_, true))) => Some(before),
            (Some((_, true)), Some((after, false))) => Some(after),
            _ => None,
        };
        let is_set = |choice: ChoiceId| {
            let chosen = lines.iter().filter_map(member);
            chosen.into_iter().any(|(other, is_on)| other == choice && is_on)
        };
        found.filter(|choice| !is_set(*choice))
    }

    fn definitions_of(&self, id: SymbolId) -> Vec<Definition> {
        let Ok(name) = Symbol::new(self.kconfig.tree.symbol_name(id).as_ref()) else {
            return Vec::new();
        };
        let nodes = &self.kconfig.tree.symbols[id.index()].nodes;
        let choice = self.kconfig.choice_title(id).map(shown);
        let definition = |prompt: Option<&str>, line: u32| Definition {
            name: name.clone(),
            prompt: prompt.map(shown),
            choice: choice.clone(),
            line: usize::try_from(line).unwrap_or(usize::MAX),
        };
        let found = nodes.iter().map(|node| {
            let node = self.kconfig.tree.node(*node);
            let prompt = node.prompt.map(|prompt| &**self.kconfig.tree.names.text(prompt.value));
            definition(prompt, node.span.line)
        });
        found.collect()
    }

    /// The values that the `.config` names, but for those that no [`Value`] can be.
    fn assignments(&self) -> Assignments {
        let mut all = Assignments::new(Notation {
            prefix: self.kconfig.prefix.clone(),
            strings: self.kconfig.dialect.strings,
        });
        for id in self.defined().filter(|id| self.values.states[id.index()].written) {
            let text = self.resolver().text(id).to_owned();
            let value = match self.kconfig.tree.symbols[id.index()].kind {
                Kind::Text => Value::text(text),
                _ => text.parse(),
            };
            if let (Ok(symbol), Ok(value)) =
                (Symbol::new(self.kconfig.tree.symbol_name(id).as_ref()), value)
            {
                all.set(symbol, value);
            }
        }
        all
    }
}

/// How many lines beside a line are looked at for members of its former choice.
const NEIGHBOURS: usize = 3;

/// The text in quotes, or all of it.
fn unquoted(spelled: &str) -> &str {
    let inside = spelled.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.unwrap_or(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::files::FileMap;
    use crate::kconfig::Kconfig;
    use crate::shell::NoShell;

    const TEXT: &str = "choice\n prompt \"Family\"\n\
        config MACH_AVR\n bool \"Atmega AVR\"\n\
        config MACH_STM\n bool \"STMicroelectronics STM32\"\n\
        config MACH_RPXXXX\n bool \"Raspberry Pi RP2040/RP235x\"\nendchoice\n\
        config BAUD\n int \"Speed\"\n range 10 200\n default 100\n\
        config ON\n bool \"On\"\n select HELD\nconfig HELD\n bool \"Held\"\n\
        config DEEP\n bool \"Deep\"\n depends on MACH_STM\n\
        config MCU\n string\n default \"avr\"\n";

    fn kconfig(dialect: Dialect) -> Kconfig {
        let files: FileMap = [("Kconfig", TEXT)].into_iter().collect();
        Kconfig::load("Kconfig", &files, dialect, &BTreeMap::new(), &NoShell).unwrap()
    }

    fn reviewed(text: &str) -> Vec<String> {
        let [ours, theirs] = [Dialect::CONF, Dialect::KCONFIGLIB].map(|dialect| {
            let kconfig = kconfig(dialect);
            let mut configuration = kconfig.evaluate();
            configuration.load(text);
            let told = |it: Dropped| format!("{} {} {:?} {:?}", it.line, it.symbol, it.got, it.why);
            configuration.review(text).into_iter().map(told).collect::<Vec<_>>()
        });
        assert_eq!(ours, theirs);
        ours
    }

    #[test]
    fn lines_that_were_obeyed_are_not_listed() {
        assert_eq!(
            reviewed(
                "# comment\n\nCONFIG_MACH_STM=y\n# CONFIG_MACH_AVR is not set\nCONFIG_BAUD=150\n\
                 CONFIG_DEEP=y\nCONFIG_MCU=\"avr\"\n# CONFIG_GONE is not set\nCONFIG_OLD=n\n"
            ),
            [""; 0]
        );
    }

    #[test]
    fn every_way_to_come_to_nothing_is_told_apart() {
        assert_eq!(
            reviewed(
                "CONFIG_MACH_AVR=y\nCONFIG_MACH_RPXXXX=y\nCONFIG_DEEP=y\nCONFIG_NOPE=y\n\
                 CONFIG_BAUD=500\nCONFIG_ON=y\n# CONFIG_HELD is not set\nCONFIG_MCU=\"rp2040\"\n\
                 $(shell id)\n"
            ),
            [
                "1 MACH_AVR Some(\"n\") OtherMember { chosen: \"MACH_RPXXXX\", line: Some(2) }",
                "3 DEEP None Hidden",
                "4 NOPE None Unknown",
                "5 BAUD Some(\"100\") OutOfRange { low: \"10\", high: \"200\" }",
                "7 HELD Some(\"y\") Selected",
                "8 MCU Some(\"avr\") Derived",
                "9 $(shell id) None Unreadable",
            ]
        );
        assert_eq!(
            reviewed("# CONFIG_MACH_AVR is not set\n"),
            ["1 MACH_AVR Some(\"y\") ChoiceDefault"]
        );
        assert_eq!(
            reviewed("CONFIG_BAUD=150\nCONFIG_BAUD=20\nCONFIG_ON=7\n"),
            ["1 BAUD Some(\"20\") SetAgain { line: 2 }", "3 ON Some(\"n\") Value(\"bool\")"]
        );
    }

    fn suggested(text: &str) -> Vec<Vec<String>> {
        let kconfig = kconfig(Dialect::KCONFIGLIB);
        let mut configuration = kconfig.evaluate();
        configuration.load(text);
        let names = |dropped: &Dropped| {
            let found = configuration.suggestions(dropped, text);
            found.iter().map(|suggestion| suggestion.symbol().to_string()).collect()
        };
        configuration.review(text).iter().map(names).collect()
    }

    #[test]
    fn the_members_beside_a_line_lead_to_the_choice_it_came_from() {
        let beside = "# CONFIG_MACH_AVR is not set\nCONFIG_MACH_PICO=y\n";
        assert_eq!(suggested(beside)[1], [""; 0], "no likeness at all");
        let beside = "# CONFIG_MACH_AVR is not set\nCONFIG_CHIP_RASPBERRY_NEW=y\n\
                      # CONFIG_MACH_STM is not set\n";
        assert_eq!(suggested(beside)[1], ["MACH_RPXXXX"]);
        // Far from the choice, or where the choice is decided, the likeness is not enough.
        assert_eq!(suggested("CONFIG_CHIP_RASPBERRY_NEW=y\n"), [[""; 0]]);
        let decided = "CONFIG_MACH_AVR=y\nCONFIG_CHIP_RASPBERRY_NEW=y\n";
        assert_eq!(suggested(decided), [[""; 0]]);
    }

    #[test]
    fn prompts_and_similar_names_are_suggested_without_a_choice() {
        assert_eq!(suggested("CONFIG_MACH_RP2040=y\n"), [["MACH_RPXXXX"]]);
        assert_eq!(suggested("CONFIG_BUAD=20\n"), [["BAUD"]]);
    }
}
