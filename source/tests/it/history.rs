use kbs_source::{CommitId, HistoryError, PathPatterns};

use crate::fixture::{Numbers, Place, Repo, project};

fn last(place: &Place, commit: CommitId, paths: &[&str]) -> Result<CommitId, HistoryError> {
    place.mirror.last_touching(&project("p"), commit, &PathPatterns::new(paths).unwrap())
}

fn gits(repo: &Repo, commit: CommitId, paths: &[&str]) -> String {
    let commit = commit.to_string();
    let mut arguments = vec!["log", "-1", "--format=%H", &commit, "--"];
    arguments.extend(paths);
    repo.git(&arguments)
}

#[test]
fn commits_beside_the_paths_are_passed_over() {
    let place = Place::new();
    let repo = place.repo("a");
    let made = repo.commit(&[("src/a", "1"), ("docs/x", "1")]);
    repo.commit(&[("docs/x", "2")]);
    let changed = repo.commit(&[("src/b", "1")]);
    let tip = repo.commit(&[("docs/x", "3"), ("src2/a", "1")]);
    place.take("p", &repo);
    assert_eq!(last(&place, tip, &["src"]).unwrap(), changed);
    assert_eq!(last(&place, tip, &["src/a"]).unwrap(), made);
    assert_eq!(last(&place, tip, &["**/a"]).unwrap(), tip);
    assert_eq!(last(&place, tip, &["s*/b"]).unwrap(), changed);
    let error = last(&place, tip, &["nowhere"]).unwrap_err();
    assert!(matches!(error, HistoryError::NeverTouched { .. }), "{error}");
}

#[test]
fn a_change_of_mode_and_a_file_turned_directory_are_touches() {
    let place = Place::new();
    let repo = place.repo("a");
    repo.commit(&[("src/a", "1"), ("src/b", "1")]);
    repo.git(&["update-index", "--chmod=+x", "src/a"]);
    repo.git(&["commit", "-q", "-m", "mode"]);
    let mode = repo.head();
    repo.git(&["checkout", "-q", "."]);
    repo.git(&["rm", "-q", "src/b"]);
    let directory = repo.commit(&[("src/b/c", "1")]);
    place.take("p", &repo);
    assert_eq!(last(&place, directory, &["src/a"]).unwrap(), mode);
    assert_eq!(last(&place, directory, &["src/b"]).unwrap(), directory);
}

#[test]
fn random_histories_are_searched_as_git_searches_them() {
    let files = ["src/a", "src/b", "src/deep/c", "docs/d", "top"];
    let choices: [&[&str]; 5] = [&["src"], &["src/deep"], &["top", "docs"], &["src/a"], &["docs"]];
    for seed in 1..=2 {
        let place = Place::new();
        let repo = place.repo("a");
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        repo.commit(&files.map(|path| (path, "0")));
        let mut commits = vec![repo.head()];
        for n in 1..40 {
            let base = commits[commits.len() - 1 - numbers.below(commits.len().min(4))];
            repo.git(&["checkout", "-q", "-f", "--detach", &base.to_string()]);
            let other = commits[commits.len() - 1 - numbers.below(commits.len().min(6))];
            if numbers.below(3) == 0 {
                let side = ["ours", "theirs"][numbers.below(2)];
                let other = other.to_string();
                repo.git(&["merge", "-q", "--no-ff", "-X", side, "-m", "m", &other]);
            }
            // Few values, so that trees come back and merges agree with one side.
            let value = numbers.below(3).to_string();
            let file = files[numbers.below(files.len())];
            let commit = if n % 4 == 0 { repo.head() } else { repo.commit(&[(file, &value)]) };
            if !commits.contains(&commit) {
                commits.push(commit);
            }
        }
        for (n, commit) in commits.iter().enumerate() {
            repo.git(&["update-ref", &format!("refs/heads/b{n}"), &commit.to_string()]);
        }
        place.take("p", &repo);
        for &commit in &commits {
            for paths in choices {
                let ours = last(&place, commit, paths).unwrap().to_string();
                assert_eq!(ours, gits(&repo, commit, paths), "seed {seed}, {commit}, {paths:?}");
            }
        }
    }
}
