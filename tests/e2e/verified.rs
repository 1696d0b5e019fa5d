//! Damage: found, never served, repaired; and the index made again.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kbs_testkit::{FxSpec, Repo, fx};
use rustix::process::Signal;
use serde_json::Value;

use crate::client::Client;
use crate::lab::{Answer, Delivered, Lab, names};
use crate::processes::until;

/// Changes one byte of a file and nothing else that can be seen.
fn flip(path: &Path) {
    let facts = std::fs::metadata(path).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(facts.modified().unwrap()).unwrap();
    file.set_permissions(facts.permissions()).unwrap();
}

/// The first file below a directory that is worth damaging.
fn a_file_below(dir: &Path) -> PathBuf {
    let mut ahead = vec![dir.to_owned()];
    while let Some(dir) = ahead.pop() {
        for name in names(&dir) {
            let path = dir.join(name);
            let facts = std::fs::symlink_metadata(&path).unwrap();
            if facts.is_dir() {
                ahead.push(path);
            } else if facts.is_file() && facts.len() > 0 {
                return path;
            }
        }
    }
    panic!("there is no file below {}", dir.display());
}

fn only_entry(dir: &Path) -> PathBuf {
    let names = names(dir);
    assert_eq!(names.len(), 1, "{names:?}");
    dir.join(&names[0])
}

fn realize(lab: &Lab, repo: &Repo) -> Delivered {
    lab.realize(&FxSpec::new(repo), &["--json"]).done().output()
}

fn verify(lab: &Lab, options: &[&str]) -> Answer {
    lab.run([&["store", "verify", "--json"], options].concat())
}

fn findings(answer: &Answer) -> Vec<Value> {
    answer.events().into_iter().filter(|event| event["event"] == "finding").collect()
}

/// Damages a file, and expects that it is found, repaired, and the build is what it was.
fn damage_and_repair(damaged: impl Fn(&Lab, &Delivered) -> PathBuf, what: &str) -> (Lab, Repo) {
    let (lab, repo) = (Lab::new(), fx());
    let first = realize(&lab, &repo);
    let sound = verify(&lab, &[]).done();
    assert!(findings(&sound).is_empty(), "{sound}");
    let path = damaged(&lab, &first);
    flip(&path);

    let found = verify(&lab, &[]).left(3);
    let told = findings(&found);
    let is_told = |finding: &Value| {
        finding["done"].is_null() && finding["what"].as_str().unwrap().contains(what)
    };
    assert!(told.iter().any(is_told), "{what} is not in {found}");
    let text = lab.run(["store", "verify"]).left(3);
    assert!(text.out.contains("PROBLEM") && text.err.contains("--repair"), "{text}");

    let repaired = verify(&lab, &["--repair"]).done();
    assert!(findings(&repaired).iter().all(|finding| finding["done"].is_string()), "{repaired}");
    let sound = verify(&lab, &[]).done();
    assert!(findings(&sound).is_empty(), "{sound}");

    let again = realize(&lab, &repo);
    assert_eq!((&again.key, &again.tree), (&first.key, &first.tree));
    lab.realize(&FxSpec::new(&repo), &["--check"]).done();
    let sound = verify(&lab, &[]).done();
    assert!(findings(&sound).is_empty(), "{sound}");
    (lab, repo)
}

#[test]
fn a_damaged_output_is_found_and_built_again() {
    let damaged = |_: &Lab, output: &Delivered| {
        flip(&output.path.join("fx.txt"));
        flip(&output.path.join("fx.txt"));
        output.path.join("fx.bin")
    };
    damage_and_repair(damaged, "key:");
}

#[test]
fn what_is_damaged_is_not_served_after_it_was_found() {
    let (lab, repo) = (Lab::new(), fx());
    let first = realize(&lab, &repo);
    flip(&first.path.join("fx.bin"));
    verify(&lab, &["--repair"]).done();
    assert!(lab.ls(&[]).is_empty());
    lab.run(["show", &first.key]).left(2);
    let again = realize(&lab, &repo);
    assert!(again.built && again.tree == first.tree);
}

#[test]
fn a_damaged_blob_is_found_and_what_is_made_of_it_built_again() {
    let blob = |lab: &Lab, output: &Delivered| {
        let number = |path: &Path| std::fs::metadata(path).unwrap().ino();
        let wanted = number(&output.path.join("fx.txt"));
        let blobs = lab.state().join("blobs");
        let files = names(&blobs).into_iter().flat_map(|dir| {
            let dir = blobs.join(dir);
            names(&dir).into_iter().map(move |name| dir.join(name))
        });
        files.into_iter().find(|path| number(path) == wanted).expect("outputs are made of blobs")
    };
    damage_and_repair(blob, "blob:");
}

#[test]
fn a_damaged_source_layer_is_found_and_made_again() {
    damage_and_repair(|lab, _| a_file_below(&lab.state().join("sources")), "layer:");
}

#[test]
fn a_damaged_image_is_found_and_made_again() {
    let file = |lab: &Lab, _: &Delivered| {
        a_file_below(&only_entry(&lab.state().join("images")).join("rootfs"))
    };
    damage_and_repair(file, "sha256:");
}

#[test]
fn damaged_documents_of_an_image_are_found_and_it_is_made_again() {
    for name in ["image.json", "manifest.json", "config.json"] {
        let file = |lab: &Lab, _: &Delivered| only_entry(&lab.state().join("images")).join(name);
        damage_and_repair(file, "sha256:");
    }
}

#[test]
fn damaged_metadata_is_found_and_the_output_built_again() {
    let meta = |lab: &Lab, output: &Delivered| {
        lab.state().join("meta").join(format!("{}.json", &output.key["key:".len()..]))
    };
    damage_and_repair(meta, "key:");
}

#[test]
fn a_damaged_log_is_found_and_not_shown() {
    let log = |lab: &Lab, output: &Delivered| {
        lab.state().join("logs").join(format!("{}.zst", &output.key["key:".len()..]))
    };
    let (lab, _repo) = damage_and_repair(log, "log");
    let key = lab.ls(&[]).remove(0)["key"].as_str().unwrap().to_owned();
    lab.run(["log", &key]).left(2).telling(&["no log of"]);
}

#[test]
fn a_sample_compares_some_of_everything() {
    let (lab, repo) = (Lab::new(), fx());
    realize(&lab, &repo);
    let files = |answer: Answer| {
        let summary = answer.done().events().pop().unwrap();
        assert_eq!(summary["event"], "summary");
        summary["files"].as_u64().unwrap()
    };
    let (some, all) = (files(verify(&lab, &["--sample", "1"])), files(verify(&lab, &[])));
    assert!(some < all, "{some} of {all}");
    for wrong in ["0", "-1", "some"] {
        verify(&lab, &["--sample", wrong]).left(2);
    }
}

#[test]
fn whoever_leaves_a_verification_ends_it_and_harms_nobody() {
    let (lab, repo) = (Lab::new(), fx());
    let first = realize(&lab, &repo);
    for _ in 0..3 {
        let client = Client::start(lab.kbs().args(["store", "verify", "--repair", "--json"]));
        std::thread::sleep(Duration::from_millis(60));
        client.signal(Signal::INT);
        let code = client.finish().code;
        // It may have been done already, or not have begun to heed interrupts.
        assert!(matches!(code, Some(0 | 4) | None), "{code:?}");
    }
    until("nobody works for them", Duration::from_secs(20), || {
        let status = lab.run(["daemon", "status", "--json"]).done().json();
        status["waiting_requests"] == 0
    });
    verify(&lab, &[]).done();
    assert_eq!(realize(&lab, &repo).key, first.key);
}

#[test]
fn counts_and_sizes_add_up() {
    let (lab, repo) = (Lab::new(), fx());
    let first = realize(&lab, &repo);
    let spec = FxSpec::new(&repo).config("CONFIG_NAME=\"b\"");
    lab.realize(&spec, &["--json"]).done();
    lab.run(["root", "add", "a", &first.key]).done();
    let stat = lab.run(["store", "stat", "--json"]).done().json();
    assert_eq!(
        (&stat["outputs"], &stat["images"], &stat["roots"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert!(stat["layers"].as_u64().unwrap() > 0 && stat["index_b"].as_u64().unwrap() > 0);
    assert!(stat["dedupe_hundredths"].as_u64().unwrap() >= 100, "{stat}");
    let parts = lab.run(["store", "du", "--json"]).done().events();
    let part = |name: &str| parts.iter().find(|part| part["name"] == name).unwrap();
    assert!(part("blobs")["size_b"].as_u64() >= stat["blobs_b"].as_u64());
    assert_eq!(part("outputs")["files"], 4);
    let text = lab.run(["store", "stat"]).done().out + &lab.run(["store", "du"]).done().out;
    for words in ["times what is on disk", "schema", "PART", "DISK", "all "] {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
}

#[test]
fn an_index_that_is_made_again_knows_what_the_old_one_did() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    let link = lab.dir().join("result");
    let a = lab.realize(&spec, &["--json", "--out-link", link.to_str().unwrap()]).done().output();
    lab.realize(&spec.clone().config("CONFIG_NAME=\"b\""), &[]).done();
    lab.realize(&spec.clone().config("CONFIG_FAIL=y"), &[]).left(1);
    lab.run(["root", "add", "release", &a.key]).done();
    let all = |lab: &Lab| {
        let lists: [&[&str]; 4] = [&["ls"], &["ls", "--failed"], &["root", "ls"], &["image", "ls"]];
        lists.map(|list| lab.run([list, &["--json"]].concat()).done().out)
    };
    let before = all(&lab);
    let pid = lab.daemon_pid().as_raw_nonzero().to_string();
    let refused = lab.run(["store", "rebuild-index"]).left(3);
    refused.telling(&["in use by process", &pid, "kbs daemon stop"]);
    lab.run(["daemon", "stop"]).done();

    let database = lab.state().join("kbs.redb");
    for length in [0, 4096, std::fs::metadata(&database).unwrap().len() / 2] {
        let file = std::fs::File::options().write(true).open(&database).unwrap();
        file.set_len(length).unwrap();
        drop(file);
        // What is cut off may be nothing that this needs.
        let told = [lab.run(["ls", "--no-daemon"]), lab.run(["ls"])];
        if length <= 4096 {
            for answer in told {
                answer.left(3).telling(&["damaged", "kbs store rebuild-index"]);
            }
        }
        lab.run(["daemon", "stop"]).done();
        let rebuilt = lab.run(["store", "rebuild-index"]).done();
        assert!(rebuilt.out.contains("outputs    2, "), "{rebuilt}");
        assert_eq!(all(&lab), before, "after {length} bytes were left");
        assert!(!lab.realize(&spec, &["--json"]).done().output().built);
        verify(&lab, &[]).done();
        lab.run(["daemon", "stop"]).done();
    }
    // A sound one can be made again, too.
    lab.run(["store", "rebuild-index", "--json"]).done().json();
    assert_eq!(all(&lab), before);
    let nowhere = lab.dir().join("nowhere");
    let nowhere = ["store", "rebuild-index", "--state", nowhere.to_str().unwrap()];
    lab.run(nowhere).left(2).telling(&["there is no kbs state directory"]);
    lab.run(["store", "rebuild-index", "--socket", "/nowhere"]).left(2);
}
