use std::time::Duration;

use kbs_plan::error::{Class, Help as _};
use kbs_source::{
    Abbrev, Existing, Mirror, MirrorError, PathPatterns, ResolveError, SourceUrl, Staleness,
    Submodules, SyncError,
};

use crate::fixture::{Place, git, project, url};

#[test]
fn refs_lie_below_their_project_and_nowhere_else() {
    let place = Place::new();
    let (a, b) = (place.repo("a"), place.repo("b"));
    a.commit(&[("f", "1")]);
    a.git(&["tag", "v1"]);
    a.git(&["branch", "feature/x"]);
    a.git(&["update-ref", "refs/pull/1/head", "HEAD"]);
    b.commit(&[("f", "2")]);
    place.take("klipper", &a);
    place.take("kalico", &b);
    assert_eq!(
        place.refs_on_disk(),
        [
            "refs/heads/kalico/REMOTE_HEAD",
            "refs/heads/kalico/main",
            "refs/heads/klipper/REMOTE_HEAD",
            "refs/heads/klipper/feature/x",
            "refs/heads/klipper/main",
            "refs/tags/klipper/v1",
        ]
    );
    let names: Vec<_> = place.mirror.refs(&project("klipper")).unwrap();
    let names: Vec<_> = names.into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["HEAD", "feature/x", "main", "v1"]);
}

#[test]
fn a_sync_says_what_it_changed() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    repo.git(&["branch", "old"]);
    place.add("p", &repo);
    assert_eq!(place.sync("p").added, ["HEAD", "main", "old"]);
    assert!(place.sync("p").is_empty());

    repo.commit(&[("f", "2")]);
    repo.git(&["branch", "-D", "-q", "old"]);
    repo.git(&["tag", "v1"]);
    let synced = place.sync("p");
    assert_eq!(
        (synced.added, synced.updated, synced.removed),
        (vec!["v1".to_owned()], vec!["HEAD".to_owned(), "main".to_owned()], vec!["old".to_owned()],)
    );
}

#[test]
fn rewritten_history_and_moved_tags_are_followed() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    repo.git(&["tag", "v1"]);
    place.take("p", &repo);
    repo.git(&["checkout", "-q", "--orphan", "fresh"]);
    let new = repo.commit(&[("f", "2")]);
    repo.git(&["branch", "-M", "fresh", "main"]);
    repo.git(&["tag", "-f", "v1"]);
    place.sync("p");
    for rev in ["main", "v1", "HEAD"] {
        assert_eq!(place.mirror.resolve(&project("p"), rev).unwrap().commit, new, "{rev}");
    }
}

#[test]
fn a_branch_may_become_a_directory_of_branches_and_back() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    repo.git(&["branch", "x"]);
    place.take("p", &repo);
    for (gone, new) in [("x", "x/y"), ("x/y", "x")] {
        repo.git(&["branch", "-M", gone, "other"]);
        repo.git(&["branch", "-M", "other", new]);
        place.sync("p");
        assert!(place.mirror.resolve(&project("p"), new).is_ok(), "{new}");
        assert!(place.mirror.resolve(&project("p"), gone).is_err(), "{gone}");
    }
}

#[test]
fn remotes_without_a_head_are_synced_all_the_same() {
    let place = Place::new();
    let empty = place.repo("empty");
    place.take("empty", &empty);
    assert_eq!(place.mirror.refs(&project("empty")).unwrap(), []);

    let unborn = place.repo("unborn");
    unborn.commit(&[("f", "1")]);
    place.take("unborn", &unborn);
    unborn.git(&["symbolic-ref", "HEAD", "refs/heads/nothing"]);
    assert_eq!(place.sync("unborn").removed, ["HEAD"]);
    assert!(place.mirror.resolve(&project("unborn"), "main").is_ok());
}

#[test]
fn a_branch_called_remote_head_does_not_take_the_place_of_head() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    repo.git(&["branch", "REMOTE_HEAD"]);
    let head = repo.commit(&[("f", "2")]);
    place.take("p", &repo);
    assert_eq!(place.mirror.resolve(&project("p"), "HEAD").unwrap().commit, head);
    assert_eq!(place.mirror.is_stale(&project("p")).unwrap(), Staleness::Fresh);
}

#[test]
fn everything_can_be_read_after_the_remote_is_gone() {
    let place = Place::new();
    let repo = place.repo("a");
    let commit = repo.commit(&[("f", "1"), ("d/g", "2")]);
    place.take("p", &repo);
    std::fs::remove_dir_all(&repo.dir).unwrap();
    let p = project("p");
    let mirror = Mirror::open_or_init(&place.store()).unwrap();
    assert_eq!(mirror.resolve(&p, "main").unwrap().commit, commit);
    assert!(mirror.select(commit, &PathPatterns::everything(), Submodules::Ignore).is_ok());
    assert_eq!(mirror.is_stale(&p).unwrap(), Staleness::Unknown);

    let error = mirror.sync(&p, 1, &mut |_| {}).unwrap_err();
    assert!(matches!(error, SyncError::NotARepository { .. }), "{error}");
    assert_eq!(mirror.resolve(&p, "main").unwrap().commit, commit);
}

#[test]
fn a_local_clone_is_stale_from_its_next_commit_to_its_next_sync() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    place.add("p", &repo);
    let stale = || place.mirror.is_stale(&project("p")).unwrap();
    let steps: [&[&str]; 4] = [
        &["commit", "-q", "--allow-empty", "-m", "y"],
        &["tag", "v1"],
        &["checkout", "-q", "--detach", "HEAD~1"],
        &["branch", "-D", "-q", "main"],
    ];
    assert_eq!(stale(), Staleness::Stale);
    for step in steps {
        place.sync("p");
        assert_eq!(stale(), Staleness::Fresh, "before {step:?}");
        repo.git(step);
        assert_eq!(stale(), Staleness::Stale, "after {step:?}");
    }
    repo.git(&["pack-refs", "--all"]);
    place.sync("p");
    assert_eq!(stale(), Staleness::Fresh);
}

#[test]
fn bare_repositories_git_directories_and_linked_worktrees_are_sources() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    repo.git(&["worktree", "add", "-q", "../linked", "-b", "linked"]);
    git(&place.path(""), &["clone", "-q", "--bare", "a", "bare"]);
    for (name, path) in [("w", "linked"), ("g", "a/.git"), ("b", "bare")] {
        let url = url(&place.path(path));
        place.mirror.add(&project(name), &url, Existing::Keep).unwrap();
        place.sync(name);
        assert!(place.mirror.resolve(&project(name), "HEAD").is_ok(), "{path}");
        assert_eq!(place.mirror.is_stale(&project(name)).unwrap(), Staleness::Fresh, "{path}");
    }
    let file = SourceUrl::new(format!("file://{}", place.path("bare").display())).unwrap();
    place.mirror.add(&project("f"), &file, Existing::Keep).unwrap();
    place.sync("f");
}

#[test]
fn what_is_no_repository_is_named() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("sub/f", "1")]);
    for path in ["a/sub", "nowhere"] {
        let name = project("p");
        place.mirror.add(&name, &url(&place.path(path)), Existing::Replace).unwrap();
        let error = place.mirror.sync(&name, 1, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains(path), "{error}");
        assert_eq!(error.class(), Class::User);
    }
}

#[test]
fn an_unreachable_server_is_named_with_what_git_said() {
    let place = Place::new();
    let name = project("p");
    let url = SourceUrl::new("http://me:secret@127.0.0.1:9/x.git").unwrap();
    place.mirror.add(&name, &url, Existing::Keep).unwrap();
    let mut lines = Vec::new();
    let error = place.mirror.sync(&name, 1, &mut |line| lines.push(line.to_owned())).unwrap_err();
    let SyncError::Fetch { source, .. } = &error else { panic!("{error}") };
    assert_eq!(error.class(), Class::Environment);
    assert!(error.to_string().contains("http://***@127.0.0.1:9/x.git"), "{error}");
    assert!(!source.lines().is_empty());
    assert!(!format!("{error:?} {lines:?} {source}").contains("secret"));
}

#[test]
fn shallow_clones_are_refused_with_the_remedy() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    repo.commit(&[("f", "2")]);
    let source = format!("file://{}", repo.dir.display());
    git(&place.path(""), &["clone", "-q", "--depth=1", &source, "shallow"]);
    let name = project("p");
    place.mirror.add(&name, &url(&place.path("shallow")), Existing::Keep).unwrap();
    let error = place.mirror.sync(&name, 1, &mut |_| {}).unwrap_err();
    assert!(matches!(error, SyncError::Shallow { .. }), "{error:?}");
    assert!(error.help().unwrap().contains("--unshallow"));
}

#[test]
fn a_name_keeps_its_url_until_it_is_replaced() {
    let place = Place::new();
    let (a, b) = (place.repo("a"), place.repo("b"));
    a.commit(&[("f", "1")]);
    let newer = b.commit(&[("f", "2")]);
    place.take("p", &a);
    let p = project("p");
    place.mirror.add(&p, &url(&a.dir), Existing::Keep).unwrap();
    let error = place.mirror.add(&p, &url(&b.dir), Existing::Keep).unwrap_err();
    assert!(matches!(error, MirrorError::OtherUrl { .. }), "{error}");
    assert!(error.help().unwrap().contains("--replace"));

    place.mirror.add(&p, &url(&b.dir), Existing::Replace).unwrap();
    let error = place.mirror.resolve(&p, "main").unwrap_err();
    assert!(matches!(error, ResolveError::Mirror(MirrorError::NeverSynced { .. })), "{error}");
    place.sync("p");
    assert_eq!(place.mirror.resolve(&p, "main").unwrap().commit, newer);
}

#[test]
fn a_removed_project_leaves_no_ref_and_others_stay() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    repo.git(&["tag", "v1"]);
    place.take("p", &repo);
    place.take("pp", &repo);
    place.mirror.remove(&project("p")).unwrap();
    assert!(place.refs_on_disk().iter().all(|name| name.contains("/pp/")));
    let names: Vec<_> = place.mirror.projects().unwrap();
    assert_eq!(names.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), ["pp"]);
    let error = place.mirror.resolve(&project("p"), "v1").unwrap_err();
    assert!(error.help().unwrap().contains("`pp`"), "{error}");
}

#[test]
fn two_forks_share_one_pack() {
    let place = Place::new();
    let repo = place.repo("a");
    let text: Vec<String> = (0..2000).map(|n| (n * 7919 % 1009).to_string()).collect();
    repo.commit(&[("big", &text.join("\n"))]);
    git(&place.path(""), &["clone", "-q", "a", "fork"]);
    let fork = place.path("fork");
    std::fs::write(fork.join("new"), "x").unwrap();
    git(&fork, &["add", "-A"]);
    git(&fork, &["commit", "-q", "-m", "fork"]);

    place.take("a", &repo);
    let packs = || {
        let files = std::fs::read_dir(place.store().join("objects/pack")).unwrap();
        let files = files.map(|file| file.unwrap()).collect::<Vec<_>>();
        let packs = files.iter().filter(|f| f.path().extension().is_some_and(|e| e == "pack"));
        packs.map(|file| file.metadata().unwrap().len()).collect::<Vec<_>>()
    };
    let alone: u64 = packs().iter().sum();
    place.mirror.add(&project("fork"), &url(&fork), Existing::Keep).unwrap();
    place.sync("fork");
    place.mirror.compact().unwrap();
    let both = packs();
    assert_eq!(both.len(), 1);
    assert!(both[0] * 10 < alone * 12, "{} against {alone}", both[0]);
    assert!(place.mirror.resolve(&project("fork"), "HEAD").is_ok());
}

#[test]
fn a_handle_opened_earlier_survives_packing_by_another_process() {
    let place = Place::new();
    let repo = place.repo("a");
    let mut commits = vec![repo.commit(&[("f", "0")])];
    place.take("p", &repo);
    let reader = Mirror::open_or_init(&place.store()).unwrap();
    reader.commit_time(commits[0]).unwrap();
    for n in 1..4 {
        commits.push(repo.commit(&[("f", &n.to_string())]));
        place.sync("p");
        place.mirror.compact().unwrap();
        for &commit in &commits {
            let everything = PathPatterns::everything();
            let selection = reader.select(commit, &everything, Submodules::Ignore).unwrap();
            assert_eq!(selection.items.len(), 1);
            assert!(reader.describe(&project("p"), commit, Abbrev::Auto).is_ok());
        }
    }
}

#[test]
fn many_small_syncs_do_not_pile_up_packs() {
    let place = Place::new();
    let repo = place.repo("a");
    place.add("p", &repo);
    for n in 0..15 {
        repo.commit(&[("f", &n.to_string())]);
        place.sync("p");
    }
    let files = std::fs::read_dir(place.store().join("objects/pack")).unwrap();
    let packs =
        files.filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "pack"));
    assert!(packs.count() <= 12);
    assert_eq!(place.mirror.resolve(&project("p"), "main").unwrap().commit, repo.head());
}

#[test]
fn what_a_killed_sync_left_is_removed_by_the_next() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    place.take("p", &repo);
    let left = ["packed-refs.lock", "refs/heads/p/main.lock", "objects/pack/tmp_pack_x"];
    for path in left {
        let path = place.store().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "half").unwrap();
    }
    let newer = repo.commit(&[("f", "2")]);
    place.sync("p");
    assert_eq!(place.mirror.resolve(&project("p"), "main").unwrap().commit, newer);
    for path in left {
        assert!(!place.store().join(path).exists(), "{path}");
    }
}

// A killed sync has moved the refs and not yet written the record.
#[test]
fn readers_see_the_last_sync_that_ended() {
    let place = Place::new();
    let repo = place.repo("a");
    let old = repo.commit(&[("f", "1")]);
    place.take("p", &repo);
    let record = place.store().join("kbs/p.json");
    let before = std::fs::read(&record).unwrap();
    repo.git(&["checkout", "-q", "--orphan", "fresh"]);
    let new = repo.commit(&[("f", "2")]);
    repo.git(&["branch", "-M", "fresh", "main"]);
    place.sync("p");
    std::fs::write(&record, before).unwrap();
    let p = project("p");
    assert_eq!(place.mirror.resolve(&p, "main").unwrap().commit, old);
    // Packing would drop the old commit, so it lets the record follow first.
    place.mirror.compact().unwrap();
    assert_eq!(place.mirror.resolve(&p, "main").unwrap().commit, new);
}

#[test]
fn syncs_of_one_store_wait_for_each_other() {
    let place = Place::new();
    let repos: Vec<_> = (0..4).map(|n| place.repo(&n.to_string())).collect();
    for (n, repo) in repos.iter().enumerate() {
        repo.commit(&[("f", &n.to_string())]);
        place.add(&format!("p{n}"), repo);
    }
    std::thread::scope(|scope| {
        for n in 0..4 {
            let store = place.store();
            scope.spawn(move || {
                let mirror = Mirror::open_or_init(&store).unwrap();
                mirror.sync(&project(&format!("p{n}")), 1, &mut |_| {}).unwrap();
            });
        }
    });
    for (n, repo) in repos.iter().enumerate() {
        // Seen through a handle that was open before any of the syncs.
        let found = place.mirror.resolve(&project(&format!("p{n}")), "HEAD").unwrap();
        assert_eq!(found.commit, repo.head());
        assert!(place.mirror.commit_time(found.commit).is_ok());
    }
}

#[test]
fn openers_race_to_one_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("git");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| Mirror::open_or_init(&store).unwrap());
        }
    });
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn hooks_and_settings_of_the_store_are_not_obeyed() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    let mark = place.path("mark");
    let hook = place.store().join("hooks/reference-transaction");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", mark.display())).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.take("p", &repo);
    assert!(!mark.exists());
}

#[test]
fn the_lock_outlives_a_waiter_and_says_so() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    place.add("p", &repo);
    let held = std::fs::File::open(place.store().join("kbs/lock")).unwrap();
    held.lock().unwrap();
    let mut said = Vec::new();
    std::thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::channel();
        scope.spawn(|| {
            let mut progress = |line: &str| send.send(line.to_owned()).unwrap();
            place.mirror.sync(&project("p"), 1, &mut progress).unwrap();
            drop(send);
        });
        let first = receive.recv_timeout(Duration::from_mins(1)).unwrap();
        assert!(first.contains("waiting"), "{first}");
        held.unlock().unwrap();
        said.extend(receive.iter());
    });
    assert!(said.iter().any(|line| line.contains("main")), "{said:?}");
}
