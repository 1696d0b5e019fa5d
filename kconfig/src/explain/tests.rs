//! Small projects whose reasons are known.

use std::collections::BTreeMap;

use super::*;
use crate::dialect::Dialect;
use crate::files::FileMap;
use crate::kconfig::Kconfig;
use crate::shell::NoShell;

const CHIPS: &str = r#"mainmenu "Chips"
config EXTRA
    bool "Extra options"
choice
    prompt "Family"
    default MACH_AVR
config MACH_AVR
    bool "AVR"
config MACH_STM32
    bool "STM32"
    select HAVE_USB
endchoice
if MACH_STM32
choice
    prompt "Model" if EXTRA
config MACH_F1
    bool "F1"
config MACH_F4
    bool "F4"
    select HAVE_CAN if USE_CAN
endchoice
endif
config USE_CAN
    bool
    default y if MACH_F4 && (HAVE_USB || EXTRA)
config HAVE_USB
    bool
config HAVE_CAN
    bool
config MCU
    string
    default "atmega" if MACH_AVR
    default "stm32f4" if MACH_F4
config BAUD
    int "Speed" if EXTRA
    range 10 SPEED_MAX if MACH_AVR
    default 250
config SPEED_MAX
    int
    default 100
menu "Deep things"
    visible if EXTRA
config DEEP
    bool "Deep" if !MACH_AVR
    depends on HAVE_CAN && (BAUD > 100 || NOWHERE)
endmenu
"#;

fn project(text: &str, dialect: Dialect) -> Kconfig {
    let files: FileMap = [("Kconfig", text)].into_iter().collect();
    Kconfig::load("Kconfig", &files, dialect, &BTreeMap::new(), &NoShell)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn both(text: &str, check: impl Fn(&Kconfig)) {
    for dialect in [Dialect::KCONFIGLIB, Dialect::CONF] {
        check(&project(text, dialect));
    }
}

fn explain(kconfig: &Kconfig, text: &str, symbol: &str) -> Explanation {
    let mut configuration = kconfig.evaluate();
    configuration.load(text);
    configuration.explain(symbol).unwrap()
}

/// A need on one line.
fn told(need: &Need) -> String {
    let join = |all: &[Need], word: &str| all.iter().map(told).collect::<Vec<_>>().join(word);
    match need {
        Need::All(all) => format!("({})", join(all, " and ")),
        Need::Any(all) => format!("({})", join(all, " or ")),
        Need::Never => "never".to_owned(),
        Need::Value(NeededValue { symbol, is, must, standing, through: _, follows: _ }) => {
            let must = match must {
                Must::AtLeast(value) => format!(">= {}", value.as_str()),
                Must::AtMost(value) => format!("<= {}", value.as_str()),
                Must::Compare { relation, with, with_value } => {
                    format!("{relation} {with}{}", with_value.as_deref().unwrap_or(""))
                }
            };
            format!("{symbol}={is} {must} {standing:?}")
        }
    }
}

fn obstacles(explanation: &Explanation) -> Vec<String> {
    let all = explanation.hidden.iter().flat_map(|hidden| &hidden.obstacles);
    all.map(|obstacle| {
        let Obstacle { what, at, condition: _, need } = obstacle;
        let what = format!("{what:?}");
        let what = what.split([' ', '{']).next().unwrap();
        format!("{what} {}: {}", at.line, told(need))
    })
    .collect()
}

#[test]
fn a_default_names_its_line_its_condition_and_what_made_it_hold() {
    both(CHIPS, |kconfig| {
        let seen =
            explain(kconfig, "CONFIG_EXTRA=y\nCONFIG_MACH_STM32=y\nCONFIG_MACH_F4=y\n", "MCU");
        let Cause::Default(default) = &seen.cause else { panic!("{seen:?}") };
        assert_eq!((seen.value.as_str(), default.at.line), ("stm32f4", 33));
        assert_eq!(default.condition.as_deref(), Some("MACH_F4"));
        assert_eq!(default.because, [("MACH_F4".to_owned(), "y".to_owned())]);
        assert_eq!(seen.passed.len(), 1);
        assert_eq!(told(&seen.passed[0].need), "MACH_AVR=n >= y Settable");
    });
}

#[test]
fn of_an_or_one_reason_is_enough() {
    both(CHIPS, |kconfig| {
        let seen =
            explain(kconfig, "CONFIG_EXTRA=y\nCONFIG_MACH_STM32=y\nCONFIG_MACH_F4=y\n", "USE_CAN");
        let Cause::Default(default) = &seen.cause else { panic!("{seen:?}") };
        let names: Vec<_> = default.because.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["MACH_F4", "HAVE_USB"]);
    });
}

#[test]
fn selects_are_followed_back_to_what_a_person_set() {
    both(CHIPS, |kconfig| {
        let text = "CONFIG_EXTRA=y\nCONFIG_MACH_STM32=y\nCONFIG_MACH_F4=y\n";
        let seen = explain(kconfig, text, "HAVE_CAN");
        assert_eq!((&seen.cause, seen.value.as_str()), (&Cause::Selected, "y"));
        let selects = seen.selects.unwrap();
        let [only] = &selects.chain[..] else { panic!("{selects:?}") };
        assert_eq!((only.symbol.as_str(), only.at.line), ("MACH_F4", 20));
        assert_eq!(only.condition.as_deref(), Some("USE_CAN"));
        assert_eq!(selects.origin, Origin::Choice);
    });
    let chain = "config A\n bool \"A\"\n select B\nconfig B\n bool \"B\"\n select C\n\
                 config D\n bool \"D\"\n select C\nconfig C\n bool \"C\"\n";
    both(chain, |kconfig| {
        let seen = explain(kconfig, "# comment\nCONFIG_A=y\n# CONFIG_C is not set\n", "C");
        let selects = seen.selects.unwrap();
        let names: Vec<_> = selects.chain.iter().map(|link| link.symbol.as_str()).collect();
        assert_eq!(names, ["A", "B"]);
        let asked = Asked { value: "y".into(), line: Some(2) };
        assert_eq!(selects.origin, Origin::Asked(asked));
        assert_eq!(seen.asked, Some(Asked { value: "n".into(), line: Some(3) }));
        assert_eq!(seen.cause, Cause::Selected);
    });
}

#[test]
fn a_member_of_a_choice_tells_which_one_is_on_and_why() {
    both(CHIPS, |kconfig| {
        let seen = explain(kconfig, "", "MACH_AVR");
        let Cause::Chosen(ChosenBy::Default(at)) = &seen.cause else { panic!("{seen:?}") };
        assert_eq!(at.line, 6);
        let seen = explain(kconfig, "", "MACH_STM32");
        assert_eq!(seen.cause, Cause::NotChosen { chosen: Some("MACH_AVR".into()) });
        assert_eq!(seen.hidden, []);
        let seen = explain(kconfig, "CONFIG_MACH_STM32=y\n", "MACH_STM32");
        assert!(matches!(seen.cause, Cause::Chosen(ChosenBy::Asked(_))), "{seen:?}");
        let choice = seen.choice.unwrap();
        assert_eq!(choice.title.as_deref(), Some("Family"));
        assert_eq!(choice.members, ["MACH_AVR", "MACH_STM32"]);
    });
}

#[test]
fn every_obstacle_is_told_with_its_line_and_what_it_needs() {
    both(CHIPS, |kconfig| {
        assert_eq!(
            obstacles(&explain(kconfig, "", "MACH_F4")),
            ["Choice 15: EXTRA=n >= y Settable", "If 13: MACH_STM32=n >= y Settable"]
        );
        assert_eq!(
            obstacles(&explain(kconfig, "", "DEEP")),
            [
                "PromptIf 44: MACH_AVR=y <= n Settable",
                "Depends 45: (HAVE_CAN=n >= y Derived and (BAUD=100 > 100 Hidden or \
                 NOWHERE=n >= m Undefined))",
                "VisibleIf 42: EXTRA=n >= y Settable",
            ]
        );
        let seen = explain(kconfig, "CONFIG_EXTRA=y\nCONFIG_MACH_STM32=y\n", "DEEP");
        assert_eq!(obstacles(&seen), ["Depends 45: HAVE_CAN=n >= y Derived"]);
    });
}

#[test]
fn what_only_others_decide_names_them() {
    both(CHIPS, |kconfig| {
        let seen = explain(kconfig, "CONFIG_EXTRA=y\nCONFIG_MACH_STM32=y\n", "DEEP");
        let Need::Value(needed) = &seen.hidden[0].obstacles[0].need else { panic!("{seen:?}") };
        assert_eq!(needed.through, ["MACH_F4"]);
    });
}

#[test]
fn what_only_defaults_decide_tells_what_they_need() {
    let text = "config WIDE\n bool \"Wide\"\n default y\nconfig NARROW\n def_bool y\n depends on \
                !WIDE\nconfig OLD\n bool \"Old\"\n depends on NARROW\n";
    both(text, |kconfig| {
        let seen = explain(kconfig, "", "OLD");
        let Need::Value(needed) = &seen.hidden[0].obstacles[0].need else { panic!("{seen:?}") };
        assert_eq!((needed.symbol.as_str(), needed.standing), ("NARROW", Standing::Derived));
        let follows = needed.follows.as_deref().map(told);
        assert_eq!(follows.as_deref(), Some("WIDE=y <= n Settable"));
    });
}

#[test]
fn ranges_tell_what_they_did_and_where_they_stand() {
    both(CHIPS, |kconfig| {
        let seen = explain(kconfig, "", "BAUD");
        assert_eq!(seen.value, "100");
        assert!(matches!(seen.cause, Cause::Default(_)));
        assert_eq!(seen.adjusted, Some(Adjustment::Clamped { from: "250".into() }));
        let (low, high, at) = seen.range.unwrap();
        assert_eq!((low.as_str(), high.as_str(), at.line), ("10", "100", 36));
    });
}

#[test]
fn modules_limit_and_promote() {
    let text = "config MODULES\n bool \"M\"\n modules\nconfig A\n tristate \"A\"\n\
                config B\n tristate \"B\"\n depends on A\nconfig C\n bool \"C\"\n depends on A\n\
                config D\n tristate\n default m\n";
    both(text, |kconfig| {
        let given = "CONFIG_MODULES=y\nCONFIG_A=m\nCONFIG_B=y\n";
        let seen = explain(kconfig, given, "B");
        assert_eq!((seen.value.as_str(), seen.visible), ("m", Tristate::Module));
        assert_eq!(seen.adjusted, Some(Adjustment::Cut(Tristate::Module)));
        assert_eq!(obstacles(&seen), ["Depends 8: A=m >= y Settable"]);
        assert_eq!(obstacles(&explain(kconfig, given, "C")), [""; 0]);
        let seen = explain(kconfig, "", "D");
        assert_eq!((seen.value.as_str(), seen.adjusted), ("y", Some(Adjustment::Promoted)));
    });
}

#[test]
fn implies_and_nothing_are_told_apart() {
    let text = "config A\n bool \"A\"\n imply B\nconfig B\n bool \"B\"\nconfig C\n bool \"C\"\n";
    both(text, |kconfig| {
        let seen = explain(kconfig, "CONFIG_A=y\n", "B");
        let Cause::Implied(by) = &seen.cause else { panic!("{seen:?}") };
        assert_eq!((by[0].symbol.as_str(), by[0].at.line), ("A", 3));
        assert_eq!(explain(kconfig, "CONFIG_A=y\n", "C").cause, Cause::Nothing);
    });
}

#[test]
fn consequences_are_those_of_setting_and_change_nothing() {
    both(CHIPS, |kconfig| {
        let configuration = kconfig.evaluate();
        let before = configuration.to_dotconfig();
        let found = configuration.consequences("MACH_STM32", "y").unwrap();
        let changes: Vec<_> = found
            .changes
            .iter()
            .map(|change| {
                let value = |value: &Option<String>| value.clone().unwrap_or("-".into());
                format!("{} {} {}", change.symbol, value(&change.before), value(&change.after))
            })
            .collect();
        assert_eq!(
            changes,
            ["MACH_AVR y n", "MACH_STM32 n y", "HAVE_USB n y", "MCU atmega -", "BAUD 100 250"]
        );
        assert_eq!(found.after.value, "y");
        assert_eq!(configuration.to_dotconfig(), before);
        let found = configuration.consequences("MACH_F4", "y").unwrap();
        assert_eq!((found.after.value.as_str(), found.changes.len()), ("n", 0));
        assert!(found.after.asked.is_some() && !found.after.hidden.is_empty());
        assert!(configuration.consequences("NOWHERE", "y").is_err());
    });
}

#[test]
fn definitions_tell_where_in_the_menus_they_are_and_help_is_kept() {
    let text = "mainmenu \"Top\"\nmenu \"One\"\nchoice\n prompt \"Two\"\nconfig A\n bool \"A\"\n \
                help\n  What A\n    is.\n\nconfig B\n bool \"B\"\nendchoice\nendmenu\n";
    both(text, |kconfig| {
        let seen = explain(kconfig, "", "A");
        assert_eq!(seen.definitions[0].path, ["One", "Two"]);
        assert_eq!(seen.help.as_deref(), Some("What A\n  is."));
        assert_eq!(explain(kconfig, "", "B").help, None);
    });
}

#[test]
fn symbols_that_are_not_defined_are_not_explained() {
    both(CHIPS, |kconfig| {
        assert_eq!(kconfig.evaluate().explain("NOWHERE"), None);
        assert_eq!(kconfig.evaluate().explain("y"), None);
    });
}
