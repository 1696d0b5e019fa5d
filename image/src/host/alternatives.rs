//! Debian's alternatives: links such as `/usr/bin/cc` that no package owns.

use std::fs;
use std::io;

use super::HostError;
use super::picks::{Pick, Picks, failed};
use crate::rooted::{Rooted, read_link};

const ADMIN: &str = "/var/lib/dpkg/alternatives";
const LINKS: &str = "/etc/alternatives/";

/// One name that several programs may stand behind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Alternative {
    /// The link and then its slaves: each with its name in `/etc/alternatives` and its path.
    links: Vec<(String, String)>,
    choices: Vec<Choice>,
}

/// One program that may stand behind the name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    priority: i64,
    /// Where each of the links then leads; empty where there is nothing for it.
    targets: Vec<String>,
}

/// Adds every alternative that leads to something picked.
///
/// The host's own choice stands where it is picked too; else the picked one of highest priority,
/// so that a program which the image does not hold cannot change the image.
pub(super) fn add(picks: &mut Picks) -> Result<(), HostError> {
    let alternatives = read_all(&picks.host).map_err(|source| failed(ADMIN, source))?;
    // A choice may itself be reached through another alternative: until nothing is added.
    loop {
        let before = picks.paths.len();
        for alternative in &alternatives {
            add_one(picks, alternative)?;
        }
        add_referenced(picks)?;
        if picks.paths.len() == before {
            return Ok(());
        }
    }
}

fn add_one(picks: &mut Picks, alternative: &Alternative) -> Result<(), HostError> {
    let Some((name, _)) = alternative.links.first() else { return Ok(()) };
    let current = read_link(&picks.host.full(&format!("etc/alternatives/{name}"))).ok();
    let mut choices: Vec<&Choice> =
        alternative.choices.iter().filter(|choice| picks.holds(&choice.targets[0])).collect();
    choices.sort_by_key(|choice| {
        let is_current = current.as_ref() == Some(&choice.targets[0]);
        (!is_current, std::cmp::Reverse(choice.priority), &choice.targets[0])
    });
    let Some(choice) = choices.first() else { return Ok(()) };
    for ((name, link), target) in alternative.links.iter().zip(&choice.targets) {
        if !target.is_empty() && picks.holds(target) {
            let place = picks.host.locate(link).map_err(|source| failed(link, source))?;
            let through = format!("{LINKS}{name}");
            picks.add_link(&place.path, &through)?;
            picks.add_link(through.trim_start_matches('/'), target)?;
        }
    }
    Ok(())
}

/// Adds the alternatives that picked links lead through, also where dpkg does not know of them.
fn add_referenced(picks: &mut Picks) -> Result<(), HostError> {
    let referenced: Vec<String> = picks
        .paths
        .values()
        .filter_map(|pick| match pick {
            Pick::Symlink(target) if target.starts_with(LINKS) => Some(target.clone()),
            _ => None,
        })
        .collect();
    for through in referenced {
        let path = through.trim_start_matches('/');
        if let Ok(target) = read_link(&picks.host.full(path))
            && picks.holds(&target)
        {
            picks.add_link(path, &target)?;
        }
    }
    Ok(())
}

fn read_all(host: &Rooted) -> io::Result<Vec<Alternative>> {
    let Ok(dir) = host.resolve(ADMIN) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in fs::read_dir(host.full(&dir.path))? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        if let Ok(name) = entry.file_name().into_string() {
            found.extend(parse(&name, &text).map(|alternative| (name, alternative)));
        }
    }
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found.into_iter().map(|(_, alternative)| alternative).collect())
}

/// Takes a file of dpkg's apart: mode, link, slaves as name and link up to a blank line; then for
/// each choice its path, its priority and one line for each slave, up to a blank line.
fn parse(name: &str, text: &str) -> Option<Alternative> {
    let mut lines = text.lines();
    let _mode = lines.next()?;
    let mut links = vec![(name.to_owned(), lines.next()?.to_owned())];
    while let Some(slave) = lines.next().filter(|line| !line.is_empty()) {
        links.push((slave.to_owned(), lines.next()?.to_owned()));
    }
    let mut choices = Vec::new();
    while let Some(path) = lines.next().filter(|line| !line.is_empty()) {
        let priority = lines.next()?.parse().ok()?;
        let mut targets = vec![path.to_owned()];
        for _ in 1..links.len() {
            targets.push(lines.next()?.to_owned());
        }
        choices.push(Choice { priority, targets });
    }
    Some(Alternative { links, choices })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_slaves_and_empty_ones() {
        let text = "auto\n/usr/bin/awk\nnawk\n/usr/bin/nawk\n\n/usr/bin/gawk\n10\n\n/usr/bin/mawk\n5\n/usr/bin/mawk\n\n";
        let found = parse("awk", text).unwrap();
        assert_eq!(found.links.len(), 2);
        assert_eq!(found.choices.len(), 2);
        assert_eq!(found.choices[0].targets, ["/usr/bin/gawk", ""]);
        assert_eq!(found.choices[1].targets, ["/usr/bin/mawk", "/usr/bin/mawk"]);
    }
}
