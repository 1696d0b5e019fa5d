use kbs_source::{Abbrev, CommitId};

use crate::fixture::{Numbers, Place, Repo, git, git_at, git_fed, imported_commit, project};

fn described(place: &Place, commit: CommitId) -> String {
    place.mirror.describe(&project("p"), commit, Abbrev::Auto).unwrap()
}

fn gits(repo: &Repo, commit: CommitId) -> String {
    repo.git(&["describe", "--always", "--tags", "--long", &commit.to_string()])
}

#[test]
fn tags_are_ranked_as_git_ranks_them() {
    let place = Place::new();
    let repo = place.repo("a");
    let light = repo.commit(&[("f", "1")]);
    repo.git(&["tag", "b-light"]);
    repo.git(&["tag", "a-light"]);
    let mixed = repo.commit(&[("f", "2")]);
    repo.git(&["tag", "z-light"]);
    repo.annotate("older", 100);
    repo.annotate("newer", 200);
    repo.annotate("same-as-newer", 200);
    let renamed = repo.commit(&[("f", "3")]);
    repo.annotate("inside", 300);
    repo.git(&["update-ref", "refs/tags/outside", "refs/tags/inside"]);
    repo.git(&["tag", "-d", "inside"]);
    let nested = repo.commit(&[("f", "4")]);
    repo.annotate("inner", 400);
    git_at(&repo.dir, 500, &["tag", "-a", "-m", "x", "outer", "inner"]);
    let after = repo.commit(&[("f", "5")]);
    place.take("p", &repo);
    for commit in [light, mixed, renamed, nested, after] {
        assert_eq!(described(&place, commit), gits(&repo, commit));
    }
}

#[test]
fn without_a_tag_only_the_digits_remain() {
    let place = Place::new();
    let repo = place.repo("a");
    let commit = repo.commit(&[("f", "1")]);
    place.take("p", &repo);
    assert_eq!(described(&place, commit), &commit.to_string()[..7]);
    let ten = place.mirror.describe(&project("p"), commit, Abbrev::Digits(10)).unwrap();
    assert_eq!(ten, &commit.to_string()[..10]);
}

#[test]
fn tags_of_other_projects_do_not_count() {
    let place = Place::new();
    let repo = place.repo("a");
    let commit = repo.commit(&[("f", "1")]);
    repo.git(&["tag", "v1"]);
    git(&place.path(""), &["clone", "-q", "a", "fork"]);
    git(&place.path("fork"), &["tag", "-d", "v1"]);
    place.take("tagged", &repo);
    place
        .mirror
        .add(&project("p"), &crate::fixture::url(&place.path("fork")), kbs_source::Existing::Keep)
        .unwrap();
    place.sync("p");
    assert_eq!(described(&place, commit), &commit.to_string()[..7]);
}

#[test]
fn a_sync_that_brings_a_tag_changes_the_version_and_one_that_moves_it_too() {
    let place = Place::new();
    let repo = place.repo("a");
    let first = repo.commit(&[("f", "1")]);
    let second = repo.commit(&[("f", "2")]);
    place.take("p", &repo);
    assert_eq!(described(&place, second), &second.to_string()[..7]);
    for (tagged, distance) in [(first, 1), (second, 0)] {
        repo.git(&["tag", "-f", "v1", &tagged.to_string()]);
        place.sync("p");
        let expected = format!("v1-{distance}-g{}", &second.to_string()[..7]);
        assert_eq!(described(&place, second), expected);
    }
}

// 16,384 objects are where seven digits become eight.
#[test]
fn the_abbreviation_follows_the_object_count_from_sync_to_sync() {
    let place = Place::new();
    let repo = place.repo("a");
    place.add("p", &repo);
    let mut total = 0;
    for (round, (add, digits)) in [(16_250, 7), (20, 7), (300, 8), (10, 8)].into_iter().enumerate()
    {
        let files: Vec<_> =
            (total..total + add).map(|n| (format!("f{}/{n}", n / 200), n.to_string())).collect();
        total += add;
        let from = if round == 0 { "" } else { "from refs/heads/main^0\n" };
        let stream = imported_commit(1, from, &files);
        git_fed(&repo.dir, stream.as_bytes(), &["fast-import", "--quiet"]);
        place.sync("p");
        let clone = format!("clone{total}");
        let source = format!("file://{}", repo.dir.display());
        git(&place.path(""), &["clone", "-q", "--bare", &source, &clone]);
        let theirs =
            git(&place.path(&clone), &["describe", "--always", "--tags", "--long", "main"]);
        assert_eq!(described(&place, repo.head()), theirs);
        assert_eq!(theirs.len(), digits);
        let counted = place.mirror.project(&project("p")).unwrap().object_count;
        let listed = repo.git(&["rev-list", "--objects", "--all", "--count"]);
        assert_eq!(counted.to_string(), listed);
    }
    // Back below: what is gone does not count.
    repo.git(&["update-ref", "refs/heads/main", "main~2"]);
    place.sync("p");
    assert_eq!(described(&place, repo.head()).len(), 7);
}

// Merges, several roots, clocks that go backwards, tags anywhere.
#[test]
fn random_histories_are_described_as_git_describes_them() {
    for seed in 1..=3 {
        let place = Place::new();
        let repo = place.repo("a");
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let tree = repo.git(&["mktree", "--missing"]);
        let mut commits: Vec<String> = Vec::new();
        for n in 0..60 {
            let mut arguments = vec!["commit-tree".to_owned(), tree.clone()];
            arguments.extend(["-m".to_owned(), n.to_string()]);
            if n > 0 && numbers.below(20) > 0 {
                for _ in 0..=numbers.below(2) {
                    let recent = commits.len().min(8);
                    let parent = commits[commits.len() - 1 - numbers.below(recent)].clone();
                    if !arguments.contains(&parent) {
                        arguments.extend(["-p".to_owned(), parent]);
                    }
                }
            }
            let skew = numbers.below(5000);
            let time_s = 1_700_000_000 + n * 1000 - i64::try_from(skew).unwrap();
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            commits.push(git_at(&repo.dir, time_s, &arguments));
            if numbers.below(5) == 0 {
                repo.git(&["tag", &format!("t{n}"), commits.last().unwrap()]);
            }
        }
        for (n, commit) in commits.iter().enumerate() {
            repo.git(&["update-ref", &format!("refs/heads/b{n}"), commit]);
        }
        place.take("p", &repo);
        for commit in &commits {
            let commit = commit.parse().unwrap();
            assert_eq!(described(&place, commit), gits(&repo, commit), "seed {seed}");
        }
    }
}
