//! Small projects whose configurations were written by the real tools.
//!
//! `record` made the files; see there. Each directory `conf-*` or `kconfiglib-*` is a project, and
//! in its `cases`, `N.in` is what was given and `N.config`, `N.min` and `N.h` what came back, and
//! `N.menu` the menu that was shown then.
//! `KBS_TEST_GOLDEN` names another directory of such projects to look at instead.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod explained;
mod menu;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kbs_kconfig::{Dialect, FileMap, Kconfig, Shell, ShellRefusal};

/// Answers the one command that the projects run.
struct Echo;

impl Shell for Echo {
    fn output(&self, command: &str) -> Result<String, ShellRefusal> {
        let words = command.trim().strip_prefix("echo ");
        words
            .map(|words| format!("{words}\n"))
            .ok_or_else(|| ShellRefusal { reason: "not an echo".to_owned() })
    }
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn add(map: &mut FileMap, root: &Path, dir: &Path) {
    for path in below(dir) {
        if path.is_dir() {
            add(map, root, &path);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            map.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn configurations_are_those_of_the_tools() {
    let root = std::env::var_os("KBS_TEST_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    let mut compared = 0;
    let mut tried = 0;
    let mut differences = Vec::new();
    for project in below(&root).into_iter().filter(|path| path.is_dir()) {
        let name = project.file_name().unwrap().to_str().unwrap().to_owned();
        let (dialect, endings) = if name.starts_with("conf-") {
            (Dialect::CONF, &["config", "min", "menu"][..])
        } else if name.starts_with("klipper-") {
            (Dialect::KLIPPER, &["config", "min", "h", "menu"][..])
        } else {
            (Dialect::KCONFIGLIB, &["config", "min", "h", "menu"][..])
        };
        let mut files = FileMap::default();
        add(&mut files, &project, &project);
        let env = BTreeMap::from([("GOLDEN".to_owned(), "from outside".to_owned())]);
        let kconfig = Kconfig::load("Kconfig", &files, dialect, &env, &Echo);
        let kconfig = match kconfig {
            Ok(kconfig) => kconfig,
            Err(error) => {
                differences.push(format!("{name}: {error}"));
                continue;
            }
        };
        let mut configuration = kconfig.evaluate();
        let symbols = explained::symbols(&files, kconfig.files());
        for case in below(&project.join("cases")) {
            if case.extension().is_none_or(|extension| extension != "in") {
                continue;
            }
            let text = std::fs::read_to_string(&case).unwrap();
            configuration.load(&text);
            let untrue = explained::untrue(&configuration, &symbols, &mut tried);
            differences
                .extend(untrue.into_iter().map(|text| format!("{}\n{text}", case.display())));
            for ending in endings {
                let theirs = std::fs::read_to_string(case.with_extension(ending)).unwrap();
                let ours = match *ending {
                    "config" => configuration.to_dotconfig(),
                    "min" => configuration.to_minimal(),
                    "menu" => menu::lines(&kconfig, &configuration),
                    _ => configuration.to_autoconf(),
                };
                if ours != theirs {
                    differences.push(format!(
                        "{}\n--- given\n{text}\n--- ours\n{ours}\n--- theirs\n{theirs}",
                        case.with_extension(ending).display()
                    ));
                }
                compared += 1;
            }
        }
    }
    let first = differences.iter().take(5).cloned().collect::<Vec<_>>().join("\n======\n");
    let names: Vec<_> = differences.iter().filter_map(|text| text.lines().next()).collect();
    assert!(differences.is_empty(), "{first}\n{} of {compared} differ: {names:?}", names.len());
    assert!(tried > 100, "only {tried} explanations were acted upon");
    assert!(compared > 100, "only {compared} files: this cannot be all of them");
}
