//! The lists in the documents are the lists of the code.

use std::collections::BTreeSet;

use crate::{arrows, files, read, root};

/// Rooms that a document's table lists: rows that begin with a name like `plan/` in code style.
fn rooms_listed(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split_once("/` |"))
        .map(|(room, _)| room.to_owned())
        .collect()
}

#[test]
fn the_map_lists_every_room() {
    let rooms: BTreeSet<String> = arrows::rooms().map(str::to_owned).collect();
    let listed = rooms_listed(&read("README.md"));
    let missing: Vec<_> = rooms.difference(&listed).collect();
    assert!(missing.is_empty(), "README.md has no row for {missing:?}");
    for room in &listed {
        assert!(root().join(room).is_dir(), "README.md lists {room}/, which is not there");
    }
    for path in files("docs", "md") {
        let listed = rooms_listed(&read(&path));
        if !listed.is_empty() {
            let missing: Vec<_> = rooms.difference(&listed).collect();
            assert!(missing.is_empty(), "{} has no row for {missing:?}", path.display());
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = files("docs", "md");
    documents.extend(files("examples", "md"));
    documents.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(Into::into));
    for document in documents {
        for target in read(&document).split("](").skip(1).filter_map(|rest| rest.split(')').next())
        {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let from = document.parent().unwrap();
            assert!(
                root().join(from).join(path).exists(),
                "{} links to {target}, which is not there",
                document.display()
            );
        }
    }
}

#[test]
fn the_test_command_of_the_readme_is_the_one_that_runs_unattended() {
    let command = "scripts/test";
    assert!(read("README.md").lines().any(|line| line == command), "README.md says how to test");
    assert!(read(".ci/run").contains(command), ".ci/run calls {command}");
    assert!(root().join(command).is_file());
}

#[test]
fn one_toolchain_is_named_everywhere() {
    let pinned = read("rust-toolchain.toml");
    let stated = read("Cargo.toml");
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    };
    assert_eq!(value(&pinned, "channel"), format!("{}.0", value(&stated, "rust-version")));
}

#[test]
fn the_documented_spec_and_recipe_are_ones() {
    let text = read("docs/SPEC.md");
    let mut blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let (spec, recipe) = (blocks.next().unwrap(), blocks.next().unwrap());
    let spec = kbs_plan::spec::Spec::read(spec, &|_| Ok(String::new()), &str::to_owned).unwrap();
    assert_eq!(spec.resolve_recipe().unwrap().name, "klipper");
    kbs_plan::recipe::RecipePatch::parse(recipe).unwrap().finish().unwrap();
}
