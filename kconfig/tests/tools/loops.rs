//! Finds loops in the text of random projects, whatever can come of them.

use std::collections::{BTreeMap, BTreeSet};

/// Names of symbols and choices.
type Names = BTreeSet<String>;

/// A block, and what has to be known for everything in it.
#[derive(Default)]
struct Block {
    needs: Names,
    choice: Option<String>,
}

#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    /// What the properties that follow are about; nothing if that is the last block.
    entry: Option<String>,
    needs: BTreeMap<String, Names>,
    /// By symbol: what selects it, and under which conditions.
    selects: BTreeMap<String, Names>,
    /// By choice.
    members: BTreeMap<String, Names>,
}

/// Whether a tool looks at what selects a member of a choice, which changes nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SelectedMembers {
    Seen,
    Ignored,
}

/// Whether something is mentioned in what it is made of itself, over any number of steps, also
/// where its value cannot depend on that: a tool that looks at values while it decides them comes
/// upon what it has not decided.
pub(crate) fn has_loop(kconfig: &str, selected_members: SelectedMembers) -> bool {
    let mut reader = Reader::default();
    for line in kconfig.lines() {
        reader.line(line);
    }
    let Reader { mut needs, selects, members, .. } = reader;
    let all: Names = members.values().flatten().cloned().collect();
    for (target, by) in selects {
        if selected_members == SelectedMembers::Seen || !all.contains(&target) {
            needs.entry(target).or_default().extend(by);
        }
    }
    for (choice, members) in members {
        let all: Names = members.iter().flat_map(|member| needs[member].clone()).collect();
        needs.entry(choice.clone()).or_default().extend(all.into_iter().filter(|n| *n != choice));
    }
    // What needs nothing that is left is in no loop.
    loop {
        let left: Names = needs.keys().cloned().collect();
        needs.retain(|_, needs| !needs.is_disjoint(&left));
        if needs.len() == left.len() {
            return !left.is_empty();
        }
    }
}

impl Reader {
    fn line(&mut self, line: &str) {
        let statement = line.trim_start();
        let (word, rest) = statement.split_once(' ').unwrap_or((statement, ""));
        if line.starts_with('\t') {
            self.property(word, rest);
            return;
        }
        match word {
            "config" | "menuconfig" => {
                let around = self.around();
                self.needs.entry(rest.to_owned()).or_default().extend(around);
                if let Some(choice) = self.blocks.iter().rev().find_map(|b| b.choice.clone()) {
                    self.members.entry(choice).or_default().insert(rest.to_owned());
                }
                self.entry = Some(rest.to_owned());
            }
            "choice" => {
                let name = format!("choice {}", self.needs.len());
                let around = self.around();
                self.needs.insert(name.clone(), around);
                self.blocks.push(Block { needs: [name.clone()].into(), choice: Some(name) });
                self.entry = None;
            }
            "if" | "menu" => {
                self.blocks.push(Block { needs: mentions(rest), choice: None });
                self.entry = None;
            }
            "endif" | "endmenu" | "endchoice" => {
                self.blocks.pop();
            }
            "comment" => self.entry = Some("comment".to_owned()),
            _ => {}
        }
    }

    fn around(&self) -> Names {
        self.blocks.iter().flat_map(|block| block.needs.iter().cloned()).collect()
    }

    fn property(&mut self, word: &str, rest: &str) {
        let told = mentions(rest);
        let Some(block) = self.blocks.last_mut() else { return self.of_entry(word, rest, told) };
        match (&self.entry, &block.choice) {
            (Some(_), _) => self.of_entry(word, rest, told),
            (None, None) => block.needs.extend(told),
            (None, Some(choice)) => {
                // A member that is the default is one in any case.
                let condition = rest.split_once(" if ").map_or("", |(_, condition)| condition);
                let told = if word == "default" { mentions(condition) } else { told };
                self.needs.entry(choice.clone()).or_default().extend(told);
            }
        }
    }

    fn of_entry(&mut self, word: &str, rest: &str, told: Names) {
        let Some(entry) = self.entry.clone() else { return };
        if matches!(word, "select" | "imply") {
            let target = rest.split(' ').next().unwrap().to_owned();
            let condition = rest.split_once(" if ").map_or("", |(_, condition)| condition);
            let by = self.selects.entry(target).or_default();
            by.insert(entry);
            by.extend(mentions(condition));
        } else {
            self.needs.entry(entry).or_default().extend(told);
        }
    }
}

/// The symbols that a condition or value names.
fn mentions(text: &str) -> Names {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_symbol =
        |word: &&str| word.strip_prefix('S').is_some_and(|number| number.parse::<u32>().is_ok());
    words.filter(is_symbol).map(str::to_owned).collect()
}
