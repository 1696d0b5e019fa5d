//! The menus of Klipper and Linux, as their own tools show them.

use std::path::Path;
use std::process::Command;

use crate::lottery::Lottery;
use crate::{assert_same, klipper, linux, say, shown, tree};

const VARIANTS: usize = 160;

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[test]
fn klippers_menu_is_what_its_own_tool_shows() {
    let Some(given) = tree("KBS_TEST_KLIPPER") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let root = klipper::checkout(&given, "HEAD", scratch.path());
    let kconfig = klipper::load(&root);
    let symbols = klipper::symbols(&root);
    let mut texts = vec![String::new()];
    for entry in std::fs::read_dir(root.join("test/configs")).unwrap() {
        texts.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    texts.sort();
    let configs = texts.len();
    let mut lottery = Lottery::new(4);
    for _ in 0..VARIANTS {
        let base = lottery.below(configs);
        let text = lottery.disturb(&texts[base], &symbols);
        texts.push(text);
    }
    let cases = tempfile::tempdir().unwrap();
    let path = |case: usize, ending: &str| cases.path().join(format!("{case:03}.{ending}"));
    let mut command = Command::new("python3");
    command.arg(golden("menu.py")).arg(root.join("lib/kconfiglib")).args(["src/Kconfig", ".menu"]);
    for (case, text) in texts.iter().enumerate() {
        std::fs::write(path(case, "in"), text).unwrap();
        command.arg(path(case, "in"));
    }
    assert!(command.current_dir(&root).status().expect("python3 runs").success());
    let mut configuration = kconfig.evaluate();
    let mut lines = 0;
    for (case, text) in texts.iter().enumerate() {
        configuration.load(text);
        let theirs = std::fs::read_to_string(path(case, "menu")).unwrap();
        assert_same(&shown::lines(&kconfig, &configuration), &theirs, &format!("{case}:\n{text}"));
        lines += theirs.lines().count();
    }
    say(&format!("{} menus with {lines} lines are equal", texts.len()));
}

#[test]
fn linuxs_menu_is_what_its_own_tool_shows() {
    let Some(mut linux) = linux::linux("x86") else { return };
    let built = linux.root.join("scripts/kconfig");
    let program = linux.scratch.path().join("menu");
    let parts =
        ["confdata", "expr", "lexer.lex", "menu", "parser.tab", "preprocess", "symbol", "util"];
    let status = Command::new("gcc")
        .arg("-o")
        .args([&program])
        .arg("-I")
        .args([&built, &golden("menu.c")])
        .args(parts.map(|part| built.join(format!("{part}.o"))))
        .status()
        .expect("gcc runs");
    assert!(status.success());
    let kconfig = linux.load();
    linux.answer(&kconfig);
    let mut configuration = kconfig.evaluate();
    let defconfig = linux.root.join("arch/x86/configs/x86_64_defconfig");
    let mut texts = vec![std::fs::read_to_string(defconfig).unwrap()];
    for mode in ["--allnoconfig", "--allyesconfig", "--allmodconfig"] {
        texts.push(linux.conf(mode, &[], None));
    }
    for seed in 1..=2 {
        let seed = seed.to_string();
        texts.push(linux.conf("--randconfig", &[("KCONFIG_SEED", &seed)], None));
    }
    let mut lines = 0;
    for (case, text) in texts.iter().enumerate() {
        // What follows from itself is the same for all who read it.
        let text = linux.conf("--olddefconfig", &[], Some(text));
        let config = linux.scratch.path().join("given");
        std::fs::write(&config, &text).unwrap();
        let output = Command::new(&program)
            .arg("Kconfig")
            .arg(&config)
            .current_dir(&linux.root)
            .env_clear()
            .envs(&linux.env)
            .envs(linux.answered.iter().cloned())
            .output()
            .unwrap();
        assert!(output.status.success());
        let theirs = String::from_utf8_lossy(&output.stdout);
        configuration.load(&text);
        // `DEBUG_INFO_BTF` could stand below the symbol before it, which depends on what it depends
        // on itself and on a `y` that a macro left: for `conf` that `y` is one condition more.
        let quirk = "    . symbol|Generate BTF type information|";
        let ours = shown::lines(&kconfig, &configuration).replace(quirk, &quirk.replace(". ", ""));
        assert_same(&ours, &theirs, &format!("case {case}"));
        lines += theirs.lines().count();
    }
    say(&format!("{} menus with {lines} lines are equal", texts.len()));
}
