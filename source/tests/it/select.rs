use std::os::unix::fs::{PermissionsExt as _, symlink};

use kbs_source::{CommitId, ItemKind, PathPatterns, Selection, Submodules};

use crate::fixture::Place;

fn select(place: &Place, commit: CommitId, paths: &[&str]) -> Selection {
    let paths = PathPatterns::new(paths).unwrap();
    place.mirror.select(commit, &paths, Submodules::Ignore).unwrap()
}

fn paths(selection: &Selection) -> Vec<&str> {
    selection.items.iter().map(|item| item.path.as_str()).collect()
}

#[test]
fn files_links_and_modes_come_as_git_has_them() {
    let place = Place::new();
    let repo = place.repo("a");
    symlink("../../etc/passwd", repo.dir.join("link")).unwrap();
    std::fs::write(repo.dir.join("run"), "#!/bin/sh\n").unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(repo.dir.join("run"), executable).unwrap();
    let commit = repo.commit(&[("d/f", "bytes")]);
    place.take("p", &repo);
    let selection = select(&place, commit, &[]);
    assert_eq!(paths(&selection), ["d/f", "link", "run"]);
    let ItemKind::File { oid, executable: false } = selection.items[0].kind else { panic!() };
    assert_eq!(place.mirror.read(oid).unwrap(), b"bytes");
    let target = "../../etc/passwd".to_owned();
    assert_eq!(selection.items[1].kind, ItemKind::Symlink { target });
    assert!(matches!(selection.items[2].kind, ItemKind::File { executable: true, .. }));
}

#[test]
fn items_are_sorted_by_their_whole_path() {
    let place = Place::new();
    let repo = place.repo("a");
    let commit = repo.commit(&[("a/z", "1"), ("a-b", "1"), ("a.c", "1"), ("a0", "1")]);
    place.take("p", &repo);
    assert_eq!(paths(&select(&place, commit, &[])), ["a-b", "a.c", "a/z", "a0"]);
}

#[test]
fn the_id_follows_the_selected_content_and_nothing_else() {
    let place = Place::new();
    let repo = place.repo("a");
    let first = repo.commit(&[("src/a", "1"), ("docs/x", "1")]);
    let beside = repo.commit(&[("docs/x", "2")]);
    let within = repo.commit(&[("src/a", "2")]);
    let back = repo.commit(&[("src/a", "1")]);
    std::fs::set_permissions(repo.dir.join("src/a"), std::fs::Permissions::from_mode(0o755))
        .unwrap();
    let mode = repo.commit(&[]);
    place.take("p", &repo);
    let id = |commit| select(&place, commit, &["src"]).id;
    assert_eq!(id(first), id(beside));
    assert_ne!(id(first), id(within));
    assert_eq!(id(first), id(back));
    assert_ne!(id(first), id(mode));
    assert_ne!(select(&place, first, &[]).id, select(&place, beside, &[]).id);
}

#[test]
fn patterns_choose_files() {
    let place = Place::new();
    let repo = place.repo("a");
    let names = ["Kconfig", "Makefile", "lib/x/include/i.h", "lib/x/x.c", "src/Kconfig", "src/m.c"];
    let commit = repo.commit(&names.map(|name| (name, name)));
    place.take("p", &repo);
    for (patterns, expected) in [
        (&["src"][..], &["src/Kconfig", "src/m.c"][..]),
        (&["**/Kconfig"], &["Kconfig", "src/Kconfig"]),
        (&["src/*.c", "Makefile"], &["Makefile", "src/m.c"]),
        (&["lib/*/include"], &["lib/x/include/i.h"]),
        (&["*"], &["Kconfig", "Makefile"]),
        (&["nowhere"], &[]),
    ] {
        assert_eq!(paths(&select(&place, commit, patterns)), expected, "{patterns:?}");
    }
}

// Changing this changes which earlier builds are found again.
#[test]
fn the_bytes_of_the_id_never_move() {
    let place = Place::new();
    let repo = place.repo("a");
    symlink("f", repo.dir.join("link")).unwrap();
    let commit = repo.commit(&[("f", "1"), ("d/g", "2")]);
    place.take("p", &repo);
    insta::assert_snapshot!(select(&place, commit, &[]).id, @"selection:4b66d8fb866beebb58b6265667935925b5ee319fbf82478d6b056c5013c63cbc");
}
