//! What became of symbols that a project's Kconfig files once had.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::definitions::Definition;
use crate::shown::shown;
use crate::suggest::successor;
use crate::symbol::Symbol;

/// Symbols that are looked for at once, at most.
const WANTED_MAX: usize = 64;
/// How often a symbol is followed to the one that took its place, at most.
const CHAIN_MAX: usize = 8;
/// Definitions that a commit adds and that are looked at, at most.
const ADDED_MAX: usize = 1000;
/// Digits of a commit that are shown.
const COMMIT_SHOWN: usize = 12;

/// A commit that took a symbol away from where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The symbol, without prefix.
    pub symbol: Symbol,
    /// What the commit did.
    pub fate: Fate,
    /// The commit.
    pub by: CommitSeen,
    /// What a person was asked before, fit for a terminal.
    pub prompt: Option<String>,
    /// What the choice asked that it was a member of, fit for a terminal.
    pub choice: Option<String>,
    /// What took its place.
    pub successor: Option<Successor>,
}

/// What a commit did to a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing defines it any more.
    Removed,
    /// It is no member of that choice any more, but is there.
    Moved,
}

/// A commit, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitSeen {
    /// Its name, of hex digits.
    pub commit: String,
    /// The day it was made on, as 2024-09-30.
    pub day: String,
    /// The first line of its message.
    pub subject: String,
}

/// A symbol that took the place of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// The symbol, without prefix.
    pub symbol: Symbol,
    /// What a person was asked when it came, fit for a terminal.
    pub prompt: Option<String>,
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { symbol, fate, by, prompt, choice, successor } = self;
        let CommitSeen { commit, day, subject } = by;
        let commit = commit.get(..COMMIT_SHOWN).unwrap_or(commit);
        let done = match fate {
            Fate::Removed => "removed",
            Fate::Moved => "moved elsewhere",
        };
        write!(f, "{symbol} was {done} by {commit} ({day}, {subject})")?;
        match (prompt, choice) {
            (Some(prompt), Some(choice)) => {
                write!(f, "; it was \"{prompt}\" of the choice \"{choice}\"")?;
            }
            (Some(prompt), None) => write!(f, "; it was \"{prompt}\"")?,
            (None, Some(choice)) => write!(f, "; it was of the choice \"{choice}\"")?,
            (None, None) => {}
        }
        successor.iter().try_for_each(|heir| write!(f, "; {} took its place", heir.symbol))
    }
}

/// A search for what became of symbols, from the newest commit to older ones.
#[derive(Debug)]
pub struct PastSearch<'a> {
    /// Definitions of today.
    now: &'a [Definition],
    /// Their names.
    there: BTreeSet<&'a Symbol>,
    wanted: BTreeSet<Symbol>,
    found: BTreeMap<Symbol, Departure>,
    followed: usize,
}

impl<'a> PastSearch<'a> {
    /// Looks for `symbols`, of many only for the first; `now` are all definitions of the commit at
    /// which the search begins.
    pub fn new(symbols: impl IntoIterator<Item = Symbol>, now: &'a [Definition]) -> Self {
        let wanted = symbols.into_iter().take(WANTED_MAX).collect();
        let there = now.iter().map(|it| &it.name).collect();
        Self { now, there, wanted, found: BTreeMap::new(), followed: 0 }
    }

    /// Whether nothing is left to look for.
    pub fn is_over(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether the text of a Kconfig file may define something that is looked for.
    pub fn concerns(&self, text: &str) -> bool {
        self.wanted.iter().any(|symbol| text.contains(symbol.as_str()))
    }

    /// Looks at a commit: the definitions in the files that it changed, `before` it and `after` it.
    pub fn look(&mut self, by: &CommitSeen, before: &[Definition], after: &[Definition]) {
        let old: BTreeSet<&Symbol> = before.iter().map(|it| &it.name).collect();
        let added: Vec<_> =
            after.iter().filter(|it| !old.contains(&it.name)).take(ADDED_MAX).collect();
        let gone: Vec<_> = self.wanted.iter().filter(|symbol| old.contains(symbol)).collect();
        let gone = gone.into_iter().filter_map(|symbol| {
            let (fate, former) = self.departs(symbol, before, after)?;
            let is_beside = |it: &&&Definition| fate == Fate::Removed || it.choice == former.choice;
            let heir = successor(former, added.iter().filter(is_beside).copied());
            // A choice that asks in other words has the same members.
            if fate == Fate::Moved && heir.is_none() {
                return None;
            }
            Some(Departure {
                symbol: symbol.clone(),
                fate,
                by: CommitSeen { subject: shown(&by.subject), ..by.clone() },
                prompt: former.prompt.clone(),
                choice: former.choice.clone(),
                successor: heir.map(|Definition { name, prompt, choice: _, line: _ }| Successor {
                    symbol: name.clone(),
                    prompt: prompt.clone(),
                }),
            })
        });
        let gone: Vec<_> = gone.collect();
        for departure in gone {
            self.wanted.remove(&departure.symbol);
            self.found.insert(departure.symbol.clone(), departure);
        }
    }

    /// Whether a symbol is not any more what it was before a commit: how, and what it was.
    fn departs<'d>(
        &self,
        symbol: &Symbol,
        before: &'d [Definition],
        after: &[Definition],
    ) -> Option<(Fate, &'d Definition)> {
        let mut former = before.iter().filter(|it| it.name == *symbol);
        if self.there.contains(symbol) {
            let stays = |it: &Definition, list: &[Definition]| {
                list.iter().any(|other| other.name == it.name && other.choice == it.choice)
            };
            let left = former
                .find(|it| it.choice.is_some() && !stays(it, after) && !stays(it, self.now))?;
            return Some((Fate::Moved, left));
        }
        if after.iter().any(|it| it.name == *symbol) {
            return None;
        }
        let asked = former.clone().find(|it| it.prompt.is_some());
        asked.or(former.next()).map(|former| (Fate::Removed, former))
    }

    /// Turns to the symbols that took the place of others and are themselves not there any more:
    /// those went in commits that were passed already. Returns whether to search once more.
    pub fn follow(&mut self) -> bool {
        self.followed += 1;
        let heirs = self.found.values().filter_map(|departure| departure.successor.as_ref());
        let heirs = heirs
            .map(|heir| &heir.symbol)
            .filter(|heir| !self.found.contains_key(*heir) && !self.there.contains(*heir));
        self.wanted = heirs.take(WANTED_MAX).cloned().collect();
        self.followed < CHAIN_MAX && !self.is_over()
    }

    /// What became of a symbol, and then of those that took its place, one after the other; nothing
    /// where that was not found.
    pub fn of(&self, symbol: &Symbol) -> Vec<Departure> {
        let next = |departure: &&Departure| {
            let heir = &departure.successor.as_ref()?.symbol;
            // What is there again is where it ends.
            self.found.get(heir).filter(|_| !self.there.contains(heir))
        };
        let chain = std::iter::successors(self.found.get(symbol), next);
        chain.take(CHAIN_MAX).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::defined_symbols;

    fn seen(commit: char) -> CommitSeen {
        let (commit, day) = (commit.to_string().repeat(40), "2024-09-30".to_owned());
        CommitSeen { commit, day, subject: "a \x1b[2Jsubject".to_owned() }
    }

    /// What is told of each symbol, in a history of one file, oldest first.
    fn told(history: &[&str], symbols: &[&str]) -> Vec<String> {
        let texts: Vec<_> = history.iter().map(|text| defined_symbols(text)).collect();
        let symbols: Vec<_> = symbols.iter().map(|name| Symbol::new(*name).unwrap()).collect();
        let mut search = PastSearch::new(symbols.clone(), texts.last().unwrap());
        loop {
            for (index, two) in texts.windows(2).enumerate().rev() {
                let commit = char::from_digit(u32::try_from(index).unwrap() + 11, 16).unwrap();
                search.look(&seen(commit), &two[0], &two[1]);
            }
            if !search.follow() {
                break;
            }
        }
        let told = |symbol: &Symbol| {
            let all: Vec<_> = search.of(symbol).iter().map(ToString::to_string).collect();
            all.join("; ")
        };
        symbols.iter().map(told).collect()
    }

    fn choice(members: &str) -> String {
        format!("choice\n prompt \"Chip\"\n{members}endchoice\n")
    }

    #[test]
    fn a_renamed_member_of_a_choice_leads_to_the_new_one() {
        let before = choice(
            "config MACH_RP2040\n bool \"Raspberry Pi RP2040\"\nconfig MACH_AVR\n bool \"AVR\"\n",
        );
        let after = before.replace("MACH_RP2040", "MACH_RPXXXX");
        assert_eq!(
            told(&[&before, &after], &["MACH_RP2040", "MACH_AVR", "MACH_NEVER"]),
            [
                "MACH_RP2040 was removed by bbbbbbbbbbbb (2024-09-30, a \\u{1b}[2Jsubject); it was \
                 \"Raspberry Pi RP2040\" of the choice \"Chip\"; MACH_RPXXXX took its place",
                "",
                "",
            ]
        );
    }

    #[test]
    fn a_member_that_moved_out_of_its_choice_leads_to_the_one_that_came() {
        let before = choice("config MACH_RP2040\n bool \"Raspberry Pi RP2040\"\n");
        let after = before.replace("MACH_RP2040", "MACH_RPXXXX");
        let model = "config MACH_RP2040\n bool \"rp2040\"\nconfig MACH_RP2350\n bool \"rp2350\"\n";
        let after = format!("{after}{}", choice(model).replace("Chip", "Model"));
        let asks = |text: &str| text.replace("Chip", "Which chip");
        let history = [&before, &after, &asks(&after)];
        let told = told(&history.map(String::as_str), &["MACH_RP2040", "MACH_RP2350"]);
        assert!(told[0].starts_with("MACH_RP2040 was moved elsewhere by bbbb"), "{told:?}");
        assert!(told[0].ends_with("; MACH_RPXXXX took its place"), "{told:?}");
        assert_eq!(told[1], "", "it was always there");
    }

    #[test]
    fn names_and_prompts_lead_to_the_successor_outside_of_choices() {
        for (old, new, has_heir) in [
            (
                "config WANT_LED\n bool \"LED strips\"\n",
                "config WITH_NEOPIXELS\n bool \"LED strips\"\n",
                true,
            ),
            ("config RP2040_HAVE_BOOT\n bool\n", "config RPXXXX_HAVE_BOOT\n bool\n", true),
            (
                "config SERIAL_BAUD\n int \"Baud rate\"\n",
                "config SERIAL_BAUDS\n int \"Baud rate\"\n",
                true,
            ),
            (
                "config WANT_LED\n bool \"LED strips\"\n",
                "config SERIAL_BAUD\n int \"Speed\"\n",
                false,
            ),
            (
                "config MACH_PRU\n bool \"Beaglebone PRU\"\n",
                "config MACH_AR100\n bool \"Allwinner A64\"\n",
                false,
            ),
            ("config WANT_LED\n bool \"LED strips\"\n", "", false),
        ] {
            let name = old.lines().next().unwrap().trim_start_matches("config ");
            let told = told(&[old, new], &[name]);
            assert!(told[0].contains(" was removed by "), "{told:?}");
            assert_eq!(told[0].contains("took its place"), has_heir, "{old}{new}{told:?}");
        }
    }

    #[test]
    fn a_successor_that_is_gone_is_followed() {
        let texts = ["ONE", "TWO", "THREE"]
            .map(|name| format!("config MACH_{name}\n bool \"The machine\"\n"));
        let [one, two, three] = texts.each_ref().map(String::as_str);
        let all = told(&[one, two, three], &["MACH_ONE", "MACH_TWO"]);
        assert!(all[0].contains("MACH_TWO took its place; MACH_TWO was removed by c"), "{all:?}");
        assert!(all[0].ends_with("MACH_THREE took its place"), "{all:?}");
        assert!(all[0].ends_with(&all[1]), "{all:?}");
        // There and back again ends with what is there, and a circle of the past ends at all.
        let back = told(&[one, two, one], &["MACH_TWO", "MACH_ONE"]);
        assert!(back[0].ends_with("MACH_ONE took its place") && back[1].is_empty(), "{back:?}");
        let circle = told(&[one, two, one, two, ""], &["MACH_ONE", "MACH_TWO"]);
        assert!(circle.iter().all(|told| told.len() < 2000), "{circle:?}");
    }

    #[test]
    fn the_newest_removal_counts() {
        let (there, not) = ("config A_B\n bool \"Ask\"\n", "config C\n bool\n");
        let told = told(&[there, not, there, not], &["A_B"]);
        assert!(told[0].starts_with("A_B was removed by dddd"), "{told:?}");
    }
}
