//! One mistake each, and what resembles one.

use std::collections::BTreeMap;

use super::*;
use crate::dialect::Dialect;
use crate::files::FileMap;
use crate::shell::NoShell;

fn kconfig(text: &str, dialect: Dialect) -> Kconfig {
    let files: FileMap = [("Kconfig", text)].into_iter().collect();
    Kconfig::load("Kconfig", &files, dialect, &BTreeMap::new(), &NoShell)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The flaws as `line kind subject`, the same for both tools.
fn flaws(text: &str) -> Vec<String> {
    let [ours, theirs] = [Dialect::CONF, Dialect::KCONFIGLIB].map(|dialect| {
        let told = |flaw: Flaw| format!("{} {} {}", flaw.at.line, flaw.what.name(), flaw.subject);
        kconfig(text, dialect).lint().into_iter().map(told).collect::<Vec<_>>()
    });
    assert_eq!(ours, theirs);
    ours
}

#[test]
fn files_without_mistakes_have_none() {
    let text = "config A\n bool \"A\"\n default y if B\n default n\n select C if B\nconfig B\n \
                bool \"B\"\nconfig C\n bool\nconfig I\n int \"I\"\n range 0 10 if A\n range 0 100\n \
                default 50\nconfig H\n hex \"H\"\n default 0x10\nconfig S\n string \"S\"\n default \
                WORD if A\n default lower\nchoice\n prompt \"P\"\n default X\nconfig X\n bool \"X\"\n\
                config Y\n bool \"Y\"\nendchoice\nconfig NO\n bool \"no\" if !A\n depends on I > 5\n";
    assert_eq!(flaws(text), [""; 0]);
}

#[test]
fn what_is_used_and_not_defined_is_told_once() {
    let text = "config A\n bool \"A\"\n default NOPE\nconfig B\n bool \"B\" if A || NOPE\n \
                select GONE\n default y if lower\n";
    assert_eq!(flaws(text), ["3 undefined NOPE", "6 selects-nothing B"]);
    let found = kconfig(text, Dialect::CONF).lint();
    assert_eq!(found[0].what, FlawKind::Undefined { uses: 2 });
}

#[test]
fn prompts_that_nothing_can_show_are_told_with_the_reason() {
    let text = "config A\n bool \"A\"\n depends on NOPE && B\nconfig B\n bool \"B\"\nconfig C\n \
                bool \"C\"\n depends on A\nconfig D\n bool \"D\" if n\nconfig E\n bool \"E\" if C\n\
                config E\n bool \"E\" if B\nconfig F\n bool\n default y if A\n";
    let found = kconfig(text, Dialect::CONF).lint();
    let never: Vec<_> = found
        .iter()
        .filter_map(|flaw| match &flaw.what {
            FlawKind::NeverShown { because } => Some((flaw.subject.as_str(), because.join(", "))),
            _ => None,
        })
        .collect();
    assert_eq!(never, [("A", "NOPE".into()), ("C", "A".into()), ("D", "n".to_owned())]);
}

#[test]
fn a_symbol_has_one_type() {
    let text = "config A\n bool \"A\"\nconfig A\n def_bool y\nconfig B\n int \"B\"\nconfig B\n \
                string \"B\"\nconfig C\n bool\n tristate \"C\"\n";
    assert_eq!(flaws(text), ["8 two-types B", "11 two-types C"]);
    let found = kconfig(text, Dialect::CONF).lint();
    assert_eq!(found[0].what, FlawKind::TwoTypes { kinds: ["int", "string"] });
}

#[test]
fn defaults_have_to_be_possible() {
    let text = "config A\n bool \"A\"\n default y\n default n if B\nconfig B\n bool \"B\"\n \
                default maybe\nconfig I\n int \"I\"\n range 1 10\n range 20 30 if A\n default 40\n\
                config H\n hex \"H\"\n default xyz\nconfig R\n int \"R\"\n range 9 1\n default 5 if B\n\
                config T\n prompt \"T\"\n";
    assert_eq!(
        flaws(text),
        [
            "4 default-unused A",
            "7 default-type B",
            "12 default-range I",
            "15 default-type H",
            "18 range-empty R",
            "19 default-range R",
            "20 no-type T",
        ]
    );
}

#[test]
fn selects_have_to_be_able_to_do_something() {
    let text = "config A\n bool \"A\"\n select M\n select I\n imply M\nchoice\n prompt \"P\"\n \
                default A\nconfig M\n bool \"M\"\nendchoice\nconfig I\n int \"I\"\nchoice\n prompt \
                \"Empty\"\nendchoice\n";
    assert_eq!(
        flaws(text),
        [
            "3 select-member A",
            "4 select-kind A",
            "5 select-member A",
            "8 choice-default P",
            "14 choice-empty Empty",
        ]
    );
}

#[test]
fn selecting_past_a_dependency_is_told_with_both_sides() {
    let text = "config A\n bool \"A\"\n select B\nconfig B\n bool \"B\"\n depends on C\nconfig C\n \
                bool \"C\"\n";
    for dialect in [Dialect::CONF, Dialect::KCONFIGLIB] {
        let kconfig = kconfig(text, dialect);
        let mut configuration = kconfig.evaluate();
        assert_eq!(configuration.unmet(), []);
        configuration.set("A", "y").unwrap();
        let found = configuration.unmet();
        let [Flaw { at, subject, what: FlawKind::SelectUnmet { by, need } }] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!((at.line, subject.as_str(), by[0].symbol.as_str()), (4, "B", "A"));
        assert!(matches!(need, Need::Value(needed) if needed.symbol == "C"), "{need:?}");
        configuration.set("C", "y").unwrap();
        assert_eq!(configuration.unmet(), []);
    }
}
