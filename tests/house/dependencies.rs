//! What is linked in: `deny.toml`, checked from the lock file and without cargo-deny.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{cargo, read};

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    #[serde(default)]
    deny_multiple_versions: bool,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    source: Option<String>,
}

fn deny() -> Deny {
    toml::from_str(&read("deny.toml")).expect("deny.toml has the form of cargo-deny")
}

fn lock() -> Vec<Locked> {
    let lock: Lock = toml::from_str(&read("Cargo.lock")).expect("cargo wrote it");
    assert!(lock.package.len() > 100, "this cannot be the whole lock file");
    lock.package
}

#[test]
fn banned_crates_are_not_linked() {
    let mut versions = BTreeMap::new();
    for Locked { name, .. } in lock() {
        *versions.entry(name).or_insert(0) += 1;
    }
    for Ban { name, deny_multiple_versions } in deny().bans.deny {
        let most = i32::from(deny_multiple_versions);
        let found = versions.get(&name).copied().unwrap_or(0);
        assert!(found <= most, "{name} is in the lock file {found} times, {most} are allowed");
    }
}

#[test]
fn every_crate_comes_from_the_registry() {
    for Locked { name, source } in lock() {
        let is_fine = source.as_deref().is_none_or(|source| source.starts_with("registry+"));
        assert!(is_fine, "{name} comes from {source:?}");
    }
}

#[test]
fn every_licence_is_allowed() {
    let allowed = deny().licenses.allow;
    let form = ["tree", "--workspace", "-e", "normal,build", "--prefix=none", "--format={l};{p}"];
    let mut seen = 0;
    for line in cargo(&form).lines().filter(|line| !line.is_empty()) {
        let (licence, package) = line.split_once(';').expect("the format has one");
        assert!(is_allowed(licence, &allowed), "{package}: {licence}");
        seen += 1;
    }
    assert!(seen > 100, "this cannot be all of them");
}

/// Reads licence expressions whose `AND` is outermost; `/` is the old way to write `OR`.
fn is_allowed(licence: &str, allowed: &BTreeSet<String>) -> bool {
    let licence = licence.replace('/', " OR ");
    licence.split(" AND ").all(|choice| {
        let choice = choice.trim().trim_start_matches('(').trim_end_matches(')');
        choice.split(" OR ").any(|name| allowed.contains(name.trim()))
    })
}

#[test]
fn expressions_are_read_as_written() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Zlib".to_owned()]);
    for (licence, expected) in [
        ("MIT", true),
        ("Apache-2.0/MIT", true),
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 OR Apache-2.0", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(licence, &allowed), expected, "{licence}");
    }
}
