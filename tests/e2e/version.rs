//! Which version a build carries, and which commits make no new build.

use kbs_testkit::{FxSpec, Repo, fx};

use crate::lab::{Lab, edit, read};

#[test]
fn a_build_carries_what_git_describes() {
    let (lab, repo) = (Lab::new(), fx());
    repo.write("message.txt", "Newer.\n").commit("newer");
    let built = lab.realize(&FxSpec::new(&repo), &["--json"]).done().output();
    assert_eq!(built.version, repo.describe());
    assert!(read(built.path.join("fx.txt")).contains(&format!("version: {}\n", repo.describe())));

    let long = FxSpec::new(&repo).toml("[version]\nabbrev = 12");
    let built = lab.realize(&long, &["--json"]).done().output();
    assert_eq!(built.version, format!("v1.0-1-g{}", &repo.head()[..12]));
}

#[test]
fn a_version_can_be_given() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).toml("[version]\nexact = 'v7-730-g84104bbb'");
    let built = lab.realize(&spec, &["--json"]).done().output();
    assert_eq!(built.version, "v7-730-g84104bbb");
    assert!(read(built.path.join("fx.txt")).contains("version: v7-730-g84104bbb\n"));
    let hostile = FxSpec::new(&repo).toml("[version]\nexact = \"v7'; touch PWNED; '\"");
    lab.realize(&hostile, &[]).left(2).telling(&["version"]);
}

const SOURCES: &str =
    "[recipe.source]\npaths = ['Kconfig', 'Makefile', 'message.txt', 'scripts']\n";

#[test]
fn a_commit_that_touches_no_source_path_is_not_built_again() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).toml(SOURCES).toml("[version]\npolicy = 'paths'");
    let first = lab.realize(&spec, &["--json"]).done().output();
    let version = first.version.clone();
    assert!(first.built);
    repo.write("README", "Words.\n").commit("documentation");
    let answer = lab.realize(&spec, &["--json"]).done();
    let second = answer.output();
    assert!(!second.built && !answer.phases().contains(&"build".to_owned()), "{answer}");
    assert_eq!((&second.tree, &second.version), (&first.tree, &version));
    assert_ne!(second.key, first.key, "another commit is another request");
    assert_eq!(answer.notices("reused").len(), 1, "{answer}");
    // Now it is known by its own key.
    let again = lab.realize(&spec, &["--json"]).done();
    assert!(again.notices("reused").is_empty() && again.output().key == second.key);

    repo.write("message.txt", "Another message.\n").commit("firmware");
    let third = lab.realize(&spec, &["--json"]).done().output();
    assert!(third.built && third.version == repo.describe());
}

#[test]
fn a_build_cannot_see_what_is_not_a_source_path() {
    let (lab, repo) = (Lab::new(), fx());
    edit(&repo, "Makefile", "cat message.txt;", "cat message.txt; cat other.txt;");
    repo.write("other.txt", "Other.\n").commit("reads another file");
    let whole = lab.realize(&FxSpec::new(&repo), &["--json"]).done().output();
    assert!(read(whole.path.join("fx.bin")).contains("Other.\n"));
    let part = lab.realize(&FxSpec::new(&repo).toml(SOURCES), &["--json"]).done().output();
    assert!(!read(part.path.join("fx.bin")).contains("Other.\n"));
    assert_ne!(part.key, whole.key);
}

#[test]
fn submodules_are_built_at_the_commit_that_the_tree_names() {
    let (lab, outer, inner) = (Lab::new(), fx(), Repo::new());
    let old = inner.write("words.txt", "Words of the submodule.\n").commit("inner");
    outer.submodule("lib/inner", &inner);
    edit(&outer, "Makefile", "cat message.txt;", "cat message.txt; cat lib/inner/words.txt;");
    outer.commit("with a submodule");
    let plain = FxSpec::new(&outer);
    let spec = plain.clone().edit("rev = 'main'", "rev = 'main'\nsubmodules = true");
    let sync = || lab.run(["source", "sync", "fx", "--submodules"]).done();

    lab.run(["source", "add", "fx", outer.url()]).done();
    sync();
    let built = lab.realize(&spec, &["--json"]).done().output();
    assert!(read(built.path.join("fx.bin")).contains("Words of the submodule.\n"));
    let shown = lab.run(["show", &built.key, "--json"]).done().json();
    assert_eq!(shown["derivation"]["submodules"]["lib/inner"], old.as_str(), "{shown}");
    let without = lab.realize(&plain, &["--json"]).done().output();
    assert!(!read(without.path.join("fx.bin")).contains("Words"));

    // The submodule's own repository may move on; what counts is what the tree names.
    inner.write("words.txt", "Newer words.\n").commit("newer");
    let same = lab.realize(&spec, &["--json"]).done().output();
    assert!(!same.built && same.key == built.key);
    outer.git(["-C", "lib/inner", "fetch", "--quiet"]);
    outer.git(["-C", "lib/inner", "checkout", "--quiet", "origin/main"]);
    outer.commit("newer submodule");
    sync();
    let newer = lab.realize(&spec, &["--json"]).done().output();
    assert!(read(newer.path.join("fx.bin")).contains("Newer words.\n"));
}

#[test]
fn a_branch_with_submodules_of_its_own_can_be_built() {
    let (lab, outer, inner) = (Lab::new(), fx(), Repo::new());
    inner.write("words.txt", "Words.\n").commit("inner");
    outer.submodule("lib/inner", &inner);
    edit(&outer, "Makefile", "cat message.txt;", "cat message.txt; cat lib/inner/words.txt;");
    outer.commit("with a submodule");
    inner.branch("side").write("words.txt", "Words aside.\n").commit("aside");
    outer.branch("side");
    outer.git(["-C", "lib/inner", "fetch", "--quiet"]);
    outer.git(["-C", "lib/inner", "checkout", "--quiet", "origin/side"]);
    outer.commit("with the submodule's other branch");
    outer.checkout("main");
    lab.run(["source", "add", "fx", outer.url()]).done();
    lab.run(["source", "sync", "fx", "--submodules"]).done();
    let spec = FxSpec::new(&outer).edit("rev = 'main'", "rev = 'side'\nsubmodules = true");
    let built = lab.realize(&spec, &["--json"]).done().output();
    assert!(read(built.path.join("fx.bin")).contains("Words aside.\n"));
}
