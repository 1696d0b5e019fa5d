//! What must hold for any text, for fuzzers and for what they found.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::configuration::Configuration;
use crate::dialect::{Dialect, Strings, Tool};
use crate::dotconfig::{canonical, parse};
use crate::files::FileMap;
use crate::kconfig::Kconfig;
use crate::lexer::{Lexer, Lines};
use crate::macros::Macros;
use crate::names::Names;
use crate::notation::Notation;
use crate::shell::{Shell, ShellRefusal};
use crate::spot::Spot;

/// Parts of one input: the first Kconfig file, another one, a configuration.
const SEPARATOR: char = '\x01';
const DIALECTS: [Dialect; 6] = [
    Dialect::CONF,
    Dialect::KCONFIGLIB,
    Dialect::KLIPPER,
    Dialect::U_BOOT,
    Dialect::SEABIOS,
    Dialect::BUSYBOX,
];

/// Answers each command with the command.
struct Echo;

impl Shell for Echo {
    fn output(&self, command: &str) -> Result<String, ShellRefusal> {
        Ok(command.to_owned())
    }
}

fn load(bytes: &[u8]) -> Option<(Kconfig, String)> {
    let (which, bytes) = bytes.split_first()?;
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split(SEPARATOR);
    let mut files = FileMap::default();
    files.insert("Kconfig", parts.next().unwrap_or_default());
    files.insert("b/Kconfig", parts.next().unwrap_or_default());
    let config = parts.next().unwrap_or_default().to_owned();
    let dialect = DIALECTS[usize::from(*which) % DIALECTS.len()];
    let env = BTreeMap::from([("ENV".to_owned(), "b".to_owned())]);
    let kconfig = Kconfig::load("Kconfig", &files, dialect, &env, &Echo).ok()?;
    Some((kconfig, config))
}

/// Cuts lines into tokens, in the order of the text and within their lines, or says where that is
/// impossible. Whether there are any.
pub fn lexer(bytes: &[u8]) -> bool {
    let text: Arc<str> = String::from_utf8_lossy(bytes).into();
    let env = BTreeMap::from([("ENV".to_owned(), "b".to_owned())]);
    let mut has_any = false;
    for tool in [Tool::Conf, Tool::Kconfiglib] {
        let (mut names, mut macros) = (Names::default(), Macros::new(tool, &env, &Echo));
        let (mut lines, mut last) = (Lines::new(Arc::clone(&text)), 0);
        while let Some(line) = lines.take() {
            assert!(line.number > last, "line {} after {last}", line.number);
            last = line.number;
            let at = Spot { file: "Kconfig".into(), line: line.number, column: 1 };
            let mut lexer = Lexer { tool, names: &mut names, macros: &mut macros, at };
            let mut tokens = Vec::new();
            // An error ends a line, not the text.
            drop(lexer.tokens(line.text(), 0, &mut tokens));
            assert!(tokens.is_sorted_by(|one, next| one.column < next.column));
            let width = line.text().len();
            assert!(tokens.iter().all(|token| (1..=width).contains(&(token.column as usize))));
            has_any |= !tokens.is_empty();
        }
    }
    has_any
}

/// Reads Kconfig files: they are a project or an error. Whether they are a project.
pub fn files(bytes: &[u8]) -> bool {
    load(bytes).is_some()
}

/// Reads Kconfig files and decides: what was set step by step is as if all had been decided anew.
/// Whether the files are a project.
pub fn evaluate(bytes: &[u8]) -> bool {
    let Some((kconfig, config)) = load(bytes) else { return false };
    let mut configuration = kconfig.evaluate();
    configuration.load(&config);
    write(&configuration);
    // What `conf` leaves undecided after numbers out of range.
    configuration.decide_all();
    let names: Vec<String> = kconfig
        .tree
        .symbols
        .iter()
        .filter(|symbol| !symbol.nodes.is_empty())
        .map(|symbol| kconfig.tree.names.text(symbol.name).to_string())
        .collect();
    for (round, name) in names.iter().take(40).enumerate() {
        for value in ["y", "n", "m", "12", "0x1f"].iter().cycle().skip(round % 5).take(2) {
            // Refused is as good as done.
            drop(configuration.set(name, value));
        }
        let mut anew = configuration.clone();
        anew.decide_all();
        assert_eq!(anew.values.states, configuration.values.states, "after {name}");
    }
    write(&configuration);
    true
}

fn write(configuration: &Configuration<'_>) {
    let text = configuration.to_dotconfig();
    configuration.to_minimal();
    configuration.to_autoconf();
    let mut again = configuration.clone();
    again.load(&text);
    // What was written is taken as it is, but by those that settle in several rounds.
    again.to_dotconfig();
}

/// Reads a configuration as text, and as a project takes it. Whether it sets anything.
pub fn config(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let project = "config MODULES\n  bool \"m\"\n  modules\nconfig A\n  tristate \"a\"\nconfig B\n  \
                   bool \"b\"\nconfig C\n  string \"c\"\nconfig D\n  int \"d\"\n  range 1 9 if A\nconfig \
                   E\n  hex \"e\"\nchoice\n  prompt \"f\"\nconfig F\n  bool \"f\"\nconfig G\n  bool \
                   \"g\"\nendchoice\n";
    let files: FileMap = [("Kconfig", project)].into_iter().collect();
    for dialect in DIALECTS {
        let kconfig = Kconfig::load("Kconfig", &files, dialect, &BTreeMap::new(), &Echo)
            .expect("the project is one");
        let mut configuration = kconfig.evaluate();
        configuration.load(&text);
        write(&configuration);
        configuration.merge(&text);
        write(&configuration);
    }
    let mut has_any = false;
    for strings in [Strings::Plain, Strings::Escaped] {
        let notation = Notation { strings, ..Notation::default() };
        let Ok(reading) = parse(&text, "x", &notation) else { continue };
        let written = reading.assignments.to_text();
        let again = canonical(&written, &notation).expect("what was written can be read");
        assert_eq!(again, written);
        has_any |= !reading.assignments.is_empty();
    }
    has_any
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    type Target = fn(&[u8]) -> bool;
    const TARGETS: [(&str, Target); 4] = [
        ("kconfig_lexer", lexer),
        ("kconfig_files", files),
        ("kconfig_evaluate", evaluate),
        ("kconfig_config", config),
    ];

    #[test]
    fn what_fuzzers_found_holds() {
        for (name, target) in TARGETS {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
            let mut understood = 0;
            for entry in std::fs::read_dir(dir).unwrap() {
                understood += usize::from(target(&std::fs::read(entry.unwrap().path()).unwrap()));
            }
            assert!(understood > 0, "{name}: no input means anything any more");
        }
    }
}
