use kbs_plan::error::Help as _;
use kbs_source::{ResolveError, RevKind};

use crate::fixture::{Place, git_fed, imported_commit, project};

#[test]
fn every_spelling_of_a_revision_leads_to_its_commit() {
    let place = Place::new();
    let repo = place.repo("a");
    let first = repo.commit(&[("f", "1")]);
    repo.annotate("v1.0", 1);
    let second = repo.commit(&[("f", "2")]);
    repo.git(&["branch", "feature/x"]);
    place.take("p", &repo);
    let hex = second.to_string();
    let describe = format!("v1.0-1-g{}", &hex[..7]);
    for (rev, commit, kind) in [
        ("HEAD", second, RevKind::Head),
        ("v1.0", first, RevKind::Tag),
        ("refs/tags/v1.0", first, RevKind::Tag),
        ("main", second, RevKind::Branch),
        ("feature/x", second, RevKind::Branch),
        ("refs/heads/feature/x", second, RevKind::Branch),
        (&hex, second, RevKind::Full),
        (&hex[..12], second, RevKind::Short),
        (&describe, second, RevKind::Describe),
    ] {
        let found = place.mirror.resolve(&project("p"), rev).unwrap();
        assert_eq!((found.commit, found.kind, found.passed_over), (commit, kind, None), "{rev}");
    }
    let tag_object = repo.git(&["rev-parse", "v1.0"]);
    assert_eq!(place.mirror.resolve(&project("p"), &tag_object).unwrap().commit, first);
}

#[test]
fn expressions_are_refused_as_such() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    repo.commit(&[("f", "2")]);
    place.take("p", &repo);
    for rev in ["HEAD~1", "main^", "main@{1}", ":/x", "a..b", "--all", "", "main:f"] {
        let error = place.mirror.resolve(&project("p"), rev).unwrap_err();
        assert!(matches!(error, ResolveError::Expression { .. }), "{rev}: {error}");
    }
}

#[test]
fn a_tag_wins_over_a_branch_and_that_is_noted() {
    let place = Place::new();
    let repo = place.repo("a");
    let tagged = repo.commit(&[("f", "1")]);
    repo.git(&["tag", "both"]);
    let branch = repo.commit(&[("f", "2")]);
    repo.git(&["branch", "both", "HEAD"]);
    place.take("p", &repo);
    let found = place.mirror.resolve(&project("p"), "both").unwrap();
    assert_eq!((found.commit, found.kind), (tagged, RevKind::Tag));
    assert_eq!(found.passed_over, Some(branch));
    let found = place.mirror.resolve(&project("p"), "refs/heads/both").unwrap();
    assert_eq!(found.commit, branch);
}

#[test]
fn unknown_names_come_with_near_ones() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    repo.git(&["tag", "v0.13.0"]);
    place.take("p", &repo);
    let error = place.mirror.resolve(&project("p"), "v0.13.1").unwrap_err();
    assert_eq!(error.to_string(), "`v0.13.1` is no tag, branch or commit of project `p`");
    assert!(error.help().unwrap().contains("`v0.13.0`"));
    let error = place.mirror.resolve(&project("p"), &"0".repeat(40)).unwrap_err();
    assert!(matches!(error, ResolveError::Unknown { .. }), "{error}");
}

#[test]
fn commits_of_other_projects_and_dropped_ones_do_not_resolve() {
    let place = Place::new();
    let (a, b) = (place.repo("a"), place.repo("b"));
    a.commit(&[("f", "1")]);
    let dropped = a.commit(&[("f", "2")]);
    let foreign = b.commit(&[("f", "3")]);
    b.commit(&[("f", "4")]);
    place.take("a", &a);
    place.take("b", &b);
    a.git(&["reset", "-q", "--hard", "HEAD~1"]);
    place.sync("a");
    assert!(place.mirror.resolve(&project("b"), &foreign.to_string()).is_ok());
    for commit in [foreign, dropped] {
        for rev in [&commit.to_string()[..], &commit.to_string()[..10]] {
            let error = place.mirror.resolve(&project("a"), rev).unwrap_err();
            assert!(matches!(error, ResolveError::Unknown { .. }), "{rev}: {error}");
        }
    }
}

#[test]
fn ambiguous_digits_list_the_commits_and_nothing_else() {
    let place = Place::new();
    let repo = place.repo("a");
    // Enough commits that two of them share four digits, and as many files that share them too.
    let mut stream = String::new();
    for n in 1..1500 {
        stream += &imported_commit(n, "", &[("f".to_owned(), n.to_string())]);
    }
    git_fed(&repo.dir, stream.as_bytes(), &["fast-import", "--quiet"]);
    place.take("p", &repo);
    let mut commits: Vec<String> =
        repo.git(&["rev-list", "main"]).lines().map(str::to_owned).collect();
    commits.sort();
    let pair = commits.windows(2).find(|pair| pair[0][..4] == pair[1][..4]).unwrap();
    let alike: Vec<_> = commits.iter().filter(|commit| commit[..4] == pair[0][..4]).collect();
    let error = place.mirror.resolve(&project("p"), &pair[0][..4]).unwrap_err();
    let ResolveError::Ambiguous { candidates, .. } = &error else { panic!("{error}") };
    let candidates: Vec<_> = candidates.iter().map(ToString::to_string).collect();
    assert_eq!(candidates.iter().collect::<Vec<_>>(), alike);
    assert!(place.mirror.resolve(&project("p"), &pair[0][..20]).is_ok());
}

#[test]
fn a_tag_of_a_file_is_no_revision() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("f", "1")]);
    repo.git(&["tag", "file", "HEAD:f"]);
    place.take("p", &repo);
    let error = place.mirror.resolve(&project("p"), "file").unwrap_err();
    assert!(matches!(error, ResolveError::NotACommit { .. }), "{error}");
}
