use std::collections::BTreeMap;

use crate::{
    Dialect, EntryId, EntryKind, FileMap, Kconfig, Listing, Menu, NoShell, SetAsked, Settable,
    Tristate,
};

const PROJECT: &str = r#"
mainmenu "Menus"
config TOP
	bool "top"
	default y
	help
	  What the top is.

	    And further in.
config BELOW
	int "below"
	depends on TOP
	range 1 8
	default 3
config PINNED
	bool "pinned"
config PIN
	bool "pin"
	select PINNED
menu "more"
	depends on TOP
choice
	prompt "one of them"
config ONE
	bool "one"
config TWO
	bool "two"
endchoice
config NAME
	string "name"
	default "x"
config HEX
	hex "hex"
	range 0x10 0x20
endmenu
comment "only without"
	depends on !TOP
"#;

fn project(text: &str, dialect: Dialect) -> Kconfig {
    let files: FileMap = [("Kconfig", text)].into_iter().collect();
    Kconfig::load("Kconfig", &files, dialect, &BTreeMap::new(), &NoShell).unwrap()
}

fn id(kconfig: &Kconfig, symbol: &str) -> EntryId {
    kconfig.entries_of(symbol)[0]
}

#[test]
fn entries_say_what_the_files_say() {
    let kconfig = project(PROJECT, Dialect::KLIPPER);
    let menu = Menu::of(&kconfig);
    assert_eq!(kconfig.entry(menu.root()).title, Some("Menus"));
    let top = id(&kconfig, "TOP");
    let entry = kconfig.entry(top);
    assert_eq!((entry.kind, entry.title), (EntryKind::Symbol, Some("top")));
    assert_eq!(entry.spot.to_string(), "Kconfig:3:1");
    assert_eq!(kconfig.help(top).unwrap(), "What the top is.\n\n  And further in.");
    assert_eq!(menu.below(top), [id(&kconfig, "BELOW")]);
    assert_eq!(menu.above(id(&kconfig, "BELOW")), Some(top));
    assert_eq!(kconfig.help(id(&kconfig, "BELOW")), None);
    assert!(kconfig.entries_of("y").is_empty() && kconfig.entries_of("NOBODY").is_empty());
}

#[test]
fn what_is_hidden_is_listed_only_on_demand() {
    let kconfig = project(PROJECT, Dialect::KLIPPER);
    let menu = Menu::of(&kconfig);
    let mut configuration = kconfig.evaluate();
    let count = |configuration: &crate::Configuration<'_>, listing| {
        configuration.list(&menu, menu.root(), listing).len()
    };
    assert_eq!(count(&configuration, Listing::Shown), 5);
    configuration.set_asked(id(&kconfig, "TOP"), "n").unwrap();
    assert_eq!(count(&configuration, Listing::Shown), 4);
    let all = configuration.list(&menu, menu.root(), Listing::All);
    assert_eq!(all.iter().filter(|row| !row.shown).count(), 2);
    assert_eq!(all[1].depth, 1);
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for dialect in [Dialect::KLIPPER, Dialect::CONF] {
        let kconfig = project(PROJECT, dialect);
        let mut configuration = kconfig.evaluate();
        let before = configuration.to_dotconfig();
        for (symbol, value, reason) in [
            ("BELOW", "9", "`9` is not possible: from 1 to 8"),
            ("BELOW", "x", "`x` is not possible: from 1 to 8"),
            ("HEX", "0x21", "`0x21` is not possible: from 0x10 to 0x20"),
            ("TOP", "m", "`m` is not possible: one of n, y"),
            ("NAME", "a\nb", "`a\\u{a}b` is not possible: a text on one line"),
            ("ONE", "n", "`n` is not possible: one of y"),
        ] {
            let refused = configuration.set_asked(id(&kconfig, symbol), value).unwrap_err();
            assert_eq!(refused.to_string(), reason);
        }
        let menu = Menu::of(&kconfig);
        let nothing = configuration.set_asked(menu.above(id(&kconfig, "NAME")).unwrap(), "y");
        assert_eq!(nothing, Err(SetAsked::Nothing));
        assert_eq!(configuration.to_dotconfig(), before);
        configuration.set_asked(id(&kconfig, "BELOW"), "8").unwrap();
        assert_eq!(configuration.value("BELOW").unwrap(), "8");
    }
}

#[test]
fn what_others_select_is_fixed() {
    let kconfig = project(PROJECT, Dialect::KLIPPER);
    let mut configuration = kconfig.evaluate();
    let pinned = id(&kconfig, "PINNED");
    let both = Settable::Logic(vec![Tristate::No, Tristate::Yes]);
    assert_eq!(configuration.setting(pinned).settable, both);
    configuration.set_asked(id(&kconfig, "PIN"), "y").unwrap();
    let setting = configuration.setting(pinned);
    assert_eq!((setting.settable, setting.floor), (Settable::Fixed, Tristate::Yes));
    assert_eq!(setting.value.as_deref(), Some("y"));
    assert_eq!(configuration.set_asked(pinned, "n"), Err(SetAsked::Fixed));
}

#[test]
fn effects_are_the_lines_that_change() {
    let kconfig = project(PROJECT, Dialect::KLIPPER);
    let before = kconfig.evaluate();
    let mut after = before.clone();
    after.set_asked(id(&kconfig, "PIN"), "y").unwrap();
    let effects = before.effects(&after);
    let told: Vec<_> = effects
        .iter()
        .map(|e| (e.symbol, e.before.as_deref().unwrap_or("-"), e.after.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(told, [("PINNED", "n", "y"), ("PIN", "n", "y")]);
    after.set_asked(id(&kconfig, "TOP"), "n").unwrap();
    let gone = before.effects(&after);
    assert!(gone.iter().any(|e| e.symbol == "BELOW" && e.after.is_none()));
    assert!(before.differs_in(&after, "TOP") && !before.differs_in(&before.clone(), "TOP"));
}

#[test]
fn what_is_forgotten_follows_from_the_files_again() {
    let kconfig = project(PROJECT, Dialect::KLIPPER);
    let menu = Menu::of(&kconfig);
    let mut configuration = kconfig.evaluate();
    let before = configuration.to_dotconfig();
    let (below, two) = (id(&kconfig, "BELOW"), id(&kconfig, "TWO"));
    configuration.set_asked(below, "5").unwrap();
    configuration.set_asked(two, "y").unwrap();
    let choice = menu.above(two).unwrap();
    assert_eq!(configuration.setting(choice).selected, Some(two));
    assert!(configuration.setting(below).by_user && configuration.setting(choice).by_user);
    assert_ne!(configuration.to_dotconfig(), before);
    configuration.forget(below);
    configuration.forget(two);
    assert_eq!(configuration.to_dotconfig(), before);
    assert!(!configuration.setting(below).by_user && !configuration.setting(choice).by_user);
}

#[test]
fn the_next_value_goes_round() {
    let text = "config MODULES\n\tbool \"m\"\n\tmodules\n\tdefault y\nconfig T\n\ttristate \"t\"\n";
    let kconfig = project(text, Dialect::CONF);
    let mut configuration = kconfig.evaluate();
    let id = id(&kconfig, "T");
    let mut seen = Vec::new();
    for _ in 0..4 {
        let next = configuration.setting(id).next().unwrap();
        configuration.set_asked(id, next.as_str()).unwrap();
        seen.push(next.as_str());
    }
    assert_eq!(seen, ["m", "y", "n", "m"]);
}

#[test]
fn a_chain_of_dependencies_is_no_danger_to_the_stack() {
    let mut text = String::from("config S0\n\tbool \"s\"\n\tdefault y\n");
    for at in 1..20_000 {
        let above = at - 1;
        let next = [
            format!("config S{at}\n\tbool \"s\"\n\tdepends on S{above}\n"),
            "\tdefault y\n".into(),
        ];
        text.extend(next);
    }
    let kconfig = project(&text, Dialect::KLIPPER);
    let menu = Menu::of(&kconfig);
    let rows = kconfig.evaluate().list(&menu, menu.root(), Listing::Shown);
    assert_eq!(rows.len(), 20_000);
}
