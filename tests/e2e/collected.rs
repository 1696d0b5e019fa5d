//! What goes and what stays when the store is collected.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kbs_testkit::{FxSpec, Repo, fx};
use serde_json::Value;

use crate::client::Client;
use crate::lab::{Answer, Delivered, Lab, answer, names, read};
use crate::processes::{is_alive, kill, until};

/// Longer than what tells one last use from another.
const A_MOMENT: Duration = Duration::from_millis(1100);

/// The output of `fx` under another name.
fn build(lab: &Lab, repo: &Repo, name: &str, options: &[&str]) -> Delivered {
    let spec = FxSpec::new(repo).config(&format!("CONFIG_NAME=\"{name}\""));
    lab.realize(&spec, &[&["--json"], options].concat()).done().output()
}

/// The keys of all outputs.
pub(crate) fn keys(lab: &Lab) -> BTreeSet<String> {
    lab.ls(&[]).iter().map(|entry| entry["key"].as_str().unwrap().to_owned()).collect()
}

fn gc(lab: &Lab, options: &[&str]) -> Answer {
    lab.run([&["gc", "--json", "--wait"], options].concat()).done()
}

/// What was decided of everything of one kind: id, whether it goes, and why.
fn decided(answer: &Answer, kind: &str) -> Vec<(String, bool, String)> {
    let events = answer.events();
    let of_kind = events.iter().filter(|e| e["event"] == "decision" && e["kind"] == kind);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    of_kind.map(|e| (text(&e["id"]), e["goes"] == true, text(&e["why"]))).collect()
}

fn summary(answer: &Answer) -> Value {
    answer.events().pop().filter(|event| event["event"] == "summary").unwrap()
}

/// Makes all roots old, so that a link that is gone has had its time to come.
pub(crate) fn age_roots(lab: &Lab) {
    for name in names(&lab.state().join("roots")) {
        let path = lab.state().join("roots").join(name);
        let mut root: Value = serde_json::from_str(&read(&path)).unwrap();
        root["created_unix_s"] = 1.into();
        std::fs::write(path, root.to_string()).unwrap();
    }
}

fn bytes_in_all_trees(lab: &Lab) -> u64 {
    let stat = lab.run(["store", "stat", "--json"]).done().json();
    ["blobs_b", "layers_b"].iter().map(|name| stat[name].as_u64().unwrap()).sum()
}

#[test]
fn an_output_that_a_link_keeps_stays_until_the_link_is_gone() {
    let (lab, repo) = (Lab::new(), fx());
    let link = lab.dir().join("result");
    let kept = build(&lab, &repo, "kept", &["--out-link", link.to_str().unwrap()]);
    let other = build(&lab, &repo, "other", &[]);
    let collected = gc(&lab, &["--all"]);
    let outputs = decided(&collected, "output");
    assert_eq!(outputs, [(other.key, true, "unheld".to_owned())], "only what goes is told");
    assert_eq!(keys(&lab), [kept.key.clone()].into());
    assert!(read(link.join("fx.txt")).starts_with("name: kept\n"));
    assert!(!other.path.exists());

    std::fs::remove_file(&link).unwrap();
    age_roots(&lab);
    assert_eq!(lab.run(["root", "ls", "--json"]).done().json()["state"], "dead");
    gc(&lab, &["--all"]);
    assert!(keys(&lab).is_empty() && !kept.path.exists());
    assert_eq!(lab.run(["root", "ls", "--json"]).done().out, "");
    assert!(names(&lab.state().join("roots")).is_empty());
}

#[test]
fn what_goes_is_gone_at_once_and_its_files_are_removed_whoever_waits() {
    let (lab, repo) = (Lab::new(), fx());
    let first = build(&lab, &repo, "first", &[]);
    let went = lab.run(["gc", "--all", "--json"]).done();
    let gone = went.events().pop().unwrap();
    assert_eq!((&gone["event"], &gone["stay"]), (&"gone".into(), &1.into()), "{went}");
    assert!(gone["things"].as_u64() > Some(0) && gone["size_b"].as_u64() > Some(0), "{went}");
    assert!(keys(&lab).is_empty() && !first.path.exists());
    assert!(build(&lab, &repo, "first", &[]).path.exists(), "it can be made again meanwhile");

    let text = lab.run(["gc", "--all", "--wait"]).done().out;
    assert!(text.starts_with("freed "), "{text}");
    let outputs = names(&lab.state().join("outputs"));
    let staged = names(&lab.state().join("scratch"));
    assert_eq!((outputs.len(), staged.len()), (0, 0), "{outputs:?} {staged:?}");
    // By itself it does the daemon's work to its end.
    build(&lab, &repo, "second", &[]);
    lab.run(["daemon", "stop"]).done();
    let text = lab.run(["gc", "--all", "--no-daemon"]).done().out;
    assert!(text.starts_with("freed "), "{text}");
}

#[test]
fn a_link_that_leads_to_a_newer_output_keeps_that_one() {
    let (lab, repo) = (Lab::new(), fx());
    let link = lab.dir().join("result");
    let link = ["--out-link", link.to_str().unwrap()];
    build(&lab, &repo, "old", &link);
    let new = build(&lab, &repo, "new", &link);
    age_roots(&lab);
    gc(&lab, &["--all"]);
    assert_eq!(keys(&lab), [new.key].into());
}

#[test]
fn what_a_running_build_needs_survives_a_collection_of_everything() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).config("CONFIG_SLEEP=4");
    // The first one's image loses its name, so that nothing but work can hold it.
    let mut first = lab.start(&spec, &[]);
    first.wait_for_log("sleeping 4 s");
    let images = lab.run(["image", "ls", "--json"]).done().json();
    for name in images["names"].as_array().unwrap() {
        lab.run(["image", "rm", name.as_str().unwrap()]);
    }
    let told = gc(&lab, &["--all", "--dry-run"]);
    let held = |kind: &str| {
        let decided = decided(&told, kind);
        assert!(!decided.is_empty(), "there is a {kind} in {told}");
        decided.into_iter().all(|(_, goes, why)| !goes && why == "held")
    };
    assert!(held("layer") && held("image"), "{told}");
    gc(&lab, &["--all"]);
    let built = first.finish().done().output();

    let mut again = lab.start(&spec, &["--rebuild"]);
    again.wait_for_log("sleeping 4 s");
    let collected = gc(&lab, &["--all"]);
    assert!(decided(&collected, "output").is_empty(), "{collected}");
    assert!(built.path.join("fx.bin").exists());
    assert_eq!(again.finish().done().output().key, built.key);
    assert_eq!(keys(&lab), [built.key].into());
    gc(&lab, &["--all"]);
    assert!(keys(&lab).is_empty());
}

#[test]
fn the_newest_outputs_of_each_project_stay() {
    let (lab, repo) = (Lab::new(), fx());
    let other = |name: &str| {
        let spec = FxSpec::new(&repo).config(&format!("CONFIG_NAME=\"{name}\""));
        let spec = spec.edit("name = \"fx\"", "name = \"fy\"");
        lab.realize(&spec, &["--json"]).done().output().key
    };
    let old = [build(&lab, &repo, "a", &[]).key, other("b")];
    std::thread::sleep(A_MOMENT);
    let new = [build(&lab, &repo, "c", &[]).key, other("d")];
    let collected = gc(&lab, &["--keep", "1"]);
    let gone: BTreeSet<_> = decided(&collected, "output").into_iter().map(|(id, ..)| id).collect();
    assert_eq!(gone, old.into());
    assert_eq!(keys(&lab), new.clone().into());
    assert!(decided(&collected, "layer").is_empty(), "outputs alone were spoken of");
    gc(&lab, &["--all", "--keep", "1"]);
    assert_eq!(keys(&lab), new.into());
    assert!(names(&lab.state().join("sources")).is_empty());
}

#[test]
fn the_least_recently_used_goes_first_when_room_is_wanted() {
    let (lab, repo) = (Lab::new(), fx());
    let a = build(&lab, &repo, "a", &[]);
    std::thread::sleep(A_MOMENT);
    let b = build(&lab, &repo, "b", &[]);
    std::thread::sleep(A_MOMENT);
    let c = build(&lab, &repo, "c", &[]);
    std::thread::sleep(A_MOMENT);
    assert!(!build(&lab, &repo, "a", &[]).built);

    let all_b = bytes_in_all_trees(&lab);
    gc(&lab, &["--max-size", &all_b.to_string()]);
    assert_eq!(keys(&lab).len(), 3, "it is no larger than that");
    let collected = gc(&lab, &["--max-size", &(all_b - 1).to_string()]);
    assert_eq!(decided(&collected, "output"), [(b.key, true, "room".to_owned())]);
    assert_eq!(keys(&lab), [a.key, c.key].into());
    assert!(bytes_in_all_trees(&lab) < all_b);
    assert!(summary(&collected)["freed_b"].as_u64().unwrap() > 0);

    let free = gc(&lab, &["--free", "10000T"]);
    assert!(decided(&free, "output").iter().all(|(_, goes, why)| *goes && why == "room"));
    assert!(keys(&lab).is_empty());
}

#[test]
fn what_was_not_used_for_so_long_goes() {
    let (lab, repo) = (Lab::new(), fx());
    let a = build(&lab, &repo, "a", &[]);
    std::thread::sleep(A_MOMENT * 3);
    let b = build(&lab, &repo, "b", &[]);
    gc(&lab, &["--older-than", "1h"]);
    assert_eq!(keys(&lab).len(), 2);
    let collected = gc(&lab, &["--older-than", "2s"]);
    assert_eq!(decided(&collected, "output"), [(a.key, true, "unused".to_owned())]);
    assert_eq!(keys(&lab), [b.key].into());
}

#[test]
fn a_dry_run_removes_nothing_and_tells_why() {
    let (lab, repo) = (Lab::new(), fx());
    let kept = build(&lab, &repo, "kept", &[]);
    let other = build(&lab, &repo, "other", &[]);
    lab.realize(&FxSpec::new(&repo).config("CONFIG_FAIL=y"), &[]).left(1);
    lab.run(["root", "add", "release", &kept.key]).done();

    let told = gc(&lab, &["--all", "-n"]);
    let outputs: BTreeSet<_> = decided(&told, "output").into_iter().collect();
    let (held, unheld) = ("held".to_owned(), "unheld".to_owned());
    assert_eq!(
        outputs,
        [(kept.key.clone(), false, held), (other.key.clone(), true, unheld.clone())].into()
    );
    assert!(decided(&told, "failure").iter().all(|(_, goes, _)| *goes), "{told}");
    assert!(decided(&told, "image").iter().all(|(_, goes, why)| !goes && why == "held"));
    let would = summary(&told);
    assert_eq!(would["dry_run"], true);

    let text = lab.run(["gc", "--all", "--dry-run"]).done().out;
    for words in
        ["FATE", "kept by the root release", "nothing needs it", "named host.fx.", "would free "]
    {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
    assert_eq!(keys(&lab), [kept.key.clone(), other.key.clone()].into());
    assert_eq!(lab.ls(&["--failed"]).len(), 1);
    assert!(other.path.join("fx.bin").exists());

    // What it told is what happens.
    let went = summary(&gc(&lab, &["--all"]));
    assert_eq!(went["things"], would["things"]);
    assert_eq!(went["stay"], would["stay"]);
    assert_eq!(keys(&lab), [kept.key].into());
    assert!(lab.ls(&["--failed"]).is_empty());
}

#[test]
fn without_a_criterion_the_configuration_decides() {
    let (lab, repo) = (Lab::new(), fx());
    build(&lab, &repo, "a", &[]);
    let quiet = lab.run(["gc"]).done();
    quiet.telling(&["the configuration asks for nothing to go"]);
    assert_eq!(keys(&lab).len(), 1);
    lab.run(["daemon", "stop"]).done();

    let config = configure(&lab, "[gc]\nolder-than = '1s'\nmin-free = 0\n");
    std::thread::sleep(A_MOMENT * 2);
    let dry = answer(lab.kbs().env("KBS_CONFIG", &config).args(["gc", "-n", "--json"])).done();
    assert_eq!(decided(&dry, "output").len(), 1);
    assert!(decided(&dry, "output")[0].1, "{dry}");
    gc(&lab, &[]);
    assert!(keys(&lab).is_empty());
}

fn configure(lab: &Lab, text: &str) -> PathBuf {
    let path = lab.dir().join("kbsd.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_collection_begins_by_itself_where_too_little_is_free() {
    begins_by_itself("[gc]\nmin-free = '10000T'\n");
}

#[test]
fn a_collection_begins_by_itself_where_the_store_is_too_large() {
    begins_by_itself("[gc]\nmax-size = '1K'\nmin-free = 0\n");
}

fn begins_by_itself(config: &str) {
    let (lab, repo) = (Lab::new(), fx());
    let config = configure(&lab, config);
    answer(lab.kbs().env("KBS_CONFIG", &config).args(["daemon", "start"])).done();
    let link = lab.dir().join("result");
    let kept = build(&lab, &repo, "kept", &["--out-link", link.to_str().unwrap()]);
    let old = build(&lab, &repo, "old", &[]);
    std::thread::sleep(Duration::from_secs(11));
    let new = build(&lab, &repo, "new", &["--out", lab.dir().join("out").to_str().unwrap()]);
    assert!(lab.dir().join("out/fx.bin").exists());
    until("the older output is gone", Duration::from_secs(20), || !keys(&lab).contains(&old.key));
    assert_eq!(keys(&lab), [kept.key, new.key].into());
    let log = read(lab.state().join("kbsd.log"));
    assert!(log.contains("a collection begins by itself"), "{log}");
}

#[test]
fn what_killed_work_has_left_is_swept_by_the_next_daemon_and_by_an_explicit_collection() {
    let (lab, repo) = (Lab::new(), fx());
    let built = build(&lab, &repo, "a", &[]);
    let litter = |name: &str| {
        let hex = name.repeat(32);
        let dir = lab.state().join(format!("outputs/{hex}-fx-1"));
        std::fs::create_dir(&dir).unwrap();
        dir
    };
    let first = litter("ab");
    assert_eq!(summary(&gc(&lab, &[]))["litter"], 1);
    assert!(!first.exists() && built.path.exists());

    let second = litter("cd");
    let daemon = lab.daemon_pid();
    kill(daemon);
    until("the daemon is gone", Duration::from_secs(10), || !is_alive(daemon));
    lab.run(["ls"]).done();
    until("the next one has swept", Duration::from_secs(20), || !second.exists());
    assert_eq!(keys(&lab), [built.key].into());
}

#[test]
fn a_kept_work_tree_holds_what_it_needs_and_is_held_by_who_goes_on_in_it() {
    let (lab, repo) = (Lab::new(), fx());
    let failed =
        lab.realize(&FxSpec::new(&repo).config("CONFIG_FAIL=y"), &["--json", "--keep-failed"]);
    let ended = failed.left(1).events();
    let key = ended.iter().find(|event| event["event"] == "ended").unwrap()["key"].clone();
    let key = key.as_str().unwrap();
    let tree = names(&lab.state().join("kept")).remove(0);
    std::thread::sleep(A_MOMENT * 2);

    // Not asked for, it stays, and so do its sources.
    let told = gc(&lab, &["--keep", "1", "-n"]);
    assert!(decided(&told, "layer").iter().all(|(_, goes, why)| !goes && why == "held"), "{told}");

    let mut shell = Client::start(
        lab.kbs()
            .args(["shell", "-q", "--failed", key, "--", "sh", "-c"])
            .arg("echo '{\"in\":1}'; sleep 3; cat message.txt >/dev/null && echo '{\"in\":2}'"),
    );
    shell.wait_for("the shell", |event| event["in"] == 1);
    let collected = gc(&lab, &["--all"]);
    assert!(decided(&collected, "kept").is_empty() && decided(&collected, "layer").is_empty());
    let shell = shell.finish().done();
    assert!(shell.out.contains("{\"in\":2}"), "{shell}");

    let collected = gc(&lab, &["--all"]);
    assert_eq!(decided(&collected, "kept"), [(tree, true, "unheld".to_owned())]);
    assert!(names(&lab.state().join("kept")).is_empty());
    let args = ["shell", "--failed", key, "--", "true"];
    lab.run(args).left(2);
}

#[test]
fn notes_of_images_that_are_gone_go_too() {
    let (lab, repo) = (Lab::new(), fx());
    build(&lab, &repo, "a", &[]);
    let images = lab.run(["image", "ls", "--json"]).done().json();
    lab.run(["image", "rm", images["digest"].as_str().unwrap()]).done();
    let notes = || read(lab.state().join("meta/image-names.json"));
    assert!(notes().contains("@taken.host.fx"), "{}", notes());
    gc(&lab, &[]);
    assert!(!notes().contains('@'), "{}", notes());
}

#[test]
fn collections_that_cannot_be_meant_are_refused() {
    let lab = Lab::new();
    for wrong in [
        &["--keep"][..],
        &["--keep", "x"],
        &["--keep", "-1"],
        &["--max-size", "8X"],
        &["--max-size", "-1"],
        &["--free", "much"],
        &["--older-than", "soon"],
        &["everything"],
    ] {
        let refused = lab.run([&["gc"], wrong].concat()).left(2);
        assert!(refused.out.is_empty(), "{refused}");
    }
    assert!(!Path::new(&lab.state().join("kbsd.sock")).exists(), "no daemon was asked");
}

#[test]
fn builds_collections_and_verifications_go_on_side_by_side() {
    let (lab, repo) = (Lab::new(), fx());
    build(&lab, &repo, "a", &[]);
    let run = |args: &[&str]| Client::start(lab.kbs().args(args).arg("--json"));
    for round in 0..3 {
        let others = [
            run(&["gc", "--all"]),
            run(&["store", "verify"]),
            run(&["gc", "--all"]),
            run(&["store", "verify", "--sample", "2"]),
        ];
        build(&lab, &repo, &format!("b{round}"), &[]);
        for other in others {
            let answer = other.finish().done();
            assert!(answer.events().iter().all(|event| event["event"] != "finding"), "{answer}");
        }
    }
    lab.run(["store", "verify"]).done();
}
