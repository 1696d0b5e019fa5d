//! Guesses what a person meant by a symbol that did not survive normalising.

use std::collections::BTreeMap;

use strsim::normalized_damerau_levenshtein;

use crate::assignments::Assignments;
use crate::definitions::Definition;
use crate::symbol::Symbol;
use crate::value::Value;

/// How many suggestions [`suggest`] makes at most.
pub const SUGGESTIONS_MAX: usize = 3;

/// What may have been meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suggestion {
    /// Another symbol, of similar name or asking a person about the same thing.
    Similar {
        /// The symbol, without prefix.
        symbol: Symbol,
        /// What a person is asked.
        prompt: Option<String>,
        /// Its value in the normalised configuration, `None` where that does not name it.
        value: Option<Value>,
    },
    /// The symbol itself: it exists, but what it depends on is not set.
    Hidden {
        /// The symbol, without prefix.
        symbol: Symbol,
        /// What a person is asked.
        prompt: Option<String>,
    },
}

impl Suggestion {
    /// The symbol, without prefix.
    pub fn symbol(&self) -> &Symbol {
        match self {
            Self::Similar { symbol, .. } | Self::Hidden { symbol, .. } => symbol,
        }
    }
}

/// Suggests what to set instead of `symbol`, which was asked to be `asked` and was not, best
/// first, at most [`SUGGESTIONS_MAX`].
///
/// `defined` are the definitions in all Kconfig files of the project, in any order.
pub fn suggest(
    symbol: &Symbol,
    asked: &Value,
    defined: &[Definition],
    normalised: &Assignments,
) -> Vec<Suggestion> {
    ranked(symbol, asked, (defined, 0.0), normalised)
}

/// Suggests a member of the choice that `symbol` was a member of, as [`suggest`] does: less
/// likeness is enough where there are few candidates.
pub(crate) fn suggest_member(
    symbol: &Symbol,
    asked: &Value,
    members: &[Definition],
    normalised: &Assignments,
) -> Vec<Suggestion> {
    ranked(symbol, asked, (members, SAME_CHOICE), normalised)
}

/// The definition among `added`, which came when `former` went, that took its place.
pub(crate) fn successor<'d>(
    former: &Definition,
    added: impl Iterator<Item = &'d Definition>,
) -> Option<&'d Definition> {
    let Definition { name, prompt, choice, line: _ } = former;
    let words = words_of(name, &Value::Yes);
    let wish = Wish { symbol: name, asked: &Value::Yes, words, bonus: 0.0 };
    let both = |ours: &Option<String>, theirs: &Option<String>, likeness: fn(&str, &str) -> f64| {
        ours.as_deref().zip(theirs.as_deref()).map_or(0.0, |(ours, theirs)| likeness(ours, theirs))
    };
    let same = |ours: &str, theirs: &str| f64::from(u8::from(ours == theirs));
    let scored = added.map(|definition| {
        let score = wish.points(definition, None)
            + SAME_CHOICE * both(choice, &definition.choice, same)
            + SAME_PROMPT * both(prompt, &definition.prompt, normalized_damerau_levenshtein);
        (score, definition)
    });
    // Of equals, the first.
    let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.filter(|(score, _)| *score >= ENOUGH_TO_SUCCEED).map(|(_, definition)| definition)
}

fn ranked(
    symbol: &Symbol,
    asked: &Value,
    (defined, bonus): (&[Definition], f64),
    normalised: &Assignments,
) -> Vec<Suggestion> {
    let wish = Wish { symbol, asked, words: words_of(symbol, asked), bonus };
    let mut best: BTreeMap<&Symbol, (f64, Suggestion)> = BTreeMap::new();
    for definition in defined {
        let Some((score, suggestion)) = wish.judge(definition, normalised) else {
            continue;
        };
        if best.get(&definition.name).is_none_or(|(earlier, _)| *earlier < score) {
            best.insert(&definition.name, (score, suggestion));
        }
    }
    let mut ranked: Vec<_> = best.into_values().collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    ranked.into_iter().take(SUGGESTIONS_MAX).map(|(_, suggestion)| suggestion).collect()
}

// Points. A name that is the same but for its spelling is worth 1, a prompt that mentions the
// same chip too; the rest is set so that neither chance likeness of short names nor one everyday
// word in a prompt is enough.
const ENOUGH: f64 = 0.7;
/// A likely name alone is not enough: commits that take one symbol away add others like it.
const ENOUGH_TO_SUCCEED: f64 = 1.0;
const HIDDEN: f64 = 1.0;
const SAME_CHIP: f64 = 1.0;
const SAME_CHIP_FAMILY: f64 = 0.6;
const SAME_WORD: f64 = 0.3;
const SAME_FAMILY: f64 = 0.3;
const SAME_VALUE: f64 = 0.3;
/// For asking the same in other words as well, less.
const SAME_PROMPT: f64 = 1.0;
/// For members of the choice that it was a member of.
const SAME_CHOICE: f64 = 0.25;
/// Orders candidates without making any: one that can be set right away is better.
const SETTABLE: f64 = 0.2;

struct Wish<'a> {
    symbol: &'a Symbol,
    asked: &'a Value,
    words: Vec<String>,
    /// Points that every candidate has from the start.
    bonus: f64,
}

impl Wish<'_> {
    /// The points of a definition and what it suggests, `None` for too few.
    fn judge(
        &self,
        definition: &Definition,
        normalised: &Assignments,
    ) -> Option<(f64, Suggestion)> {
        let Definition { name, prompt, choice: _, line: _ } = definition;
        let value = normalised.get(name.as_str());
        if name == self.symbol {
            let score = HIDDEN + if prompt.is_some() { SETTABLE } else { 0.0 };
            let suggestion = Suggestion::Hidden { symbol: name.clone(), prompt: prompt.clone() };
            return value.is_none().then_some((score, suggestion));
        }
        let score = self.points(definition, value);
        let settable = prompt.is_some() && value.is_some();
        (score >= ENOUGH).then(|| {
            let suggestion = Suggestion::Similar {
                symbol: name.clone(),
                prompt: prompt.clone(),
                value: value.cloned(),
            };
            (score + if settable { SETTABLE } else { 0.0 }, suggestion)
        })
    }

    /// The points of another symbol, which has `value`.
    fn points(&self, definition: &Definition, value: Option<&Value>) -> f64 {
        let mentioned: f64 = definition.prompt.as_deref().map_or(0.0, |prompt| {
            let prompt = words(prompt);
            self.words.iter().map(|word| mention(word, &prompt)).sum()
        });
        let carries = is_telling(self.asked) && value.is_some_and(|value| self.asked.means(value));
        self.bonus
            + likeness(self.symbol.as_str(), definition.name.as_str())
            + mentioned
            + if carries { SAME_VALUE } else { 0.0 }
    }
}

/// Whether two symbols with this value have something in common.
fn is_telling(value: &Value) -> bool {
    match value {
        Value::No | Value::Module | Value::Yes => false,
        Value::Int(literal) | Value::Hex(literal) | Value::Text(literal) => {
            !literal.as_str().is_empty()
        }
    }
}

/// The words that say what `symbol` is about. The part up to the first `_` says only to which
/// family it belongs.
fn words_of(symbol: &Symbol, asked: &Value) -> Vec<String> {
    let name = symbol.as_str();
    let mut found = words(name.split_once('_').map_or(name, |(_, own)| own));
    if let Value::Text(text) = asked {
        found.extend(words(text.as_str()));
    }
    found.sort();
    found.dedup();
    found
}

/// The first words of 3 to 32 bytes, in lower case. Every word of a wish is compared with every
/// prompt of a project, and a string may be long.
fn words(text: &str) -> Vec<String> {
    const WORDS_MAX: usize = 16;
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| (3..=32).contains(&word.len()))
        .take(WORDS_MAX)
        .map(str::to_lowercase)
        .collect()
}

/// The points for a prompt of the words `prompt` mentioning `word`.
fn mention(word: &str, prompt: &[String]) -> f64 {
    let is_chip = names_a_chip(word);
    let points = |mentioned: &String| {
        if is_spelled(word, mentioned) {
            if is_chip { SAME_CHIP } else { SAME_WORD }
        } else if is_chip && names_a_chip(mentioned) && word.starts_with(mentioned.as_str()) {
            SAME_CHIP_FAMILY
        } else {
            0.0
        }
    };
    prompt.iter().map(points).fold(0.0, f64::max)
}

/// Whether the word has letters and digits, as the names of chips and boards have.
fn names_a_chip(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether `spelling`, in which `x` may stand for a digit as in `stm32f4xx`, spells `word`. Both
/// in lower case.
fn is_spelled(word: &str, spelling: &str) -> bool {
    let (word, spelling) = (word.as_bytes(), spelling.as_bytes());
    word.len() == spelling.len()
        && word.first() == spelling.first()
        && word.iter().zip(spelling).all(|(w, s)| w == s || (*s == b'x' && w.is_ascii_digit()))
}

/// How alike two symbols are, from 0 to 1. Inside a family only the rest of the name counts.
fn likeness(asked: &str, candidate: &str) -> f64 {
    if is_spelled(&asked.to_lowercase(), &candidate.to_lowercase()) {
        return 1.0;
    }
    match (asked.split_once('_'), candidate.split_once('_')) {
        (Some((family, asked)), Some((same, candidate))) if family == same => {
            SAME_FAMILY + (1.0 - SAME_FAMILY) * normalized_damerau_levenshtein(asked, candidate)
        }
        _ => normalized_damerau_levenshtein(asked, candidate),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::definitions::defined_symbols;
    use crate::dotconfig::parse;
    use crate::notation::Notation;

    const CHIPS: &str = r#"
choice
    prompt "Chip family"
config MACH_AVR
    bool "Atmega AVR"
config MACH_STM32
    bool "STM32"
config MACH_RPXXXX
    bool "Raspberry Pi RP2040/RP235x"
endchoice
if MACH_RPXXXX
choice
    prompt "Chip"
config MACH_RP2040
    bool "rp2040"
config MACH_RP2350
    bool "rp2350"
endchoice
endif
config MCU
    string
    default "rp2040" if MACH_RP2040
config SERIAL_BAUD
    int "Speed of the serial port"
config FLASH_APPLICATION_START
    hex
config WANT_LEDS
    bool "Support for LED strips"
"#;

    const AVR: &str = "CONFIG_MACH_AVR=y\n# CONFIG_MACH_STM32 is not set\n\
        # CONFIG_MACH_RPXXXX is not set\nCONFIG_MCU=\"atmega2560\"\nCONFIG_SERIAL_BAUD=250000\n\
        CONFIG_FLASH_APPLICATION_START=0x2000\n# CONFIG_WANT_LEDS is not set\n";

    fn suggested(symbol: &str, asked: &str, normalised: &str) -> Vec<String> {
        let normalised = parse(normalised, "x", &Notation::default()).unwrap().assignments;
        let symbol = Symbol::new(symbol).unwrap();
        suggest(&symbol, &asked.parse().unwrap(), &defined_symbols(CHIPS), &normalised)
            .into_iter()
            .map(|suggestion| match suggestion {
                Suggestion::Similar { symbol, .. } => symbol.to_string(),
                Suggestion::Hidden { symbol, .. } => format!("hidden {symbol}"),
            })
            .collect()
    }

    #[test]
    fn a_chip_that_moved_below_its_family_leads_to_the_family() {
        assert_eq!(
            suggested("MACH_RP2040", "y", AVR),
            ["MACH_RPXXXX", "hidden MACH_RP2040", "MACH_RP2350"]
        );
        assert_eq!(suggested("MACH_RP2040", "y", "CONFIG_MACH_AVR=y\n")[0], "MACH_RPXXXX");
    }

    #[test]
    fn the_name_of_a_chip_leads_to_the_symbol_that_can_be_set() {
        assert_eq!(suggested("MCU", "\"rp2040\"", AVR), ["MACH_RPXXXX", "MACH_RP2040"]);
        assert_eq!(suggested("MACH_STM32F103", "y", AVR)[0], "MACH_STM32");
    }

    #[test]
    fn misspellings_and_renamings_lead_to_the_name() {
        assert_eq!(suggested("SERAIL_BAUD", "115200", AVR), ["SERIAL_BAUD"]);
        assert_eq!(suggested("WANT_LED", "y", AVR), ["WANT_LEDS"]);
        assert_eq!(suggested("FLASH_START", "0x2000", AVR), ["FLASH_APPLICATION_START"]);
    }

    #[test]
    fn strangers_are_not_suggested() {
        assert_eq!(suggested("NOPE", "y", AVR), [""; 0]);
        assert_eq!(suggested("MACH_PRU", "y", AVR), [""; 0]);
    }

    #[test]
    fn a_symbol_that_is_there_is_never_its_own_suggestion() {
        assert_eq!(suggested("MACH_STM32", "y", AVR), [""; 0]);
        assert_eq!(suggested("SERIAL_BAUD", "1", AVR), [""; 0]);
        assert_eq!(suggested("SERIAL_BAUD", "1", ""), ["hidden SERIAL_BAUD"]);
    }

    #[test]
    fn a_placeholder_stands_for_digits_only() {
        assert!(is_spelled("stm32f407", "stm32f4xx"));
        assert!(!is_spelled("stm32fabc", "stm32fxxx"));
        assert!(!is_spelled("stm32f4xx", "stm32f407"));
        assert!(!is_spelled("123", "xxx"));
    }

    proptest! {
        #[test]
        fn suggestions_are_few_and_of_different_symbols(
            name in "[A-F]{1,3}_[A-F0-9X]{1,6}",
            text in "[a-z0-9 ]{0,12}",
        ) {
            let asked = format!("\"{text}\"");
            let found = suggested(&name, &asked, "");
            prop_assert!(found.len() <= SUGGESTIONS_MAX);
            let names: std::collections::BTreeSet<_> = found.iter().collect();
            prop_assert_eq!(names.len(), found.len());
        }
    }
}
