//! What the source files may contain.

use std::path::{Path, PathBuf};

use crate::{arrows, files, read};

/// Lines of a file that are not its tests.
const LONGEST_FILE: usize = 600;

/// The one directory that may use the language's unchecked half.
const UNSAFE_HOME: &str = "sandbox/src/sys";

fn sources() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = arrows::rooms()
        .chain(["xtask", "tests/support"])
        .flat_map(|room| files(Path::new(room).join("src"), "rs"))
        .collect();
    found.retain(|path| !is_tests(path));
    assert!(found.len() > 20, "this cannot be all of them: {found:?}");
    found
}

/// A module of tests in a file of its own.
fn is_tests(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests")
        || path.components().any(|part| part.as_os_str() == "tests")
            && !path.starts_with("tests/support")
}

/// The file down to its tests, which come last.
fn without_tests(text: &str) -> &str {
    let start = text
        .match_indices("#[cfg(test)]\nmod ")
        .find(|(at, _)| text[..*at].ends_with('\n') && !declares_a_file(&text[*at..]));
    start.map_or(text, |(at, _)| &text[..at])
}

/// `#[cfg(test)] mod tests;` may stand at the top.
fn declares_a_file(text: &str) -> bool {
    text.lines().nth(1).is_some_and(|line| line.ends_with(';'))
}

#[test]
fn no_file_outgrows_its_reader() {
    for path in sources() {
        let lines = without_tests(&read(&path)).lines().count();
        assert!(
            lines < LONGEST_FILE,
            "{} has {lines} lines without its tests; split it",
            path.display()
        );
    }
}

#[test]
fn unchecked_code_has_one_home() {
    let mut at_home = 0;
    for path in sources() {
        let text = read(&path);
        let uses = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or_default();
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"]
                .iter()
                .any(|form| code.contains(form))
        });
        if path.starts_with(UNSAFE_HOME) {
            at_home += usize::from(uses);
        } else {
            assert!(!uses, "{} has unsafe code; it belongs in {UNSAFE_HOME}", path.display());
        }
    }
    assert!(at_home > 0, "{UNSAFE_HOME} has none: has it moved?");
}

#[test]
fn names_say_what_belongs() {
    for path in sources() {
        for part in path.iter().filter_map(|part| part.to_str()) {
            let stem = part.trim_end_matches(".rs");
            for empty in ["util", "utils", "common", "manager", "misc"] {
                assert_ne!(stem, empty, "{}: say what is in it", path.display());
            }
        }
    }
}

#[test]
fn every_recipe_is_built_in() {
    let listed: Vec<String> = kbs_plan::recipe::builtin_names().map(str::to_owned).collect();
    let there: Vec<String> = files("recipes", "toml")
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(listed, there);
}
