//! Kconfig files that nobody means well with: each is an error or a model, never a crash.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use kbs_kconfig::{Dialect, FileMap, Kconfig, LoadError, NoShell};
use proptest::prelude::*;

fn load_files(files: &[(&str, String)], dialect: Dialect) -> Result<Kconfig, LoadError> {
    let files: FileMap = files.iter().cloned().collect();
    Kconfig::load("Kconfig", &files, dialect, &BTreeMap::new(), &NoShell)
}

fn load(text: impl Into<String>) -> Result<Kconfig, LoadError> {
    load_files(&[("Kconfig", text.into())], Dialect::KCONFIGLIB)
}

fn message(text: impl Into<String>) -> String {
    load(text).map(|_| ()).unwrap_err().to_string()
}

/// What `make` gives for each number below `count`.
fn lines(count: usize, make: impl Fn(usize) -> String) -> String {
    (0..count).map(make).collect()
}

#[test]
fn errors_name_the_line() {
    for (text, expected) in [
        ("config A\n  bool\nnonsense B\n", "Kconfig:3:1: `nonsense` is no statement"),
        ("config A\n  depends on (B\n", "Kconfig:2:15: the line ends where `)` should be"),
        ("config A\n  default \"x\n", "Kconfig:2:11: the text in quotes never ends"),
        ("if A\nconfig B\n", "Kconfig:1:1: `endif` is missing in this file"),
        ("menu \"M\"\nendif\n", "Kconfig:2:1: `endif` closes nothing"),
        ("source \"no\"\n", "cannot read no, which Kconfig:1:1 asks for: no such file in the tree"),
        (
            "source \"/etc/passwd\"\n",
            "cannot read /etc/passwd, which Kconfig:1:1 asks for: it is outside the tree",
        ),
        (
            "source \"../x\"\n",
            "cannot read ../x, which Kconfig:1:1 asks for: it is outside the tree",
        ),
        ("source \"Kconfig\"\n", "Kconfig:1:1: Kconfig is being read already: it sources itself"),
        ("config A\n  bool\n  help\n", ""),
        ("X := $(shell,id)\n", "Kconfig:1:1: cannot run `id`"),
        (
            "config A\n  bool\n  default B\nconfig B\n  def_bool A\n",
            "Kconfig:1:1: A depends on itself: A -> B -> A",
        ),
        ("bool\n", "Kconfig:1:1: `bool` is no statement, or belongs to nothing here"),
    ] {
        match load(text) {
            Ok(_) => assert_eq!(expected, "", "{text}"),
            Err(error) => assert_eq!(error.to_string(), expected, "{text}"),
        }
    }
}

#[test]
fn what_may_be_missing_is_no_error() {
    assert!(load("osource \"no\"\norsource \"a*\"\n").is_ok());
    assert!(matches!(load("source \"a*\"\n"), Err(LoadError::Missing { .. })));
}

#[test]
fn a_file_that_sources_itself_by_another_is_refused() {
    let files =
        [("Kconfig", "source \"b\"\n".to_owned()), ("b", "source \"Kconfig\"\n".to_owned())];
    let error = load_files(&files, Dialect::CONF).unwrap_err();
    assert_eq!(error.to_string(), "b:1:1: Kconfig is being read already: it sources itself");
}

#[test]
fn depth_is_an_error_and_not_a_crash() {
    for (open, close) in
        [("if A\n", "endif\n"), ("menu \"M\"\n", "endmenu\n"), ("choice\n", "endchoice\n")]
    {
        let text = open.repeat(10_000) + &close.repeat(10_000);
        assert!(message(text).contains("nested too deeply"));
    }
    let deep = format!("config A\n  default {}y{}\n", "(".repeat(100_000), ")".repeat(100_000));
    assert!(message(deep).contains("nested too deeply"));
    let inverted = format!("config A\n  bool\n  default {}y\n", "!".repeat(100_001));
    assert_eq!(load(inverted).unwrap().evaluate().value("A").unwrap(), "n");
}

#[test]
fn chains_as_long_as_the_file_are_decided() {
    let count = 20_000;
    let chain = lines(count, |n| format!("config S{n}\n  bool\n  default S{}\n", n + 1))
        + &format!("config S{count}\n  def_bool y\n");
    assert_eq!(load(chain).unwrap().evaluate().value("S0").unwrap(), "y");

    let menus = lines(count, |n| format!("config S{}\n  bool \"s\"\n  depends on S{n}\n", n + 1));
    let choice = format!("choice\n  prompt \"c\"\nconfig S0\n  bool \"s\"\n{menus}endchoice\n");
    let kconfig = load(choice).unwrap();
    let mut configuration = kconfig.evaluate();
    configuration.set("S1", "y").unwrap();
    assert_eq!(configuration.value("S1").unwrap(), "y");
    assert_eq!(configuration.value("S2").unwrap(), "n");

    let depends = format!("config A\n  bool \"a\"\n{}", "  depends on B\n".repeat(count));
    assert!(load(depends).is_ok());
    let operands = format!("config A\n  bool \"a\" if {}C\n", "B && D || ".repeat(count));
    assert!(load(operands).is_ok());
    let cycle = lines(count, |n| format!("config S{n}\n  def_bool S{}\n", (n + 1) % count));
    assert!(message(cycle).len() < 1000);
}

#[test]
fn nothing_takes_forever() {
    let start = Instant::now();
    let mut doubling = String::new();
    for n in 0..60 {
        writeln!(doubling, "v{n} = $(v{0})$(v{0})", n + 1).unwrap();
    }
    doubling += "config A\n  string\n  default \"$(v0)\"\n";
    assert!(load(doubling).is_err());
    let selects = lines(2000, |n| format!("config S{n}\n  bool \"s\"\n  select T\n"));
    let kconfig = load(selects + "config T\n  bool\n").unwrap();
    let mut configuration = kconfig.evaluate();
    for n in 0..2000 {
        configuration.set(&format!("S{n}"), "y").unwrap();
    }
    // Each member looks for itself among the others.
    let members = lines(20_000, |n| format!("config S{n}\n  bool \"s\"\n"));
    assert!(load(format!("choice\n  prompt \"c\"\n{members}endchoice\n")).is_ok());
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn large_files_are_refused() {
    let error = message("#".repeat(17 * 1024 * 1024));
    assert!(error.contains("may have 16777216 bytes"), "{error}");
}

/// Words that mean something, in no order that does.
fn soup() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "config",
        "menuconfig",
        "choice",
        "endchoice",
        "menu",
        "endmenu",
        "if",
        "endif",
        "source",
        "bool",
        "tristate",
        "int",
        "hex",
        "string",
        "default",
        "depends on",
        "select",
        "imply",
        "range",
        "visible if",
        "help",
        "option",
        "modules",
        "optional",
        "prompt",
        "comment",
        "A",
        "B",
        "MODULES",
        "\"text\"",
        "'t",
        "=",
        "!=",
        "<",
        "&&",
        "||",
        "!",
        "(",
        ")",
        "$(A)",
        "$(shell,x)",
        ":=",
        "+=",
        "\n",
        "\n",
        "\n\t",
        "\n  ",
        "\\\n",
        "#",
        "y",
        "m",
        "n",
        "0x10",
        "5",
        "é",
        "\0",
        "\r",
        "def_bool",
        "mainmenu",
    ]);
    prop::collection::vec((word, prop::bool::ANY), 0..120).prop_map(|words| {
        words.into_iter().flat_map(|(word, blank)| [word, if blank { " " } else { "" }]).collect()
    })
}

proptest! {
    #[test]
    fn no_text_crashes(text in soup(), config in soup()) {
        for dialect in [Dialect::KCONFIGLIB, Dialect::CONF] {
            if let Ok(kconfig) = load_files(&[("Kconfig", text.clone())], dialect) {
                let mut configuration = kconfig.evaluate();
                configuration.load(&config);
                configuration.load("CONFIG_A=y\nCONFIG_B=m\nCONFIG_MODULES=y\nCONFIG_A=5\nCONFIG_B=\"x\"\n");
                let written = configuration.to_dotconfig();
                configuration.to_minimal();
                configuration.to_autoconf();
                configuration.load(&written);
                prop_assert_eq!(configuration.to_dotconfig(), written);
            }
        }
    }
}

#[test]
fn a_large_condition_around_many_entries_is_refused_at_once() {
    let start = Instant::now();
    let condition = "A && B || ".repeat(50_000) + "A";
    let entries = lines(50_000, |n| format!("config S{n}\n  bool \"s\"\n  default y if A\n"));
    for open in ["if ", "menu \"m\"\n  depends on ", "choice\n  prompt \"c\" if "] {
        let close = match &open[..2] {
            "if" => "endif",
            "me" => "endmenu",
            _ => "endchoice",
        };
        let error = load(format!("{open}{condition}\n{entries}{close}\n"));
        // The prompt of a choice is no condition of what stands in it.
        assert_eq!(error.is_err(), close != "endchoice", "{close}");
    }
    let shorter = "A && B || ".repeat(2000) + "A";
    let nested = lines(200, |n| format!("if S{n} && ({shorter})\n"));
    let error = message(format!("{nested}{entries}{}", "endif\n".repeat(200)));
    assert!(error.ends_with("the conditions up to here are too many to decide"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn a_long_text_used_often_is_refused() {
    let start = Instant::now();
    let long = format!("long := {}\n", "x".repeat(900_000));
    let uses =
        lines(10_000, |n| format!("config S{n}\n  string\n  default \"$(long)$(long{n})\"\n"));
    assert!(message(format!("{long}{uses}")).contains("too much text"));
    let uses = lines(10_000, |n| format!("v{n} = $(long)\nw{n} := $(v{n})\n"));
    assert!(message(format!("{long}{uses}")).contains("too much text"));
    let dropped = lines(10_000, |_| "w := $(error-if,n,$(long))\n".to_owned());
    assert!(message(format!("{long}{dropped}")).contains("too much text"));
    let env = BTreeMap::from([("V".to_owned(), "x".repeat(1000))]);
    let files =
        [("Kconfig", format!("config A\n  string\n  default \"{}\"\n", "$V".repeat(8_000_000)))];
    let files: FileMap = files.into_iter().collect();
    let error = Kconfig::load("Kconfig", &files, Dialect::KCONFIGLIB, &env, &NoShell);
    assert!(error.unwrap_err().to_string().contains("longer than"));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn files_that_are_read_again_and_again_are_refused() {
    let start = Instant::now();
    let mut files: Vec<(String, String)> = (0..60)
        .map(|n| (format!("k{n}"), format!("source \"k{0}\"\nsource \"k{0}\"\n", n + 1)))
        .collect();
    files.push(("k60".to_owned(), String::new()));
    files.push(("Kconfig".to_owned(), "source \"k0\"\n".to_owned()));
    let files: FileMap = files.into_iter().collect();
    let error = Kconfig::load("Kconfig", &files, Dialect::CONF, &BTreeMap::new(), &NoShell);
    assert!(matches!(error, Err(LoadError::TooLarge { .. })));
    let globs = format!("osource \"{}\"\n", "*".repeat(4000)).repeat(20_000);
    let files: FileMap = (0..1000)
        .map(|n| (format!("a{n}b"), String::new()))
        .chain([("Kconfig".to_owned(), globs)])
        .collect();
    let error = Kconfig::load("Kconfig", &files, Dialect::KCONFIGLIB, &BTreeMap::new(), &NoShell);
    assert!(matches!(error, Err(LoadError::TooLarge { .. })));
    assert!(message(format!("source \"{}\"\n", "*".repeat(5000))).contains("no such file"));
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
}

#[test]
fn files_of_one_pattern_may_source_each_other() {
    let files = [
        ("Kconfig", "source \"d/*\"\n".to_owned()),
        ("d/a", "source \"d/b\"\nconfig A\n  def_bool y\n".to_owned()),
        ("d/b", "config B\n  def_bool y\n".to_owned()),
    ];
    let kconfig = load_files(&files, Dialect::KCONFIGLIB).unwrap();
    let read: Vec<&str> = kconfig.files().iter().map(|path| &**path).collect();
    assert_eq!(read, ["Kconfig", "d/a", "d/b", "d/b"]);
    let files = [
        files[0].clone(),
        ("d/a", "source \"d/b\"\n".to_owned()),
        ("d/b", "source \"d/a\"\n".to_owned()),
    ];
    assert!(matches!(
        load_files(&files, Dialect::KCONFIGLIB),
        Err(LoadError::RecursiveSource { .. })
    ));
}

#[test]
fn symbols_that_select_each_other_are_told() {
    let text = "config A\n  bool \"a\"\n  select B\nconfig B\n  bool \"b\"\n  select C\nconfig C\n  bool\n  select A\n";
    assert_eq!(message(text), "Kconfig:1:1: A depends on itself: A -> C -> B -> A");
    let count = 100_000;
    let cycle = lines(count, |n| format!("config S{n}\n  bool\n  select S{}\n", (n + 1) % count));
    let error = message(cycle);
    assert!(error.contains("…") && error.len() < 1000, "{error}");
}

#[test]
fn a_hundred_thousand_operators_are_decided() {
    let operators = "A && !B || (B != n) || C < 5 && ".repeat(25_000);
    let text = format!(
        "config A\n  bool \"a\"\nconfig B\n  bool \"b\"\nconfig C\n  int \"c\"\n\
         config D\n  bool \"d\"\n  depends on {operators}y\n  default y if {operators}A\n"
    );
    for dialect in [Dialect::KCONFIGLIB, Dialect::CONF, Dialect::BUSYBOX] {
        let kconfig = load_files(&[("Kconfig", text.clone())], dialect).unwrap();
        let mut configuration = kconfig.evaluate();
        configuration.set("A", "y").unwrap();
        assert_eq!(configuration.value("D").unwrap(), "y");
    }
}
