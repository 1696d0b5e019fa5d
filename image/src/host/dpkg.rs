//! What dpkg knows of the host: installed packages, what they need, and which files are theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use crate::rooted::Rooted;

const STATUS: &str = "/var/lib/dpkg/status";
const INFO: &str = "/var/lib/dpkg/info";

/// The installed packages, by name and architecture.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    installed: BTreeMap<PackageId, Package>,
    /// Names that stand for others, each with who provides it.
    provided: BTreeMap<String, BTreeSet<PackageId>>,
    native: String,
}

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PackageId {
    pub(crate) name: String,
    pub(crate) architecture: String,
}

#[derive(Debug, Default)]
struct Package {
    version: String,
    essential: bool,
    multi_arch: bool,
    /// How much Debian wants it: 0 for `required`, 4 for `extra`.
    priority: usize,
    depends: Vec<Vec<Want>>,
    recommends: Vec<Vec<Want>>,
    provides: Vec<String>,
}

/// One name in a dependency, with the architecture it insists on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Want {
    name: String,
    architecture: Option<String>,
}

impl Packages {
    /// Reads the host's database; `None` where the host has no dpkg.
    pub(crate) fn read(host: &Rooted) -> io::Result<Option<Self>> {
        let Ok(status) = host.resolve(STATUS) else { return Ok(None) };
        let text = fs::read(host.full(&status.path))?;
        Ok(Some(Self::parse(&String::from_utf8_lossy(&text))))
    }

    /// Takes the packages out of a `status` file.
    pub(crate) fn parse(status: &str) -> Self {
        let mut found = Self::default();
        for stanza in status.split("\n\n") {
            if let Some((id, package)) = parse_stanza(stanza) {
                if id.name == "dpkg" {
                    found.native.clone_from(&id.architecture);
                }
                for name in &package.provides {
                    found.provided.entry(name.clone()).or_default().insert(id.clone());
                }
                found.installed.insert(id, package);
            }
        }
        found
    }

    /// Every package as `name` or `name:architecture`, with its version.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        self.versions_of(self.installed.keys())
    }

    /// As [`Self::versions`], of these packages.
    pub(crate) fn versions_of<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a PackageId>,
    ) -> BTreeMap<String, String> {
        let shown = ids.into_iter().filter_map(|id| {
            let PackageId { name, architecture } = id;
            let foreign = architecture != "all" && *architecture != self.native;
            let label = if foreign { format!("{name}:{architecture}") } else { name.clone() };
            Some((label, self.installed.get(id)?.version.clone()))
        });
        shown.collect()
    }

    /// The installed package that a person calls `name` or `name:architecture`.
    pub(crate) fn named(&self, name: &str) -> Option<PackageId> {
        let want = parse_want(name)?;
        self.instance(&want, &self.native)
    }

    /// What `direct` packages need to work.
    ///
    /// They, what Debian calls essential, the installed recommendations of `direct`, and all that
    /// these depend on. Of alternatives the first installed one; of several that provide a name
    /// the one that Debian wants most.
    pub(crate) fn closure(&self, direct: &BTreeSet<PackageId>) -> BTreeSet<PackageId> {
        let essential = self.installed.iter().filter(|(_, package)| package.essential);
        let mut open: Vec<PackageId> = essential.map(|(id, _)| id.clone()).collect();
        for id in direct {
            open.push(id.clone());
            let recommends = self.installed.get(id).map(|package| &package.recommends);
            open.extend(
                recommends.into_iter().flatten().filter_map(|wants| self.choose(wants, id)),
            );
            open.extend(companions(&id.name).filter_map(|name| self.named(name)));
        }
        let mut closed = BTreeSet::new();
        while let Some(id) = open.pop() {
            if let Some(package) = self.installed.get(&id)
                && closed.insert(id.clone())
            {
                open.extend(package.depends.iter().filter_map(|wants| self.choose(wants, &id)));
            }
        }
        closed
    }

    fn choose(&self, wants: &[Want], for_whom: &PackageId) -> Option<PackageId> {
        let architecture = match for_whom.architecture.as_str() {
            "all" => &self.native,
            own => own,
        };
        wants.iter().find_map(|want| {
            self.instance(want, architecture).or_else(|| self.provider(&want.name))
        })
    }

    /// The package itself, of the wanted architecture if there are several.
    fn instance(&self, want: &Want, architecture: &str) -> Option<PackageId> {
        let named = |architecture: &str| PackageId {
            name: want.name.clone(),
            architecture: architecture.to_owned(),
        };
        let insisted = want.architecture.as_deref().filter(|wanted| *wanted != "any");
        if let Some(wanted) = insisted {
            let wanted = if wanted == "native" { &self.native } else { wanted };
            return Some(named(wanted)).filter(|id| self.installed.contains_key(id));
        }
        [architecture, "all", self.native.as_str()]
            .into_iter()
            .map(named)
            .find(|id| self.installed.contains_key(id))
            .or_else(|| {
                let mut others = self.installed.range(named("")..);
                let (id, package) = others.next()?;
                (id.name == want.name && package.multi_arch).then(|| id.clone())
            })
    }

    fn provider(&self, name: &str) -> Option<PackageId> {
        let providers = self.provided.get(name)?;
        providers.iter().min_by_key(|id| (self.installed[*id].priority, *id)).cloned()
    }
}

impl PackageId {
    /// The absolute paths that the package put on the host, as it spells them.
    pub(crate) fn files(&self, host: &Rooted) -> io::Result<Vec<String>> {
        let Self { name, architecture } = self;
        let lists = [format!("{name}:{architecture}"), name.clone()];
        for list in lists {
            match host.resolve(&format!("{INFO}/{list}.list")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                found => {
                    let text = fs::read(host.full(&found?.path))?;
                    return Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect());
                }
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Finds who owns each of `paths`: absolute, in every spelling that a package may use.
pub(crate) fn owners(
    host: &Rooted,
    packages: &Packages,
    paths: &BTreeSet<String>,
) -> io::Result<BTreeMap<String, PackageId>> {
    let mut found = BTreeMap::new();
    for id in packages.installed.keys() {
        let listed = match id.files(host) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            listed => listed?,
        };
        for path in listed {
            if paths.contains(&path) {
                found.entry(path).or_insert_with(|| id.clone());
            }
        }
    }
    Ok(found)
}

/// Packages without which a compiler is useless and which its package only suggests.
fn companions(package: &str) -> impl Iterator<Item = &'static str> {
    const COMPANIONS: [(&str, &str); 1] = [("gcc-avr", "avr-libc")];
    COMPANIONS.into_iter().filter(move |(whose, _)| *whose == package).map(|(_, name)| name)
}

fn parse_stanza(stanza: &str) -> Option<(PackageId, Package)> {
    let mut id = PackageId { name: String::new(), architecture: String::new() };
    let mut package = Package::default();
    let mut installed = false;
    for (field, value) in stanza.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match field {
            "Package" => value.clone_into(&mut id.name),
            "Architecture" => value.clone_into(&mut id.architecture),
            "Version" => value.clone_into(&mut package.version),
            "Status" => installed = value.ends_with(" installed"),
            "Essential" => package.essential = value == "yes",
            "Multi-Arch" => package.multi_arch = matches!(value, "foreign" | "allowed"),
            "Priority" => package.priority = rank(value),
            "Depends" | "Pre-Depends" => package.depends.extend(parse_wants(value)),
            "Recommends" => package.recommends.extend(parse_wants(value)),
            "Provides" => {
                let names = value.split(',').filter_map(parse_want);
                package.provides.extend(names.map(|want| want.name));
            }
            _ => {}
        }
    }
    (installed && !id.name.is_empty()).then_some((id, package))
}

fn rank(priority: &str) -> usize {
    const ORDER: [&str; 4] = ["required", "important", "standard", "optional"];
    ORDER.iter().position(|known| *known == priority).unwrap_or(ORDER.len())
}

/// Takes `a (>= 1) | b, c:any` apart. Versions do not matter: dpkg has seen to them.
fn parse_wants(value: &str) -> impl Iterator<Item = Vec<Want>> {
    value.split(',').map(|group| group.split('|').filter_map(parse_want).collect())
}

fn parse_want(text: &str) -> Option<Want> {
    let name = text.split_whitespace().next()?;
    let name = name.split('(').next().unwrap_or(name);
    let (name, architecture) = match name.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture.to_owned())),
        None => (name, None),
    };
    Some(Want { name: name.to_owned(), architecture })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
Package: dpkg
Essential: yes
Status: install ok installed
Priority: required
Architecture: amd64
Version: 1

Package: base-files
Essential: yes
Status: install ok installed
Architecture: amd64
Version: 12
Pre-Depends: awk

Package: gawk
Status: install ok installed
Priority: optional
Architecture: amd64
Version: 5
Provides: awk

Package: mawk
Status: install ok installed
Priority: required
Architecture: amd64
Version: 1.3
Provides: awk (= 1)

Package: cross
Status: install ok installed
Architecture: amd64
Version: 9
Depends: gone | libx (>= 2) | liby, tool:any
Recommends: newlib, missing
Description: a compiler
 Depends: trap

Package: libx
Status: install ok installed
Architecture: amd64
Version: 2
Recommends: trap

Package: libx
Status: install ok installed
Architecture: i386
Version: 2

Package: newlib
Status: install ok installed
Architecture: all
Version: 3

Package: tool
Status: install ok installed
Architecture: i386
Multi-Arch: foreign
Version: 4

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 0

Package: trap
Status: install ok installed
Architecture: all
Version: 6
";

    #[test]
    fn the_closure_takes_what_is_needed_and_no_more() {
        let packages = Packages::parse(STATUS);
        let direct = BTreeSet::from([packages.named("cross").unwrap()]);
        let closure = packages.closure(&direct);
        let names: Vec<_> = packages.versions_of(&closure).into_keys().collect();
        assert_eq!(
            names,
            ["base-files", "cross", "dpkg", "libx", "mawk", "newlib", "tool:i386"],
            "an absent alternative is passed over, the required provider is taken, only direct \
             recommendations count"
        );
    }

    #[test]
    fn names_lead_to_installed_packages_only() {
        let packages = Packages::parse(STATUS);
        assert!(packages.named("gone").is_none());
        assert_eq!(packages.named("libx").unwrap().architecture, "amd64");
        assert_eq!(packages.named("libx:i386").unwrap().architecture, "i386");
        assert!(packages.named("libx:armhf").is_none());
    }
}
