//! Programs on the host: where they are, and what those need that no package owns.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

use super::elf::{self, Machine};
use super::picks::{Picks, failed};
use super::{HostError, HostRequest};
use crate::rooted::{Resolved, Rooted};

const SYSTEM: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Linux reads no more of a script's first line.
const FIRST_LINE_MAX_B: u64 = 256;

/// Finds a program by name or absolute path, every link followed and told.
///
/// The system's directories come before `search`, so that what a user put into a path of their own
/// does not take the place of what the packages brought.
pub(super) fn find(host: &Rooted, name: &str, request: &HostRequest) -> Option<Resolved> {
    if name.contains('/') {
        return executable(host, name);
    }
    let own = request.search.iter().filter_map(|dir| dir.to_str());
    SYSTEM.into_iter().chain(own).find_map(|dir| executable(host, &format!("{dir}/{name}")))
}

fn executable(host: &Rooted, path: &str) -> Option<Resolved> {
    let found = host.resolve(path).ok()?;
    let about = host.full(&found.path).metadata().ok()?;
    (about.is_file() && about.permissions().mode() & 0o111 != 0).then_some(found)
}

/// Picks a program that no package owns, with its loader and libraries.
///
/// Returns the programs that run it, where it is a script.
pub(super) fn add_unowned(picks: &mut Picks, program: &Resolved) -> Result<Vec<String>, HostError> {
    picks.add_chain(program)?;
    let mut open = vec![(program.path.clone(), Vec::new())];
    let mut seen = BTreeSet::new();
    while let Some((path, inherited)) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let needs = elf::needs(&picks.host.full(&path)).map_err(|source| failed(&path, source))?;
        let Some(needs) = needs else { continue };
        if let Some(loader) = &needs.interpreter {
            let found = picks.host.resolve(loader).map_err(|_| HostError::NoInterpreter {
                program: path.clone(),
                interpreter: loader.clone(),
            })?;
            picks.add_chain(&found)?;
        }
        let mut search = expand_origin(&needs.search, &path);
        search.extend(inherited);
        for library in needs.libraries {
            let found = find_library(&picks.host, &library, &search, needs.machine)
                .ok_or_else(|| HostError::NoLibrary { program: path.clone(), library })?;
            picks.add_chain(&found)?;
            open.push((found.path, search.clone()));
        }
    }
    interpreters(&picks.host, &program.path).map_err(|source| failed(&program.path, source))
}

fn expand_origin(search: &[String], path: &str) -> Vec<String> {
    let origin = format!("/{}", path.rsplit_once('/').unwrap_or_default().0);
    search
        .iter()
        .map(|dir| dir.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
        .filter(|dir| dir.starts_with('/'))
        .collect()
}

/// Finds a library where the loader will, knowing neither its cache nor its configuration: an
/// image has neither.
fn find_library(
    host: &Rooted,
    name: &str,
    search: &[String],
    machine: Machine,
) -> Option<Resolved> {
    let fits = |path: &str| {
        let found = host.resolve(path).ok()?;
        let needs = elf::needs(&host.full(&found.path)).ok()??;
        (needs.machine == machine).then_some(found)
    };
    if name.contains('/') {
        return fits(name);
    }
    let multiarch = elf::multiarch_dir(machine);
    let usual = multiarch
        .into_iter()
        .flat_map(|dir| [format!("/lib/{dir}"), format!("/usr/lib/{dir}")])
        .chain(["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(str::to_owned));
    search.iter().cloned().chain(usual).find_map(|dir| fits(&format!("{dir}/{name}")))
}

/// The programs that run a script: what its first line names, and what `env` is told to find.
fn interpreters(host: &Rooted, path: &str) -> io::Result<Vec<String>> {
    let mut line = Vec::new();
    File::open(host.full(path))?.take(FIRST_LINE_MAX_B).read_to_end(&mut line)?;
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let Some(rest) = line.strip_prefix(b"#!") else { return Ok(Vec::new()) };
    let line = String::from_utf8_lossy(rest);
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return Ok(Vec::new()) };
    let found = match first.rsplit_once('/') {
        Some((_, "env")) => words.find(|word| !word.starts_with('-') && !word.contains('=')),
        _ => None,
    };
    Ok([Some(first), found].into_iter().flatten().map(str::to_owned).collect())
}
