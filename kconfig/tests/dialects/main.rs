//! What each tool makes of constructs that tools disagree about, as the tools themselves decided.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::collections::BTreeMap;

use kbs_kconfig::{Dialect, FileMap, Kconfig, LoadError, NoShell};

const MODULES: &str = "config MODULES\n\tbool \"modules\"\n\toption modules\n\tdefault y\n";

fn load(dialect: Dialect, text: &str) -> Result<Kconfig, LoadError> {
    let files: FileMap = [("Kconfig", text.to_owned())].into_iter().collect();
    Kconfig::load("Kconfig", &files, dialect, &BTreeMap::new(), &NoShell)
}

/// The lines about symbols other than `MODULES`.
fn lines(text: &str) -> String {
    let lines = text.lines().filter(|line| line.contains("CONFIG_") && !line.contains("MODULES"));
    lines.map(|line| line.replace("CONFIG_", "")).collect::<Vec<_>>().join(" ")
}

fn config(dialect: Dialect, text: &str, given: &str) -> String {
    let kconfig = load(dialect, text).unwrap();
    let mut configuration = kconfig.evaluate();
    configuration.load(given);
    lines(&configuration.to_dotconfig())
}

fn minimal(dialect: Dialect, text: &str, given: &str) -> String {
    let kconfig = load(dialect, text).unwrap();
    let mut configuration = kconfig.evaluate();
    configuration.load(given);
    lines(&configuration.to_minimal())
}

#[test]
fn a_number_beyond_its_range_becomes_the_end_as_each_tool_spells_it() {
    let text = "config END\n\thex \"end\"\nconfig X\n\thex\n\tdefault 0x70\n\trange 0X1 END\n";
    assert_eq!(config(Dialect::CONF, text, "CONFIG_END=07"), "END=07 X=07");
    assert_eq!(config(Dialect::U_BOOT, text, "CONFIG_END=07"), "END=07 X=0x7");
    let own = "config X\n\thex \"x\"\n\trange 0x11 X\n";
    assert_eq!(config(Dialect::SEABIOS, own, "CONFIG_X=12"), "X=12");
}

#[test]
fn what_is_implied_to_be_on_is_no_module_to_old_tools() {
    let text = format!("{MODULES}\timply X\nconfig X\n\ttristate \"x\"\n");
    assert_eq!(config(Dialect::U_BOOT, &text, "CONFIG_X=m"), "X=y");
    assert_eq!(config(Dialect::CONF, &text, "CONFIG_X=m"), "X=m");
    let text = "config A\n\tbool\n\tdefault y\n\timply X\nconfig X\n\tbool\n\tdepends on NONE\n";
    assert_eq!(config(Dialect::U_BOOT, text, ""), "A=y");
    assert_eq!(config(Dialect::CONF, text, ""), "A=y # X is not set");
}

#[test]
fn old_tools_compare_with_constants_by_letters_and_with_symbols_by_value() {
    let text = "config T\n\ttristate\nconfig H\n\thex\n\tdefault 0x3\n\
                config A\n\tbool\n\tdefault T > m\n\
                config B\n\tbool\n\tdefault H > T\n";
    assert_eq!(config(Dialect::U_BOOT, text, ""), "H=0x3 A=y B=y");
    assert_eq!(config(Dialect::CONF, text, ""), "H=0x3 B=y");
}

#[test]
fn members_of_choices_keep_what_their_defaults_say() {
    // Not chosen and not shown, so that the default decides: it is no bool there.
    let text = format!(
        "{MODULES}choice\n\tprompt \"choice\"\n\toptional\nconfig A\n\ttristate \"a\"\n\
         config B\n\ttristate \"b\" if NONE\n\tdefault m\nendchoice\n"
    );
    assert_eq!(config(Dialect::CONF, &text, "CONFIG_A=y"), "A=y B=m");
    // `m` is not `y`, though nothing else is possible without modules.
    let text = "choice\n\tprompt \"choice\"\nconfig A\n\ttristate \"a\"\n\tdefault m\nendchoice\n";
    assert_eq!(minimal(Dialect::CONF, text, ""), "A=y");
    // A bool is out of a choice of tristates that is none of one, and its default with it.
    let text = format!(
        "{MODULES}choice\n\ttristate \"choice\"\nconfig A\n\tbool \"a\"\n\tdefault y\nendchoice\n"
    );
    assert_eq!(config(Dialect::CONF, &text, ""), "");
}

#[test]
fn a_transitional_symbol_hands_its_value_on_and_is_not_written() {
    let kinds = ["bool", "tristate", "string", "hex", "int"];
    let pairs = kinds.map(|kind| {
        format!(
            "config NEW_{kind}\n\t{kind} \"new\"\n\tdefault OLD_{kind}\n\
                 if NONE\nconfig OLD_{kind}\n\t{kind}\n\ttransitional\nendif\n"
        )
    });
    let text = MODULES.to_owned() + &pairs.concat();
    let given = "CONFIG_OLD_bool=y\nCONFIG_OLD_tristate=m\nCONFIG_OLD_string=\"a\"\n\
                 CONFIG_OLD_hex=0x10\nCONFIG_OLD_int=7\n";
    let handed = "NEW_bool=y NEW_tristate=m NEW_string=\"a\" NEW_hex=0x10 NEW_int=7";
    assert_eq!(config(Dialect::CONF, &text, given), handed);
    assert_eq!(minimal(Dialect::CONF, &text, given), handed);
    let kconfig = load(Dialect::CONF, &text).unwrap();
    let mut configuration = kconfig.evaluate();
    configuration.load(given);
    assert_eq!(configuration.review(given), []);
    // What is said of the new one itself comes first.
    let given = format!("{given}# CONFIG_NEW_bool is not set\nCONFIG_NEW_int=9\n");
    let own = "# NEW_bool is not set NEW_tristate=m NEW_string=\"a\" NEW_hex=0x10 NEW_int=9";
    assert_eq!(config(Dialect::CONF, &text, &given), own);
}

#[test]
fn an_empty_help_takes_the_next_line_of_conf() {
    let entry = "config A\n\tbool \"a\"\n\thelp\n";
    for dialect in [Dialect::CONF, Dialect::U_BOOT, Dialect::SEABIOS, Dialect::BUSYBOX] {
        let text = format!("{entry}config B\n\tbool \"b\"\nconfig C\n\tbool \"c\"\n");
        assert_eq!(config(dialect, &text, ""), "# A is not set # C is not set");
        let text = format!("{entry}\nconfig B\n\tbool \"b\"\n");
        assert_eq!(config(dialect, &text, ""), "# A is not set # B is not set");
    }
    let text = format!("{entry}config B\n\tbool \"b\"\n");
    assert_eq!(config(Dialect::KCONFIGLIB, &text, ""), "# A is not set # B is not set");
}

#[test]
fn what_cannot_hold_closes_no_loop_of_conf() {
    // `conf` itself takes the first two, and others where they stand in a block around.
    for condition in ["X = m", "X != m", "Y = m && X", "!(Y != m) && !X"] {
        let text =
            format!("config Y\n\tbool\n\nconfig X\n\tbool \"x\"\n\tdepends on {condition}\n");
        assert!(load(Dialect::CONF, &text).is_ok(), "{condition}");
        assert!(
            matches!(load(Dialect::KCONFIGLIB, &text), Err(LoadError::Loop { .. })),
            "{condition}"
        );
    }
    let text = "config X\n\ttristate \"x\"\n\tdepends on X != m\n";
    assert!(matches!(load(Dialect::CONF, text), Err(LoadError::Loop { .. })));
}

#[test]
fn a_definition_that_depends_on_nothing_closes_no_loop_of_kconfiglib() {
    let again = "config X\n\tbool\n\tdepends on X\n";
    let text = format!("config A\n\tbool\n\timply X\nconfig X\n\tbool\n{again}");
    assert!(load(Dialect::KCONFIGLIB, &text).is_ok());
    let text = format!("config A\n\tbool\n\timply X\n{again}");
    assert!(matches!(load(Dialect::KCONFIGLIB, &text), Err(LoadError::Loop { .. })));
}

#[test]
fn what_follows_from_a_number_out_of_range_is_settled_by_the_oldest_tool_alone() {
    let text = "config N\n\tint \"n\"\n\trange 5 15\nconfig T\n\tstring\n\tdefault N\n";
    assert_eq!(config(Dialect::BUSYBOX, text, "CONFIG_N=5000"), "N=5 T=\"5\"");
    assert_eq!(config(Dialect::CONF, text, "CONFIG_N=5000"), "N=5 T=\"15\"");
}
