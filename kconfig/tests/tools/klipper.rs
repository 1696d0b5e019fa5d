//! Klipper and Kalico, with the copies of kconfiglib in their own trees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use kbs_kconfig::{Dialect, Kconfig, NoShell};

use crate::lottery::Lottery;
use crate::{Dir, assert_same, say, tree};

/// Releases that are compared where a repository is given. Older ones have a kconfiglib that writes
/// another `autoconf.h`.
const RELEASES: [&str; 4] = ["v0.10.0", "v0.11.0", "v0.12.0", "v0.13.0"];
/// How often each configuration is changed at random.
const VARIANTS: usize = 12;

/// Does what olddefconfig.py does, many times.
const ORACLE: &str = r"
import os, sys
sys.path.insert(0, sys.argv[1])
import kconfiglib
kconf = kconfiglib.Kconfig('src/Kconfig', warn=False)
for name in sorted(os.listdir(sys.argv[2])):
    path = os.path.join(sys.argv[2], name)
    if name.endswith('.in'):
        if os.environ.get('FRESH'):
            kconf = kconfiglib.Kconfig('src/Kconfig', warn=False)
        kconf.load_config(path)
        kconf.write_config(path + '.config', save_old=False)
        kconf.write_min_config(path + '.min')
        kconf.write_autoconf(path + '.h')
";

/// A checkout: the tree itself, or what a repository has at `revision`.
pub(crate) fn checkout(given: &Path, revision: &str, scratch: &Path) -> PathBuf {
    if given.join("src/Kconfig").exists() {
        return given.to_owned();
    }
    let root = scratch.join(revision);
    std::fs::create_dir(&root).unwrap();
    let script = "git -C \"$1\" archive \"$3\" src lib/kconfiglib test/configs | tar -x -C \"$2\"";
    let status = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([given, &root])
        .arg(revision)
        .status()
        .expect("sh runs");
    assert!(status.success(), "{} is neither a checkout nor a repository", given.display());
    // Kalico's makefile writes it before anything is configured.
    let extras = root.join("src/extras");
    if std::fs::read_to_string(root.join("src/Kconfig")).unwrap().contains("src/extras/Kconfig") {
        std::fs::create_dir_all(&extras).unwrap();
        std::fs::write(extras.join("Kconfig"), "").unwrap();
    }
    root
}

pub(crate) fn load(root: &Path) -> Kconfig {
    let files = Dir(root.to_owned());
    Kconfig::load("src/Kconfig", &files, Dialect::KLIPPER, &BTreeMap::new(), &NoShell)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn olddefconfig(root: &Path, config: &Path) -> String {
    let output = Command::new("python3")
        .arg(root.join("lib/kconfiglib/olddefconfig.py"))
        .arg("src/Kconfig")
        .current_dir(root)
        .env("KCONFIG_CONFIG", config)
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(config).unwrap()
}

pub(crate) fn symbols(root: &Path) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.join("src")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with("Kconfig") {
                let text = std::fs::read_to_string(path).unwrap();
                let defined = kbs_kconfig::defined_symbols(&text);
                found.extend(defined.into_iter().map(|symbol| symbol.name.to_string()));
            }
        }
    }
    found.into_iter().collect()
}

#[test]
fn klipper_is_configured_as_klipper_configures_itself() {
    let Some(given) = tree("KBS_TEST_KLIPPER") else { return };
    let scratch = tempfile::tempdir().unwrap();
    if given.join("src/Kconfig").exists() {
        return compare(&given, "the checkout");
    }
    for revision in RELEASES.into_iter().chain(["HEAD"]) {
        compare(&checkout(&given, revision, scratch.path()), revision);
    }
}

#[test]
fn kalico_is_configured_as_kalico_configures_itself() {
    let Some(given) = tree("KBS_TEST_KALICO") else { return };
    let scratch = tempfile::tempdir().unwrap();
    compare(&checkout(&given, "HEAD", scratch.path()), "Kalico");
}

/// Compares the configurations that a tree tests itself with: as they are, with what the project's
/// own tool makes of them, reduced to what is no default, shuffled, and changed at random.
fn compare(root: &Path, name: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let kconfig = load(root);
    let symbols = symbols(root);
    let mut configs: Vec<_> = std::fs::read_dir(root.join("test/configs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "config"))
        .collect();
    configs.sort();
    let mut configuration = kconfig.evaluate();
    let mut lottery = Lottery::new(1);
    let mut inputs = vec![String::new()];
    for path in &configs {
        let text = std::fs::read_to_string(path).unwrap();
        let config = scratch.path().join("one.config");
        std::fs::write(&config, &text).unwrap();
        let theirs = olddefconfig(root, &config);
        configuration.load(&text);
        assert_same(&configuration.to_dotconfig(), &theirs, &path.display().to_string());
        let reduced = configuration.to_minimal();
        inputs.extend([lottery.shuffled(&text), lottery.shuffled(&theirs), reduced]);
        for _ in 0..VARIANTS {
            let base = if lottery.once_in(2) { &text } else { &theirs };
            inputs.push(lottery.disturb(base, &symbols));
        }
        inputs.extend([text, theirs]);
    }
    let cases = scratch.path().join("cases");
    std::fs::create_dir(&cases).unwrap();
    for (case, text) in inputs.iter().enumerate() {
        std::fs::write(cases.join(format!("{case:05}.in")), text).unwrap();
    }
    let status = Command::new("python3")
        .args(["-c", ORACLE])
        .args([&root.join("lib/kconfiglib"), &cases])
        .current_dir(root)
        .status()
        .expect("python3 runs");
    assert!(status.success());
    for (case, text) in inputs.iter().enumerate() {
        let theirs = |kind: &str| {
            std::fs::read_to_string(cases.join(format!("{case:05}.in.{kind}"))).unwrap()
        };
        configuration.load(text);
        let title = format!("{name}, case {case}:\n{text}\n");
        assert_same(&configuration.to_dotconfig(), &theirs("config"), &title);
        assert_same(&configuration.to_minimal(), &theirs("min"), &title);
        assert_same(&configuration.to_autoconf(), &theirs("h"), &title);
    }
    say(&format!("{name}: {} configurations in {} forms are equal", configs.len(), inputs.len()));
}

/// Setting symbols one by one gives what loading them all gives.
#[test]
fn what_is_set_later_is_as_if_it_had_been_loaded() {
    let Some(given) = tree("KBS_TEST_KLIPPER") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let root = checkout(&given, "HEAD", scratch.path());
    let kconfig = load(&root);
    let symbols = symbols(&root);
    let mut lottery = Lottery::new(2);
    for _ in 0..30 {
        let mut stepwise = kconfig.evaluate();
        let mut text = String::new();
        for _ in 0..60 {
            let symbol = &symbols[lottery.below(symbols.len())];
            let value = ["y", "y", "y", "n", "0x100", "77"][lottery.below(6)];
            if stepwise.set(symbol, value).is_ok() {
                let line = match value {
                    "n" => format!("# CONFIG_{symbol} is not set\n"),
                    _ if stepwise.set(symbol, "\"").is_ok() => {
                        stepwise.set(symbol, value).unwrap();
                        format!("CONFIG_{symbol}=\"{value}\"\n")
                    }
                    _ => format!("CONFIG_{symbol}={value}\n"),
                };
                text += &line;
            }
        }
        let mut at_once = kconfig.evaluate();
        at_once.load(&text);
        assert_same(&stepwise.to_dotconfig(), &at_once.to_dotconfig(), &text);
    }
}
