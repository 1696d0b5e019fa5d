//! Finds what normalising a configuration did to what was asked.

use crate::assignments::{Assignment, Assignments};
use crate::pattern::Pattern;
use crate::symbol::Symbol;
use crate::value::Value;

/// A symbol that did not get the value that was asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The symbol, without prefix.
    pub symbol: Symbol,
    /// What was asked.
    pub asked: Value,
    /// What it is now; `None` where the normalised configuration does not name it.
    pub got: Option<Value>,
}

/// How a normalised configuration departs from what was asked, each list in the order of asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Identity symbols that lost their value: what would be built is another thing.
    pub refused: Vec<Change>,
    /// Other symbols that have another value now.
    pub changed: Vec<Change>,
    /// Other symbols that are gone: unknown here, or their dependencies are not met.
    pub dropped: Vec<Change>,
}

impl Drift {
    /// Whether everything asked was had.
    pub fn is_empty(&self) -> bool {
        let Self { refused, changed, dropped } = self;
        refused.is_empty() && changed.is_empty() && dropped.is_empty()
    }
}

/// Compares what was asked with what normalising made of it.
///
/// Values are the same if the one [means](Value::means) the other; asking for `n` is satisfied by
/// absence. Symbols that nobody asked for are consequences, not drift. An identity symbol asked
/// to be anything but `n` is refused when it changes or is gone, unless it is in `accept`.
pub fn drift(
    asked: &Assignments,
    normalised: &Assignments,
    identity: &[Pattern],
    accept: &[Symbol],
) -> Drift {
    let mut drift = Drift::default();
    for Assignment { symbol, value, place: _ } in asked.iter() {
        let got = normalised.get(symbol.as_str());
        if got.unwrap_or(&Value::No) == value || got.is_some_and(|got| value.means(got)) {
            continue;
        }
        let is_identity = *value != Value::No
            && !accept.contains(symbol)
            && identity.iter().any(|pattern| pattern.matches(symbol));
        let list = match got {
            _ if is_identity => &mut drift.refused,
            Some(_) => &mut drift.changed,
            None => &mut drift.dropped,
        };
        list.push(Change { symbol: symbol.clone(), asked: value.clone(), got: got.cloned() });
    }
    drift
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dotconfig::parse;
    use crate::notation::Notation;

    fn read(text: &str) -> Assignments {
        parse(text, "x", &Notation::default()).unwrap().assignments
    }

    fn found(asked: &str, normalised: &str, accept: &[&str]) -> [Vec<String>; 3] {
        let identity = ["MCU", "MACH_*"].map(|text| Pattern::new(text).unwrap());
        let accept: Vec<_> = accept.iter().map(|name| Symbol::new(*name).unwrap()).collect();
        let drift = drift(&read(asked), &read(normalised), &identity, &accept);
        let empty = drift.is_empty();
        let names = |list: &[Change]| list.iter().map(|c| c.symbol.to_string()).collect::<Vec<_>>();
        let lists = [names(&drift.refused), names(&drift.changed), names(&drift.dropped)];
        assert_eq!(empty, lists.iter().all(Vec::is_empty));
        lists
    }

    #[test]
    fn values_that_mean_the_same_are_no_drift() {
        let asked =
            "CONFIG_A=y\nCONFIG_B=0x08\n# CONFIG_C is not set\nCONFIG_D=n\nCONFIG_E=\"x\"\n";
        let normalised =
            "CONFIG_Z=y\n# CONFIG_C is not set\nCONFIG_E=\"x\"\nCONFIG_B=0x8\nCONFIG_A=y\n";
        assert_eq!(found(asked, normalised, &[]), [vec![], vec![], Vec::<String>::new()]);
    }

    #[test]
    fn a_changed_symbol_is_told_from_a_dropped_one() {
        let asked = "CONFIG_A=y\nCONFIG_B=1\nCONFIG_C=\"x\"\nCONFIG_D=n\nCONFIG_E=y\n";
        let normalised = "# CONFIG_A is not set\nCONFIG_B=2\nCONFIG_D=y\n";
        assert_eq!(
            found(asked, normalised, &[]),
            [vec![], vec!["A".to_owned(), "B".into(), "D".into()], vec!["C".into(), "E".into()]]
        );
    }

    #[test]
    fn another_chip_is_refused_unless_accepted_by_name() {
        let asked = "CONFIG_MACH_NEW=y\n# CONFIG_MACH_OLD is not set\nCONFIG_MCU=\"new\"\n";
        let normalised = "CONFIG_MACH_OLD=y\nCONFIG_MCU=\"old\"\n";
        assert_eq!(
            found(asked, normalised, &[]),
            [vec!["MACH_NEW".to_owned(), "MCU".into()], vec!["MACH_OLD".into()], vec![]]
        );
        assert_eq!(
            found(asked, normalised, &["MCU"]),
            [vec!["MACH_NEW".to_owned()], vec!["MACH_OLD".into(), "MCU".into()], vec![]]
        );
        assert_eq!(found(asked, normalised, &["MACH_NEW", "MCU"])[2], vec!["MACH_NEW".to_owned()]);
    }

    #[test]
    fn both_values_are_told() {
        let drift = drift(&read("CONFIG_MCU=\"a\"\n"), &read("CONFIG_MCU=\"b\"\n"), &[], &[]);
        assert_eq!(
            drift.changed,
            [Change {
                symbol: Symbol::new("MCU").unwrap(),
                asked: Value::text("a").unwrap(),
                got: Some(Value::text("b").unwrap()),
            }]
        );
    }
}
