//! Compares two configurations symbol by symbol.

use std::collections::BTreeSet;

use crate::assignments::Assignments;
use crate::symbol::Symbol;
use crate::value::Value;

/// A symbol that two configurations set differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The symbol, without prefix.
    pub symbol: Symbol,
    /// Its value on the left, `None` where it is absent.
    pub left: Option<Value>,
    /// Its value on the right, `None` where it is absent.
    pub right: Option<Value>,
}

/// Lists where two configurations differ, by symbol.
///
/// `n` and absence are the same. Everything else compares as written, also numbers: what a tool
/// spells differently may compile differently. Order of lines and prefixes do not count.
pub fn diff(left: &Assignments, right: &Assignments) -> Vec<Difference> {
    let symbols: BTreeSet<&Symbol> =
        left.iter().chain(right.iter()).map(|assignment| &assignment.symbol).collect();
    symbols
        .into_iter()
        .filter_map(|symbol| {
            let (left, right) = (left.get(symbol.as_str()), right.get(symbol.as_str()));
            (left.unwrap_or(&Value::No) != right.unwrap_or(&Value::No)).then(|| Difference {
                symbol: symbol.clone(),
                left: left.cloned(),
                right: right.cloned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dotconfig::parse;
    use crate::notation::Notation;

    fn differences(left: &str, right: &str) -> Vec<String> {
        let read = |text| parse(text, "x", &Notation::default()).unwrap().assignments;
        let print = |value: Option<Value>| value.map_or("-".to_owned(), |v| v.to_string());
        diff(&read(left), &read(right))
            .into_iter()
            .map(|d| format!("{} {} {}", d.symbol, print(d.left), print(d.right)))
            .collect()
    }

    #[test]
    fn only_symbols_that_differ_are_listed() {
        assert_eq!(
            differences(
                "CONFIG_E=0x08\nCONFIG_C=1\nCONFIG_B=y\nCONFIG_A=y\n",
                "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_D=\"x\"\nCONFIG_E=0x8\nCONFIG_C=2\n",
            ),
            ["B y n", "C 1 2", "D - \"x\"", "E 0x08 0x8"]
        );
    }

    #[test]
    fn off_and_absent_are_the_same_whatever_the_order() {
        let left = "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=m\n";
        assert_eq!(differences(left, "CONFIG_C=m\nCONFIG_B=y\nCONFIG_D=n\n"), [""; 0]);
    }
}
