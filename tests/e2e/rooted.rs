//! Names that keep outputs.

use kbs_testkit::{FxSpec, fx};

use crate::collected::keys;
use crate::lab::{Lab, names};

#[test]
fn a_name_keeps_an_output_until_it_is_forgotten() {
    let (lab, repo) = (Lab::new(), fx());
    let output = lab.realize(&FxSpec::new(&repo), &["--json"]).done().output();
    let digits = &output.key["key:".len()..][..8];
    lab.run(["root", "add", "release", digits]).done().telling(&["release keeps key:"]);
    let root = lab.run(["root", "ls", "--json"]).done().json();
    assert_eq!(root["name"], "release");
    assert_eq!((&root["kind"], &root["state"]), (&"named".into(), &"alive".into()));
    assert_eq!(root["key"], output.key.as_str());
    let table = lab.run(["root", "ls"]).done().out;
    assert!(table.contains("NAME") && table.contains("release"), "{table}");

    lab.run(["gc", "--all"]).done();
    assert_eq!(keys(&lab), [output.key.clone()].into());
    // A daemon of its own, and one after it, know the name.
    lab.run(["daemon", "stop"]).done();
    lab.run(["gc", "--all", "--no-daemon"]).done();
    assert_eq!(keys(&lab), [output.key].into());
    lab.run(["root", "rm", "release"]).done();
    lab.run(["gc", "--all"]).done();
    assert!(keys(&lab).is_empty());
}

#[test]
fn a_name_can_be_given_to_another_output_by_its_path() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    let old = lab.realize(&spec, &["--json"]).done().output();
    let new = lab.realize(&spec.config("CONFIG_NAME=\"b\""), &["--json"]).done().output();
    lab.run(["root", "add", "release", &old.key]).done();
    lab.run(["root", "add", "release", new.path.to_str().unwrap()]).done();
    assert_eq!(lab.run(["root", "ls", "--json"]).done().json()["key"], new.key.as_str());
    lab.run(["gc", "--all"]).done();
    assert_eq!(keys(&lab), [new.key].into());
}

#[test]
fn roots_that_cannot_be_meant_are_refused_and_change_nothing() {
    let (lab, repo) = (Lab::new(), fx());
    let output = lab.realize(&FxSpec::new(&repo), &["--json"]).done().output();
    lab.realize(&FxSpec::new(&repo).config("CONFIG_FAIL=y"), &[]).left(1);
    let failed = lab.ls(&["--failed"]).remove(0)["key"].as_str().unwrap().to_owned();
    lab.run(["root", "add", "release", &output.key]).done();
    for (name, key, told) in [
        ("/srv/link", output.key.as_str(), "it is a path"),
        ("a/b", &output.key, "it is a path"),
        ("", &output.key, "cannot be the name of a root"),
        ("two\nlines", &output.key, "cannot be the name of a root"),
        ("other", "key:xyz", "neither a key"),
        ("other", "0123456789", "nothing is known of"),
        ("other", &failed, "no output"),
    ] {
        let refused = lab.run(["root", "add", name, key]).left(2);
        assert!(refused.err.contains(told), "`{told}` is not in {refused}");
    }
    lab.run(["root", "rm", "releas"])
        .left(2)
        .telling(&["there is no root `releas`", "kbs root ls"]);
    lab.run(["root", "rm", "./release"]).left(2).telling(&["there is no root `/"]);
    assert_eq!(names(&lab.state().join("roots")).len(), 1);
    assert_eq!(lab.run(["root", "ls", "--json"]).done().json()["name"], "release");
}

#[test]
fn everything_that_is_known_of_a_key_is_shown() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    let link = lab.dir().join("result");
    let output = lab.realize(&spec, &["--json"]).done().output();
    lab.realize(&spec, &["--out-link", link.to_str().unwrap()]).done();
    lab.run(["root", "add", "release", &output.key]).done();

    let shown = lab.run(["show", &output.key, "--json"]).done().json();
    assert_eq!(shown["state"], "built");
    assert_eq!(shown["path"], output.path.to_str().unwrap());
    assert_eq!(shown["files"].as_object().map(serde_json::Map::len), Some(2), "{shown:#}");
    assert_eq!(shown["derivation"]["project"], "fx");
    assert!(shown["who"].as_str().unwrap().starts_with("uid "), "{shown:#}");
    assert!(shown["log"]["size_b"].as_u64().unwrap() > 0, "{shown:#}");
    assert!(shown["usage"]["accounting"].is_string(), "{shown:#}");
    assert!(shown["last_use_unix_s"].as_u64() >= shown["created_unix_s"].as_u64());
    let here = (&shown["toolchain_is_here"], &shown["commit_is_here"]);
    assert_eq!(here, (&true.into(), &true.into()));
    let roots: Vec<_> =
        shown["roots"].as_array().unwrap().iter().map(|root| &root["name"]).collect();
    assert_eq!(roots, [link.to_str().unwrap(), "release"]);
    let jobs: Vec<_> =
        shown["jobs"].as_array().unwrap().iter().map(|job| &job["outcome"]).collect();
    assert_eq!(jobs, ["reused", "built"]);

    let text = lab.run(["show", &output.key]).done().out;
    for words in ["last_use", "roots", "release", "jobs", "reused", "stored_as", "is_here"] {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
}

#[test]
fn a_key_that_has_the_files_of_another_names_it() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).toml("[version]\nexact = \"v1.0-0-g1234567\"");
    let first = lab.realize(&spec, &["--json"]).done().output();
    repo.commit("nothing has changed");
    let second = lab.realize(&spec, &["--json"]).done().output();
    assert_ne!(first.key, second.key);
    if first.path != second.path {
        return crate::skip("the head's commit is part of what this build sees");
    }
    let shown = lab.run(["show", &second.key, "--json"]).done().json();
    assert_eq!(shown["stored_as"]["key"], first.key.as_str());
    assert_eq!(shown["aliases"], serde_json::json!([first.key]));
    // What keeps one of them keeps the files of both.
    lab.run(["root", "add", "release", &second.key]).done();
    lab.run(["gc", "--all"]).done();
    assert!(second.path.join("fx.bin").exists());
    assert_eq!(keys(&lab), [first.key, second.key].into());
}
