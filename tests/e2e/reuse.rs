//! One key for one thing, built once.

use std::path::Path;

use kbs_testkit::{FxSpec, fx};

use crate::lab::{Lab, read};
use crate::skip;

#[test]
fn a_spec_is_built_once_and_its_path_is_all_of_stdout() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).config("CONFIG_NAME=\"me\"");
    let first = lab.realize(&spec, &[]).done().telling(&["built fx-v1.0-0-g"]);
    let path = first.path();
    assert!(path.starts_with(lab.state()), "{first}");
    let version = repo.describe();
    assert_eq!(read(path.join("fx.txt")), format!("name: me\nversion: {version}\n"));
    assert!(read(path.join("fx.bin")).starts_with(&format!("{version}\nThe message of fx.\n")));

    let second = lab.realize(&spec, &[]).done().telling(&["reused fx-v1.0-0-g"]);
    assert_eq!(second.path(), path);
    assert!(!second.err.contains("build"), "{second}");
}

#[test]
fn every_line_of_json_is_an_event_and_the_last_one_tells_the_output() {
    let (lab, repo) = (Lab::new(), fx());
    let first = lab.realize(&FxSpec::new(&repo), &["--json", "--log"]).done();
    let events = first.events();
    assert!(events.iter().all(|event| event["event"].is_string()), "{first}");
    assert_eq!(events.last().expect("there are events")["event"], "ended", "{first}");
    for phase in ["sync", "image", "configure", "ingest", "build", "collect", "store"] {
        assert!(first.phases().contains(&phase.to_owned()), "{phase} is not in {first}");
    }
    assert!(first.log().contains("building fx"), "{first}");
    assert!(first.output().built, "{first}");
    assert!(first.output().path.join("fx.bin").is_file(), "{first}");

    let second = lab.realize(&FxSpec::new(&repo), &["--json"]).done();
    assert!(!second.phases().iter().any(|phase| phase != "sync"), "{second}");
    assert!(!second.output().built, "{second}");
    assert_eq!(second.output().key, first.output().key);
}

#[test]
fn the_key_is_the_hash_of_the_document_that_plan_prints() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = lab.write(&FxSpec::new(&repo));
    let spec = spec.to_str().expect("temporary directories have plain names");
    let document = lab.run(["plan", spec, "--canonical"]).done().out;
    let planned = lab.run(["plan", spec, "--json"]).done();
    let planned = planned.events().into_iter().find(|event| event["event"] == "planned");
    let planned = planned.expect("plan ends with what is planned");
    let hash = blake3::Hasher::new_derive_key("kbs 2026-11 key v1")
        .update(document.as_bytes())
        .finalize()
        .to_hex();
    assert_eq!(planned["key"], format!("key:{hash}"));
    assert_eq!(planned["cached"], false);
    assert_eq!(
        planned["derivation"],
        serde_json::from_str::<serde_json::Value>(&document).unwrap()
    );
    assert!(lab.ls(&[]).is_empty(), "planning builds nothing");

    let built = lab.run(["realize", spec, "--json"]).done().output();
    assert_eq!(built.key, format!("key:{hash}"));
}

#[test]
fn a_tag_a_branch_and_a_sha_of_one_commit_are_one_build() {
    let (lab, repo) = (Lab::new(), fx());
    let head = repo.head();
    let answers: Vec<_> = ["v1.0", "main", head.as_str(), &head[..12], "HEAD", &repo.describe()]
        .map(|rev| lab.realize(&FxSpec::new(&repo).rev(rev), &["--json"]).done())
        .into();
    let keys: Vec<_> = answers.iter().map(|answer| answer.output().key).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(answers.iter().filter(|answer| answer.output().built).count(), 1);
    let built = answers.iter().filter(|a| a.phases().contains(&"build".to_owned()));
    assert_eq!(built.count(), 1);
    assert_eq!(lab.ls(&[]).len(), 1);
}

#[test]
fn a_moved_branch_of_a_local_repository_is_seen_at_once() {
    let (lab, repo) = (Lab::new(), fx());
    let old = lab.realize(&FxSpec::new(&repo), &["--json"]).done().output();
    repo.write("message.txt", "Another message.\n").commit("another message");
    let new = lab.realize(&FxSpec::new(&repo), &["--json"]).done().output();
    assert!(new.built && new.key != old.key);
    assert!(read(new.path.join("fx.bin")).contains("Another message."));
    let again = lab.realize(&FxSpec::new(&repo).rev("v1.0"), &["--json"]).done().output();
    assert!(!again.built && again.key == old.key);
}

#[test]
fn the_example_of_the_readme_is_built() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !root.join(".git").exists() {
        return skip("this is no git clone, and the example's source is the clone that holds it");
    }
    let lab = Lab::new();
    let spec = root.join("examples/hello/spec.toml");
    let path = lab.run(["realize".as_ref(), spec.as_os_str()]).done().path();
    for name in ["hello.bin", "hello.elf", "hello.map"] {
        assert!(path.join(name).is_file(), "{name} is in {}", path.display());
    }
}
