//! Which room may depend on which.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo;

/// Every room and the rooms it may use. A new room or a new arrow is a decision: write it here.
const ARROWS: &[(&str, &[&str])] = &[
    ("plan", &[]),
    ("kconfig", &[]),
    ("sandbox", &[]),
    ("store", &["plan"]),
    ("source", &["plan"]),
    ("image", &["plan"]),
    ("proto", &["plan"]),
    ("daemon", &["plan", "kconfig", "sandbox", "store", "source", "image", "proto"]),
    ("cli", &["plan", "kconfig", "proto", "daemon"]),
];

/// Packages that are not part of the product and may use all of it.
const FREE: &[&str] = &["testkit", "xtask"];

/// Rooms without effects, and the crates that would bring some.
const PURE: &[&str] = &["plan", "kconfig"];
const EFFECTS: &[&str] = &["tokio", "redb", "tonic", "rustix", "tracing", "gix"];

/// Package of a room.
fn package(room: &str) -> String {
    if room == "xtask" { room.to_owned() } else { format!("kbs-{room}") }
}

/// The rooms, as the table has them.
pub(crate) fn rooms() -> impl Iterator<Item = &'static str> {
    ARROWS.iter().map(|(room, _)| *room)
}

#[derive(serde::Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(serde::Deserialize)]
struct Dependency {
    name: String,
    path: Option<String>,
    kind: Option<String>,
}

fn packages() -> BTreeMap<String, Vec<Dependency>> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version=1"]);
    let metadata: Metadata =
        serde_json::from_str(&metadata).expect("cargo prints its documented form");
    metadata.packages.into_iter().map(|package| (package.name, package.dependencies)).collect()
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let free: BTreeSet<String> = FREE.iter().map(|name| package(name)).collect();
    let packages = packages();
    for (room, allowed) in ARROWS {
        let allowed: BTreeSet<String> = allowed.iter().map(|room| package(room)).collect();
        let name = package(room);
        let dependencies = packages.get(&name).unwrap_or_else(|| panic!("there is no {name}"));
        for Dependency { name: used, path, kind } in dependencies {
            let for_tests = kind.as_deref() == Some("dev") && free.contains(used);
            assert!(
                path.is_none() || allowed.contains(used) || for_tests,
                "{name} uses {used}, which the table of arrows does not let it"
            );
        }
    }
}

#[test]
fn every_package_is_in_the_table() {
    let listed: BTreeSet<String> = rooms().chain(FREE.iter().copied()).map(package).collect();
    let there: BTreeSet<String> = packages().into_keys().collect();
    assert_eq!(there, listed);
}

#[test]
fn pure_rooms_reach_no_effects() {
    for room in PURE {
        let reached = cargo(&["tree", "-p", &package(room), "-e", "normal", "--prefix=none"]);
        for line in reached.lines() {
            let krate = line.split(' ').next().unwrap_or_default();
            assert!(!EFFECTS.contains(&krate), "{room} reaches {krate}");
        }
        assert!(reached.contains("thiserror"), "this was no list of crates: {reached}");
    }
}
