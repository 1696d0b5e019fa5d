//! The tree's own configuration after a build, beside the one that it was given.

use std::os::fd::OwnedFd;

use kbs_kconfig::{Assignments, Difference, Notation, Prefix, Value};
use kbs_plan::kconfig::Configurer;
use kbs_store::ConfigDifference;

use super::build::Order;
use super::collect;

/// Differences that are told and kept; of more, the number.
const TOLD_MAX: usize = 100;

/// How the two differ.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// What to tell, each with the symbol that it is about.
    pub(crate) notes: Vec<(String, Option<String>)>,
    pub(crate) differences: Vec<ConfigDifference>,
}

/// The kind of notice that tells of a difference.
pub(crate) fn kind(by: Configurer) -> &'static str {
    match by {
        Configurer::Kbs => "config-differs",
        Configurer::Project => "dirty-config",
    }
}

/// Compares the configuration of a build that is over with the one it was given; `None` where it
/// left none that can be read.
pub(crate) fn compare(order: &Order, src: &OwnedFd) -> Option<Compared> {
    let Some(given) = &order.config else { return Some(Compared::default()) };
    let subdir = order.derivation.subdir.as_deref().unwrap_or("");
    let after = src.try_clone().and_then(|src| collect::read_config(src, subdir)).ok()?;
    let [given, after] = [given, &after].map(|text| parse(text, &order.notation));
    Some(told(&kbs_kconfig::diff(&given?, &after?), &order.notation.prefix, order.by))
}

/// What is told where there is nothing to compare.
pub(crate) fn nothing_to_compare() -> Compared {
    let note = "the build left no readable .config to compare".to_owned();
    Compared { notes: vec![(note, None)], differences: Vec::new() }
}

fn parse(text: &str, notation: &Notation) -> Option<Assignments> {
    kbs_kconfig::parse(text, ".config", notation).ok().map(|reading| reading.assignments)
}

fn told(all: &[Difference], prefix: &Prefix, by: Configurer) -> Compared {
    let value = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
    let or_nothing = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let mut compared = Compared::default();
    for Difference { symbol, left, right } in all.iter().take(TOLD_MAX) {
        let (given, built) = (value(left), value(right));
        let (was, is) = (or_nothing(&given), or_nothing(&built));
        let note = match by {
            Configurer::Kbs => {
                format!("{prefix}{symbol}: kbs decided {was}, the build's own .config says {is}")
            }
            Configurer::Project => format!("the build changed {prefix}{symbol} from {was} to {is}"),
        };
        let symbol = symbol.to_string();
        compared.notes.push((note, Some(symbol.clone())));
        compared.differences.push(ConfigDifference { symbol, given, built });
    }
    if let Some(more) = all.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        compared.notes.push((format!("{more} more symbols differ"), None));
    }
    if by == Configurer::Kbs && !all.is_empty() {
        let note = "the project decides otherwise than kbs; where it is right, let its own tool \
                    normalise: [recipe.kconfig] configure = \"project\"";
        compared.notes.push((note.to_owned(), None));
    }
    compared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &str, built: &str, by: Configurer) -> Compared {
        let notation = Notation::default();
        let read = |text| parse(text, &notation).unwrap();
        told(&kbs_kconfig::diff(&read(given), &read(built)), &notation.prefix, by)
    }

    #[test]
    fn who_decided_otherwise_is_told_by_symbol() {
        let given = "CONFIG_A=y\nCONFIG_B=1\n# CONFIG_C is not set\n";
        let built = "# CONFIG_A is not set\nCONFIG_B=1\nCONFIG_D=\"x\"\n";
        let compared = of(given, built, Configurer::Kbs);
        let notes: Vec<_> = compared.notes.iter().map(|(note, _)| note.as_str()).collect();
        assert_eq!(
            notes[..2],
            [
                "CONFIG_A: kbs decided y, the build's own .config says n",
                "CONFIG_D: kbs decided nothing, the build's own .config says \"x\"",
            ]
        );
        assert!(notes[2].contains("configure = \"project\""));
        assert_eq!(compared.notes[0].1.as_deref(), Some("A"));
        assert_eq!(compared.differences[1].built.as_deref(), Some("\"x\""));
        let own = of(given, built, Configurer::Project);
        assert_eq!(own.notes.len(), 2);
        assert_eq!(own.notes[0].0, "the build changed CONFIG_A from y to n");
        assert!(of(given, given, Configurer::Kbs).notes.is_empty());
    }

    #[test]
    fn of_very_many_differences_the_first_are_told() {
        let lines: Vec<_> = (0..TOLD_MAX + 5).map(|n| format!("CONFIG_S{n}=y\n")).collect();
        let compared = of(&lines.concat(), "", Configurer::Project);
        assert_eq!(compared.differences.len(), TOLD_MAX);
        assert_eq!(compared.notes.last().unwrap().0, "5 more symbols differ");
    }
}
