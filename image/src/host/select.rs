//! Chooses what of the host goes into an image.

use std::collections::{BTreeMap, BTreeSet};

use super::dpkg::{PackageId, Packages, owners};
use super::picks::{Picks, failed};
use super::programs::{add_unowned, find};
use super::{HostError, HostRequest, alternatives};
use crate::request::Progress;
use crate::rooted::{Resolved, Rooted};

/// The paths to take, and the packages that most of them are from.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(super) picks: Picks,
    pub(crate) packages: BTreeMap<String, String>,
}

impl Selection {
    /// Chooses what `request` needs.
    ///
    /// A program that a package owns brings that package, what it depends on and recommends, and
    /// what Debian calls essential. Any other brings its file, its loader and its libraries.
    ///
    /// # Errors
    /// [`HostError`].
    pub(crate) fn of(
        request: &HostRequest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, HostError> {
        let host = Rooted::new(&request.root);
        let packages = Packages::read(&host).map_err(|source| failed("var/lib/dpkg", source))?;
        let packages = packages.unwrap_or_default();
        let mut picks = Picks::new(host);
        picks.add_skeleton()?;

        let mut direct = named_packages(&packages, request, progress)?;
        let mut open = named_programs(&picks.host, request, progress)?;
        let mut seen = BTreeSet::new();
        while !open.is_empty() {
            let owned = owners_of(&picks.host, &packages, &open)?;
            for program in std::mem::take(&mut open) {
                if !seen.insert(program.path.clone()) {
                    continue;
                }
                if owned.contains_key(&program.path) {
                    let links = program.links.iter().map(|(path, _)| path);
                    let steps = links.chain([&program.path]);
                    direct.extend(steps.filter_map(|path| owned.get(path)).cloned());
                    picks.add_chain(&program)?;
                    continue;
                }
                for interpreter in add_unowned(&mut picks, &program)? {
                    let found = find(&picks.host, &interpreter, request);
                    open.push(found.ok_or_else(|| HostError::NoInterpreter {
                        program: program.path.clone(),
                        interpreter,
                    })?);
                }
            }
        }

        let closure = if direct.is_empty() { BTreeSet::new() } else { packages.closure(&direct) };
        for id in &closure {
            let files = id.files(&picks.host);
            for path in files.map_err(|source| failed("var/lib/dpkg/info", source))? {
                picks.add(&path)?;
            }
        }
        alternatives::add(&mut picks)?;
        Ok(Self { picks, packages: packages.versions_of(&closure) })
    }
}

fn named_packages(
    packages: &Packages,
    request: &HostRequest,
    progress: &mut dyn FnMut(Progress),
) -> Result<BTreeSet<PackageId>, HostError> {
    let mut found = BTreeSet::new();
    for name in &request.packages {
        let id = packages.named(name);
        found.insert(id.ok_or_else(|| HostError::NoPackage { name: name.clone() })?);
    }
    for name in &request.optional_packages {
        match packages.named(name) {
            Some(id) => drop(found.insert(id)),
            None => progress(Progress::Absent { name: name.clone() }),
        }
    }
    Ok(found)
}

fn named_programs(
    host: &Rooted,
    request: &HostRequest,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Resolved>, HostError> {
    let mut found = Vec::new();
    for name in &request.programs {
        let program = find(host, name, request);
        found.push(program.ok_or_else(|| HostError::NoProgram { name: name.clone() })?);
    }
    for name in &request.optional_programs {
        match find(host, name, request) {
            Some(program) => found.push(program),
            None => progress(Progress::Absent { name: name.clone() }),
        }
    }
    Ok(found)
}

/// Who owns each step on the way to each program, by path without links.
fn owners_of(
    host: &Rooted,
    packages: &Packages,
    programs: &[Resolved],
) -> Result<BTreeMap<String, PackageId>, HostError> {
    let steps: BTreeSet<&String> = programs
        .iter()
        .flat_map(|program| program.links.iter().map(|(path, _)| path).chain([&program.path]))
        .collect();
    let mut spellings = BTreeMap::new();
    for path in steps {
        spellings.insert(format!("/{path}"), path);
        // Packages still say `/bin/sh` where the host has merged `/bin` into `/usr/bin`.
        for top in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
            if let Some(rest) = path.strip_prefix(&format!("usr/{top}/")) {
                spellings.insert(format!("/{top}/{rest}"), path);
            }
        }
    }
    let spelled = owners(host, packages, &spellings.keys().cloned().collect());
    let spelled = spelled.map_err(|source| failed("var/lib/dpkg/info", source))?;
    Ok(spelled.into_iter().map(|(spelled, id)| (spellings[&spelled].clone(), id)).collect())
}
