use kbs_plan::error::{Class, Help as _};
use kbs_source::{ItemKind, PathPatterns, SelectError, Submodules, SyncError};

use crate::fixture::{Place, Repo, project};

/// `outer` holds `mid` at `lib/mid`, which holds `inner` at `in`; URLs are relative.
fn nested(place: &Place) -> (Repo, Repo, Repo) {
    let (inner, mid, outer) = (place.repo("inner"), place.repo("mid"), place.repo("outer"));
    inner.commit(&[("i.c", "inner")]);
    mid.commit(&[("m.c", "mid")]);
    mid.git(&["submodule", "--quiet", "add", "../inner", "in"]);
    mid.commit(&[]);
    outer.commit(&[("o.c", "outer")]);
    outer.git(&["submodule", "--quiet", "add", "../mid", "lib/mid"]);
    outer.commit(&[]);
    (inner, mid, outer)
}

#[test]
fn a_submodule_that_was_not_fetched_is_named_with_its_commit_and_url() {
    let place = Place::new();
    let (_inner, mid, outer) = nested(&place);
    place.take("p", &outer);
    let everything = PathPatterns::everything();
    let error = place.mirror.select(outer.head(), &everything, Submodules::Include).unwrap_err();
    let SelectError::MissingSubmodule { path, missing, url } = &error else { panic!("{error}") };
    assert_eq!((path.as_str(), *missing, url.as_str()), ("lib/mid", mid.head(), "../mid"));
    assert_eq!(error.class(), Class::NotFound);
    assert!(error.help().unwrap().contains("kbs source sync"));
    // Not needed, not missed.
    let paths = PathPatterns::new(["o.c"]).unwrap();
    assert!(place.mirror.select(outer.head(), &paths, Submodules::Include).is_ok());
}

#[test]
fn fetched_submodules_are_spliced_in_and_need_no_remote_any_more() {
    let place = Place::new();
    let (inner, mid, outer) = nested(&place);
    place.take("p", &outer);
    let p = project("p");
    let synced = place.mirror.sync_submodules(&p, outer.head(), &mut |_| {}).unwrap();
    let found: Vec<_> = synced.submodules.iter().map(|(p, c)| (p.as_str(), *c)).collect();
    assert_eq!(found, [("lib/mid", mid.head()), ("lib/mid/in", inner.head())]);
    assert_eq!(synced.fetched, 2);
    for repo in [&inner, &mid] {
        std::fs::remove_dir_all(&repo.dir).unwrap();
    }
    assert_eq!(place.mirror.sync_submodules(&p, outer.head(), &mut |_| {}).unwrap().fetched, 0);

    let everything = PathPatterns::everything();
    let all = place.mirror.select(outer.head(), &everything, Submodules::Include).unwrap();
    let paths: Vec<_> = all.items.iter().map(|item| item.path.as_str()).collect();
    assert_eq!(
        paths,
        [".gitmodules", "lib/mid/.gitmodules", "lib/mid/in/i.c", "lib/mid/m.c", "o.c"]
    );
    assert_eq!(all.submodules.len(), 2);
    let paths = PathPatterns::new(["lib/*/in/*.c"]).unwrap();
    let some = place.mirror.select(outer.head(), &paths, Submodules::Include).unwrap();
    assert_eq!(some.items.len(), 1);
}

#[test]
fn left_out_submodules_are_empty_directories_whatever_their_commit() {
    let place = Place::new();
    let (_inner, mid, outer) = nested(&place);
    let before = outer.head();
    let newer = mid.commit(&[("m.c", "newer")]);
    let sub = outer.dir.join("lib/mid");
    crate::fixture::git(&sub, &["fetch", "-q"]);
    crate::fixture::git(&sub, &["checkout", "-q", &newer.to_string()]);
    let after = outer.commit(&[]);
    place.take("p", &outer);
    let paths = PathPatterns::new(["lib"]).unwrap();
    let of = |commit| place.mirror.select(commit, &paths, Submodules::Ignore).unwrap();
    assert_eq!(of(before).items[0].kind, ItemKind::Directory);
    assert_eq!(of(before).items[0].path.as_str(), "lib/mid");
    assert_ne!(before, after);
    assert_eq!(of(before).id, of(after).id);
}

#[test]
fn a_later_sync_and_packing_keep_submodules_and_removal_takes_them() {
    let place = Place::new();
    let (_inner, _mid, outer) = nested(&place);
    place.take("p", &outer);
    let commit = outer.head();
    place.mirror.sync_submodules(&project("p"), commit, &mut |_| {}).unwrap();
    outer.commit(&[("o.c", "2")]);
    place.sync("p");
    place.mirror.compact().unwrap();
    let everything = PathPatterns::everything();
    assert!(place.mirror.select(commit, &everything, Submodules::Include).is_ok());
    let kept = place.refs_on_disk();
    assert_eq!(kept.iter().filter(|name| name.starts_with("refs/heads/p.sub.")).count(), 2);
    place.mirror.remove(&project("p")).unwrap();
    assert_eq!(place.refs_on_disk(), Vec::<String>::new());
}

#[test]
fn a_submodule_commit_that_its_repository_lacks_is_an_error() {
    let place = Place::new();
    let (inner, _mid, outer) = nested(&place);
    inner.git(&["checkout", "-q", "--orphan", "fresh"]);
    inner.commit(&[("i.c", "rewritten")]);
    inner.git(&["branch", "-M", "fresh", "main"]);
    inner.git(&["reflog", "expire", "--expire=now", "--all"]);
    inner.git(&["gc", "-q", "--prune=now"]);
    place.take("p", &outer);
    let error = place.mirror.sync_submodules(&project("p"), outer.head(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, SyncError::Submodule { source: None, .. }), "{error:?}");
}
