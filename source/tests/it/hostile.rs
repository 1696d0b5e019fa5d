use kbs_plan::error::Class;
use kbs_plan::error::Help as _;
use kbs_source::{
    CommitId, Existing, ItemKind, PathPatterns, ReadError, SelectError, SourceUrl, Submodules,
    SyncError,
};

use crate::fixture::{Place, Repo, git_fed, project};

/// A tree object of raw entries, with no check of any kind.
fn tree(repo: &Repo, entries: &[(&str, &[u8], &str)]) -> String {
    let mut bytes = Vec::new();
    for (mode, name, oid) in entries {
        bytes.extend(mode.as_bytes());
        bytes.push(b' ');
        bytes.extend(*name);
        bytes.push(0);
        bytes.extend(oid.parse::<CommitId>().unwrap().as_bytes());
    }
    git_fed(&repo.dir, &bytes, &["hash-object", "-t", "tree", "-w", "--stdin", "--literally"])
}

fn commit(repo: &Repo, tree: &str) -> CommitId {
    let commit = repo.git(&["commit-tree", "-m", "x", tree]);
    repo.git(&["update-ref", "refs/heads/main", &commit]);
    commit.parse().unwrap()
}

fn blob(repo: &Repo, bytes: &[u8]) -> String {
    git_fed(&repo.dir, bytes, &["hash-object", "-w", "--stdin"])
}

fn select(place: &Place, commit: CommitId, paths: &[&str]) -> Result<usize, SelectError> {
    let paths = PathPatterns::new(paths).unwrap();
    let selection = place.mirror.select(commit, &paths, Submodules::Ignore)?;
    Ok(selection.items.len())
}

#[test]
fn paths_that_could_leave_the_tree_are_refused_by_name() {
    let names: [&[u8]; 8] =
        [b"..", b".", b".git", b".GIT", b"a/b", b"/etc", b"caf\xe9", b"x\\..\\y/../z"];
    for name in names {
        let place = Place::new();
        let repo = place.repo("a");
        let oid = blob(&repo, b"1");
        let root = tree(&repo, &[("100644", name, &oid), ("100644", b"good", &oid)]);
        let commit = commit(&repo, &root);
        place.take("p", &repo);
        let shown = String::from_utf8_lossy(name).into_owned();
        let error = select(&place, commit, &[]).unwrap_err();
        let bad = matches!(error, SelectError::BadPath { .. } | SelectError::Reserved { .. });
        assert!(bad, "{shown}: {error}");
        assert_eq!(error.class(), Class::User);
        assert_eq!(select(&place, commit, &["good"]).unwrap(), 1, "{shown}");
    }
}

#[test]
fn two_entries_of_one_name_are_refused() {
    let place = Place::new();
    let repo = place.repo("a");
    let (one, two) = (blob(&repo, b"1"), blob(&repo, b"2"));
    let inner = tree(&repo, &[("100644", b"f", &one)]);
    let files = tree(&repo, &[("100644", b"f", &one), ("100644", b"f", &two)]);
    let mixed = tree(&repo, &[("100644", b"f", &one), ("40000", b"f", &inner)]);
    let (files, mixed) = (commit(&repo, &files), commit(&repo, &mixed));
    repo.git(&["tag", "files", &files.to_string()]);
    place.take("p", &repo);
    for commit in [files, mixed] {
        let error = select(&place, commit, &[]).unwrap_err();
        assert!(matches!(error, SelectError::Twice { .. }), "{error}");
    }
}

#[test]
fn a_tree_that_unfolds_without_end_is_refused_and_its_unselected_parts_cost_nothing() {
    let place = Place::new();
    let repo = place.repo("a");
    let mut oid = blob(&repo, b"1");
    let mut mode = "100644";
    let names: Vec<String> = (1000..2000).map(|n| format!("d{n}")).collect();
    for _ in 0..4 {
        let entries: Vec<_> =
            names.iter().map(|name| (mode, name.as_bytes(), oid.as_str())).collect();
        oid = tree(&repo, &entries);
        mode = "40000";
    }
    let commit = commit(&repo, &oid);
    place.take("p", &repo);
    assert_eq!(select(&place, commit, &["d1000/d1999/d1500"]).unwrap(), 1000);
    let error = select(&place, commit, &[]).unwrap_err();
    assert!(matches!(error, SelectError::TooMany { .. }), "{error}");
}

#[test]
fn links_without_a_usable_target_are_refused() {
    for target in [&b""[..], b"a\0b", b"\xff", &[b'x'; 5000]] {
        let place = Place::new();
        let repo = place.repo("a");
        let oid = blob(&repo, target);
        let commit = commit(&repo, &tree(&repo, &[("120000", b"link", &oid)]));
        place.take("p", &repo);
        let error = select(&place, commit, &[]).unwrap_err();
        assert!(matches!(error, SelectError::BadSymlink { .. }), "{error}");
    }
}

#[test]
fn a_damaged_object_is_never_handed_out() {
    let place = Place::new();
    let repo = place.repo("a");
    let text: Vec<String> = (0..4000).map(|n| (n * 7919 % 4001).to_string()).collect();
    let commit = repo.commit(&[("big", &text.join("\n"))]);
    place.take("p", &repo);
    let everything = PathPatterns::everything();
    let selection = place.mirror.select(commit, &everything, Submodules::Ignore).unwrap();
    let ItemKind::File { oid, .. } = selection.items[0].kind else { panic!() };

    // The right name, the wrong bytes: a sound loose object under the name of another.
    let other = blob(&repo, b"other").parse::<CommitId>().unwrap().to_string();
    let packs = place.store().join("objects/pack");
    std::fs::remove_dir_all(&packs).unwrap();
    std::fs::create_dir(&packs).unwrap();
    let name = oid.to_string();
    let fan = place.store().join("objects").join(&name[..2]);
    std::fs::create_dir_all(&fan).unwrap();
    let theirs = repo.dir.join(".git/objects").join(&other[..2]).join(&other[2..]);
    std::fs::copy(theirs, fan.join(&name[2..])).unwrap();

    let mirror = kbs_source::Mirror::open_or_init(&place.store()).unwrap();
    let error = mirror.read(oid).unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { .. }), "{error}");
    let error = mirror.commit_time(commit).unwrap_err();
    assert!(matches!(error, ReadError::Missing { .. }), "{error}");
}

#[test]
fn gitmodules_from_the_network_cannot_name_a_local_path_and_options_are_no_urls() {
    let place = Place::new();
    let (inner, outer) = (place.repo("inner"), place.repo("outer"));
    inner.commit(&[("secret", "1")]);
    outer.git(&["submodule", "--quiet", "add", "../inner", "in"]);
    for bad in ["--upload-pack=touch x", "ext::sh -c id", "-x", "../../../../../../../../x"] {
        let section = format!("[submodule \"in\"]\n\tpath = in\n\turl = {bad}\n");
        let commit = outer.commit(&[(".gitmodules", &section)]);
        place.add("p", &outer);
        place.sync("p");
        let error = place.mirror.sync_submodules(&project("p"), commit, &mut |_| {}).unwrap_err();
        assert!(matches!(error, SyncError::SubmoduleUrl { .. }), "{bad}: {error}");
    }
}

#[test]
fn an_url_that_is_an_option_is_no_source() {
    assert!(SourceUrl::new("--upload-pack=touch x").is_err());
    let place = Place::new();
    // Such a path exists, and is a path all the same.
    let repo = place.repo("-u; touch mark");
    repo.commit(&[("f", "1")]);
    let url = SourceUrl::new(repo.dir.to_str().unwrap()).unwrap();
    place.mirror.add(&project("p"), &url, Existing::Keep).unwrap();
    place.sync("p");
    assert!(!place.path("mark").exists() && !place.store().join("mark").exists());
}

#[test]
fn repositories_of_other_users_can_be_sources() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    for entry in [repo.dir.join(".git"), repo.dir.clone()] {
        if std::os::unix::fs::chown(entry, Some(12345), Some(12345)).is_err() {
            eprintln!("skipped: only root can give files away");
            return;
        }
    }
    place.take("p", &repo);
    assert!(place.mirror.resolve(&project("p"), "main").is_ok());
}
