//! Which symbols are set to what, in which order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::notation::Notation;
use crate::symbol::Symbol;
use crate::value::Value;

/// Where an assignment was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What the caller called the text: a file name, mostly.
    pub origin: Arc<str>,
    /// Line, counted from 1.
    pub line: usize,
}

/// One symbol and what it is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The symbol, without prefix.
    pub symbol: Symbol,
    /// Its value; [`Value::No`] where the text says `is not set`.
    pub value: Value,
    /// Where it was read, `None` if it was [`Assignments::set`].
    pub place: Option<Place>,
}

/// An ordered set of assignments, at most one per symbol.
///
/// The order is that of assigning: of two members of a choice, Kconfig tools obey the one that
/// was assigned last, so a symbol that is assigned again moves to the end.
#[derive(Debug, Clone, Default)]
pub struct Assignments {
    notation: Notation,
    ranked: BTreeMap<u64, Assignment>,
    rank_of: BTreeMap<Symbol, u64>,
}

impl Assignments {
    /// Makes an empty set that is written in `notation`.
    pub fn new(notation: Notation) -> Self {
        Self { notation, ..Self::default() }
    }

    /// Assigns `value` to `symbol`, after everything that was assigned before.
    pub fn set(&mut self, symbol: Symbol, value: Value) {
        self.push(Assignment { symbol, value, place: None });
    }

    /// Assigns everything in `later`, in its order: where both name a symbol, `later` wins.
    ///
    /// The notation stays that of `self`.
    pub fn merge(&mut self, later: Self) {
        for assignment in later.ranked.into_values() {
            self.push(assignment);
        }
    }

    /// What `symbol` is set to, if it is assigned at all.
    pub fn get(&self, symbol: &str) -> Option<&Value> {
        self.assignment(symbol).map(|assignment| &assignment.value)
    }

    /// The assignment of `symbol`, with the place where it was read.
    pub fn assignment(&self, symbol: &str) -> Option<&Assignment> {
        self.rank_of.get(symbol).and_then(|rank| self.ranked.get(rank))
    }

    /// The assignments, first to last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Assignment> {
        self.ranked.values()
    }

    /// How many symbols are assigned.
    pub fn len(&self) -> usize {
        self.ranked.len()
    }

    /// Whether no symbol is assigned.
    pub fn is_empty(&self) -> bool {
        self.ranked.is_empty()
    }

    /// Writes the assignments as a `.config`, one per line, in order.
    ///
    /// [`parse`](crate::parse) reads it back to the same assignments, within its limits.
    pub fn to_text(&self) -> String {
        let Self { notation, ranked, rank_of: _ } = self;
        let prefix = &notation.prefix;
        let mut text = String::new();
        for Assignment { symbol, value, place: _ } in ranked.values() {
            let written = match value {
                Value::No => writeln!(text, "# {prefix}{symbol} is not set"),
                value => writeln!(text, "{prefix}{symbol}={}", notation.spelled(value)),
            };
            written.expect("writing to a String cannot fail");
        }
        text
    }

    /// Takes the place of what was assigned to the symbol before.
    pub(crate) fn push(&mut self, assignment: Assignment) {
        let rank = self.ranked.last_key_value().map_or(0, |(last, _)| last + 1);
        if let Some(earlier) = self.rank_of.insert(assignment.symbol.clone(), rank) {
            self.ranked.remove(&earlier);
        }
        self.ranked.insert(rank, assignment);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::dotconfig::parse;

    fn read(text: &str) -> Assignments {
        parse(text, "x", &Notation::default()).unwrap().assignments
    }

    fn symbol(name: &str) -> Symbol {
        Symbol::new(name).unwrap()
    }

    #[test]
    fn what_is_assigned_last_wins_and_stands_last() {
        let mut all = read("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=1\n");
        all.merge(read("# CONFIG_A is not set\nCONFIG_D=y\n"));
        all.set(symbol("B"), Value::Module);
        assert_eq!(all.to_text(), "CONFIG_C=1\n# CONFIG_A is not set\nCONFIG_D=y\nCONFIG_B=m\n");
        assert_eq!(all.len(), 4);
        assert_eq!(all.assignment("B").unwrap().place, None);
        assert_eq!(all.assignment("A").unwrap().place.as_ref().unwrap().line, 1);
    }

    fn assignments() -> impl Strategy<Value = Assignments> {
        let value = prop_oneof![
            Just(Value::Yes),
            Just(Value::No),
            any::<i64>().prop_map(Value::int),
            any::<u64>().prop_map(Value::hex),
            "[ -#%-~]{0,12}".prop_map(|text| Value::text(text).unwrap()),
        ];
        vec(("[A-F]", value), 0..8).prop_map(|pairs| {
            let mut all = Assignments::default();
            for (name, value) in pairs {
                all.set(symbol(&name), value);
            }
            all
        })
    }

    fn merged(mut first: Assignments, later: Assignments) -> Assignments {
        first.merge(later);
        first
    }

    proptest! {
        #[test]
        fn what_was_set_is_read_back(all in assignments()) {
            let again = read(&all.to_text());
            let pairs = |all: &Assignments| -> Vec<_> {
                all.iter().map(|a| (a.symbol.clone(), a.value.clone())).collect()
            };
            prop_assert_eq!(pairs(&again), pairs(&all));
        }

        #[test]
        fn merging_is_associative(a in assignments(), b in assignments(), c in assignments()) {
            let left = merged(merged(a.clone(), b.clone()), c.clone());
            let right = merged(a, merged(b, c));
            prop_assert_eq!(left.to_text(), right.to_text());
        }
    }
}
