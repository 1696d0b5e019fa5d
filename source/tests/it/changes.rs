use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use kbs_source::{BlobOid, Change, ChangedFile, CommitId, Reach, ReadError};

use crate::fixture::{Place, Repo, git, git_fed};

fn reach(commits: usize) -> Reach {
    Reach { commits, until: Instant::now() + Duration::from_mins(1) }
}

/// The changes to files named `K…`.
fn seen(place: &Place, tip: CommitId, reach: Reach) -> Result<Vec<Change>, ReadError> {
    let mut found = Vec::new();
    let meant = |name: &[u8]| name.starts_with(b"K");
    let walked = place.mirror.changes(tip, &meant, reach, &mut |change| {
        found.push(change.clone());
        ControlFlow::Continue(())
    });
    walked.map(|()| found)
}

fn blob(repo: &Repo, rev: CommitId, path: &str) -> BlobOid {
    repo.git(&["rev-parse", &format!("{rev}:{path}")]).parse().unwrap()
}

fn commits(changes: &[Change]) -> Vec<CommitId> {
    changes.iter().map(|change| change.commit).collect()
}

#[test]
fn only_changes_to_what_is_meant_are_seen_newest_first() {
    let place = Place::new();
    let repo = place.repo("a");
    let first = repo.commit(&[("K", "1"), ("src/K", "1"), ("src/other", "1")]);
    repo.commit(&[("src/other", "2")]);
    let deep = repo.commit(&[("src/deep/Kb", "1"), ("src/K", "2")]);
    repo.git(&["rm", "-q", "K"]);
    let gone = repo.commit(&[("x", "1")]);
    repo.git(&["update-index", "--chmod=+x", "src/K"]);
    repo.git(&["commit", "-q", "-m", "mode"]);
    place.take("p", &repo);
    let found = seen(&place, repo.head(), reach(99)).unwrap();
    assert_eq!(commits(&found), [gone, deep]);
    let old = |path| Some(blob(&repo, first, path));
    let new = |path| Some(blob(&repo, deep, path));
    assert_eq!(found[0].files, [ChangedFile { before: old("K"), after: None }]);
    assert_eq!(
        found[1].files,
        [
            ChangedFile { before: old("src/K"), after: new("src/K") },
            ChangedFile { before: None, after: new("src/deep/Kb") },
        ]
    );
    assert_eq!((found[0].subject.as_str(), found[0].time_s), ("x", 1_700_000_000 + 4 * 3600));
}

#[test]
fn a_merge_is_one_change_and_the_walk_ends_where_it_is_told_to() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("K", "1")]);
    let main = repo.commit(&[("K", "2")]);
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.commit(&[("K2", "1")]);
    repo.commit(&[("K2", "2")]);
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    let merge = repo.head();
    place.take("p", &repo);
    assert_eq!(commits(&seen(&place, merge, reach(99)).unwrap()), [merge, main]);
    assert_eq!(commits(&seen(&place, merge, reach(1)).unwrap()), [merge]);
    let over = Reach { commits: 99, until: Instant::now() };
    assert_eq!(seen(&place, merge, over).unwrap(), []);
    let mut count = 0;
    let mut first = |_: &Change| {
        count += 1;
        ControlFlow::Break(())
    };
    place.mirror.changes(merge, &|_| true, reach(99), &mut first).unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_history_that_breaks_off_is_told() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("K", "1")]);
    let tip = repo.commit(&[("K", "2")]);
    place.take("p", &repo);
    let text =
        format!("tree {}\nparent {}\n", repo.git(&["rev-parse", "HEAD^{tree}"]), "1".repeat(40));
    let text = format!("{text}author a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nx\n");
    let shallow =
        git_fed(&place.store(), text.as_bytes(), &["hash-object", "-t", "commit", "-w", "--stdin"]);
    assert!(seen(&place, shallow.parse().unwrap(), reach(9)).is_err());
    assert_eq!(commits(&seen(&place, tip, reach(9)).unwrap()), [tip]);
}

#[test]
fn trees_that_name_each_other_over_and_over_take_no_longer_than_they_may() {
    let place = Place::new();
    let store = place.store();
    let tree = |entries: &str| git_fed(&store, entries.as_bytes(), &["mktree"]);
    let bomb = |word: &str| {
        let blob = git_fed(&store, word.as_bytes(), &["hash-object", "-w", "--stdin"]);
        let leaf = tree(&format!("100644 blob {blob}\tf\n"));
        (0..24).fold(leaf, |below, _| {
            let entries: Vec<_> =
                (0..16).map(|n| format!("040000 tree {below}\td{n:02}\n")).collect();
            tree(&entries.concat())
        })
    };
    let commit = |tree: &str, more: &[&str]| {
        git(&store, &[&["commit-tree", "-m", "x", tree], more].concat())
    };
    let parent = commit(&bomb("1"), &[]);
    let tip = commit(&bomb("2"), &["-p", &parent]);
    let started = Instant::now();
    let until = started + Duration::from_millis(200);
    assert_eq!(seen(&place, tip.parse().unwrap(), Reach { commits: 9, until }).unwrap(), []);
    assert!(started.elapsed() < Duration::from_secs(10));
}
