//! The user's configuration: data for Kconfig, never text for make, and never silently another one.

use kbs_testkit::{FxSpec, Repo, fx};

use crate::lab::{Answer, Lab, edit, fx_that_also, read, with_programs};

/// `fx` that lists its source directory into an artifact.
fn fx_that_lists() -> Repo {
    fx_that_also(&["ls -a . >out/fx.ls"])
}

/// Its spec.
fn listing(repo: &Repo) -> FxSpec {
    with_programs(repo, &["ls", "touch"]).edit("\"fx.txt\"]", "\"fx.txt\", \"fx.ls\"]")
}

const HOSTILE: &str = "CONFIG_NAME=\"me\"\n$(shell touch /build/src/PWNED)\nCONFIG_SLEEP=$(shell touch /build/src/PWNED)\n\
     PWNED := $(shell touch PWNED)\nall: PWNED\n\ttouch PWNED\ninclude /etc/passwd\n\
     # CONFIG_FAIL is not set $(shell touch PWNED)\n";

#[track_caller]
fn is_harmless(answer: &Answer) {
    let path = answer.output().path;
    let listed = read(path.join("fx.ls"));
    assert!(listed.contains("Makefile") && !listed.contains("PWNED"), "{listed}");
    let seen = read(path.join("fx.bin"));
    assert!(!seen.contains('$') && !seen.contains("PWNED"), "{seen}");
    assert!(seen.contains("CONFIG_NAME=\"me\""), "{seen}");
}

#[track_caller]
fn warns_of(answer: &Answer, origin: &str) {
    let warnings = answer.notices("drift");
    for (line, text) in [(2, "$(shell touch /build/src/PWNED)"), (3, "CONFIG_SLEEP="), (5, "all:")]
    {
        let head = format!("{origin}, line {line}:");
        let named = |warning: &&String| warning.starts_with(&head) && warning.contains(text);
        assert_eq!(warnings.iter().filter(named).count(), 1, "{head} {text} in {warnings:#?}");
    }
}

#[test]
fn lines_of_make_in_a_configuration_file_have_no_effect_and_are_named() {
    let (lab, repo) = (Lab::new(), fx_that_lists());
    std::fs::write(lab.dir().join("my.config"), HOSTILE).unwrap();
    let spec = listing(&repo).config_table("file = 'my.config'");
    let answer = lab.realize(&spec, &["--json"]).done();
    is_harmless(&answer);
    warns_of(&answer, "my.config");
    let again = lab.realize(&spec, &[]).done();
    again.telling(&["warning: my.config, line 2", "without effect"]);
}

#[test]
fn lines_of_make_in_an_inline_configuration_have_no_effect_and_are_named() {
    let (lab, repo) = (Lab::new(), fx_that_lists());
    let spec = listing(&repo).config_table(&format!("inline = '''\n{HOSTILE}'''"));
    let answer = lab.realize(&spec, &["--json"]).done();
    is_harmless(&answer);
    warns_of(&answer, "inline");
}

#[test]
fn lines_of_make_in_a_fragment_have_no_effect_and_are_named() {
    let (lab, repo) = (Lab::new(), fx_that_lists());
    std::fs::write(lab.dir().join("part.config"), HOSTILE).unwrap();
    let spec = listing(&repo).config_table("inline = ''\nfragments = ['part.config']");
    let answer = lab.realize(&spec, &["--json"]).done();
    is_harmless(&answer);
    warns_of(&answer, "part.config");
}

#[test]
fn lines_of_make_in_a_defconfig_of_the_tree_have_no_effect() {
    let (lab, repo) = (Lab::new(), fx_that_lists());
    repo.write("configs/b_defconfig", HOSTILE).commit("a defconfig");
    let spec = listing(&repo).config_table("defconfig = 'b'");
    let answer = lab.realize(&spec, &["--json"]).done();
    is_harmless(&answer);
    warns_of(&answer, "configs/b_defconfig of the project");
}

#[test]
fn a_string_that_make_would_expand_is_refused_with_its_line() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    let inline = spec.clone().config("CONFIG_SLEEP=0").config("CONFIG_NAME=\"$(shell id)\"");
    let answer = lab.realize(&inline, &[]).left(2);
    answer.telling(&["NAME", "line 2", "inline", "`$`"]);
    let set = spec.config_table("set = { NAME = 'a${HOME}' }");
    lab.realize(&set, &[]).left(2).telling(&["NAME", "config.set", "`$`"]);
    assert!(lab.ls(&[]).is_empty());
}

#[test]
fn later_parts_of_a_configuration_win_and_one_configuration_has_one_key() {
    let (lab, repo) = (Lab::new(), fx());
    std::fs::write(lab.dir().join("my.config"), "CONFIG_NAME=\"file\"\nCONFIG_SLEEP=0\n").unwrap();
    std::fs::write(lab.dir().join("part.config"), "CONFIG_NAME=\"part\"\n").unwrap();
    let name = |table: &str| {
        let spec = FxSpec::new(&repo).config_table(table);
        let built = lab.realize(&spec, &["--json"]).done().output();
        (read(built.path.join("fx.txt")).lines().next().unwrap().to_owned(), built.key)
    };
    assert_eq!(name("file = 'my.config'").0, "name: file");
    assert_eq!(name("file = 'my.config'\nfragments = ['part.config']").0, "name: part");
    let all = "file = 'my.config'\nfragments = ['part.config']\nset = { NAME = 'set' }";
    assert_eq!(name(all).0, "name: set");
    assert_eq!(name("set = { NAME = 'set' }").1, name(all).1);
    assert_eq!(name("defconfig = 'a'").0, "name: a");
    assert_eq!(name("defconfig = 'a'").1, name("defconfig = 'a_defconfig'").1);
    assert_eq!(name("defconfig = 'a'").1, name("inline = 'CONFIG_NAME=\"a\"'").1);
    assert_eq!(lab.ls(&[]).len(), 4);
}

/// `fx` with two versions, between which machine A got another symbol.
fn fx_that_moved_on() -> Repo {
    let repo = fx();
    edit(&repo, "Kconfig", "MACH_A", "MACH_FX1000");
    repo.commit("machine A is one of a kind");
    repo.tag("v2.0");
    edit(&repo, "Kconfig", "MACH_FX1000", "MACH_FX1XXX");
    edit(&repo, "Kconfig", "\tdefault MACH_FX1XXX\n", "\tdefault MACH_B\n");
    repo.commit("machine A is one of a family");
    repo
}

#[test]
fn a_configuration_that_comes_to_mean_another_device_is_refused_with_both_values() {
    let (lab, repo) = (Lab::new(), fx_that_moved_on());
    let old = FxSpec::new(&repo).config("CONFIG_MACH_FX1000=y").config("CONFIG_MCU=\"a\"");
    lab.realize(&old.clone().rev("v2.0"), &[]).done();
    let answer = lab.realize(&old, &[]).left(2);
    let answer = answer.telling(&[
        "another device",
        "CONFIG_MACH_FX1000: asked y, is not there",
        "CONFIG_MCU: asked \"a\", is \"b\"",
        "set CONFIG_MACH_FX1XXX",
        "--accept-drift MACH_FX1000 --accept-drift MCU",
    ]);
    assert_eq!(answer.out, "");
    assert_eq!(lab.ls(&[]).len(), 1);

    let one = lab.realize(&old, &["--accept-drift", "MACH_FX1000"]).left(2);
    one.telling(&["CONFIG_MCU: asked"]).not_telling(&["CONFIG_MACH_FX1000: asked"]);
    let both = ["--accept-drift", "MACH_FX1000", "--accept-drift", "CONFIG_MCU"];
    let path = lab.realize(&old, &both).done().path();
    assert!(read(path.join("fx.bin")).contains("CONFIG_MCU=\"b\""));
    let repaired = FxSpec::new(&repo).config("CONFIG_MACH_FX1XXX=y").config("CONFIG_MCU=\"a\"");
    let path = lab.realize(&repaired, &[]).done().path();
    assert!(read(path.join("fx.bin")).contains("CONFIG_MCU=\"a\""));
    lab.realize(&old, &[]).left(2);
}

#[test]
fn the_drift_that_is_accepted_may_stand_in_the_spec() {
    let (lab, repo) = (Lab::new(), fx_that_moved_on());
    let table = "inline = 'CONFIG_MACH_FX1000=y'\naccept-drift = ['MACH_FX1000']";
    lab.realize(&FxSpec::new(&repo).config_table(table), &[]).done();
}

#[test]
fn a_lesser_change_of_the_configuration_is_a_warning() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).config("CONFIG_SLEEP=5000").config("CONFIG_GONE=y");
    for _ in 0..2 {
        let answer = lab.realize(&spec, &[]).done();
        let answer = answer.telling(&["warning: CONFIG_SLEEP: asked 5000, is 0"]);
        answer.telling(&["warning: CONFIG_GONE: asked y, is not there"]);
    }
    // What nobody can set is no news when it changes.
    let repo = fx();
    edit(&repo, "Kconfig", "config NAME", "config HIDDEN\n\tint\n\tdefault 7\n\nconfig NAME");
    repo.commit("a hidden symbol");
    let spec = FxSpec::new(&repo).config("CONFIG_HIDDEN=6").config("CONFIG_MCU=\"a\"");
    lab.realize(&spec, &[]).done().not_telling(&["warning"]);
}

#[test]
fn a_build_that_rewrites_its_configuration_is_told_of() {
    let repo = fx_that_also(&["echo CONFIG_NAME=\\\"other\\\" >>.config"]);
    let lab = Lab::new();
    let answer = lab.realize(&FxSpec::new(&repo), &[]).done();
    answer.telling(&["warning: the build changed CONFIG_NAME from \"fx\" to \"other\""]);
    let key = lab.ls(&[])[0]["key"].as_str().unwrap().to_owned();
    let shown = lab.run(["show", &key]).done().out;
    assert!(shown.contains("the build changed CONFIG_NAME"), "{shown}");
}

#[test]
fn the_normalised_configuration_can_be_seen_before_anything_is_built() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = lab.write(&FxSpec::new(&repo).config("CONFIG_NAME=\"me\""));
    let shown = lab.run(["plan".as_ref(), spec.as_os_str(), "--show-config".as_ref()]).done().out;
    assert!(
        shown.contains("CONFIG_NAME=\"me\"\n") && shown.contains("CONFIG_MACH_A=y\n"),
        "{shown}"
    );
    let path = lab.run(["realize".as_ref(), spec.as_os_str()]).done().path();
    assert!(read(path.join("fx.bin")).ends_with(&shown));
}
