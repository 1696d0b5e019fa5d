//! Answers of the commands that build nothing.

use std::io::{Read, Write};
use std::process::Stdio;

use kbs_plan::derivation::{Derivation, Pins};
use kbs_plan::id::ConfigHash;
use kbs_plan::recipe::builtin;
use kbs_proto::pb;

use crate::fake::{Fake, KEY, Script, kbs, run};

fn planned() -> (Derivation, Script) {
    let pins = Pins {
        commit: "61c0c8d2ef40340781835dd53fb04cc7a454e37a".to_owned(),
        submodules: std::collections::BTreeMap::new(),
        head: String::new(),
        version: "v0.13.0".to_owned(),
        epoch: 1,
        config: Some(ConfigHash::of(b"CONFIG_A=y\n")),
        toolchain: format!("sha256:{}", "0".repeat(64)),
    };
    let derivation = Derivation::new(&builtin("make").unwrap().finish().unwrap(), pins);
    let planned = pb::Planned {
        key: derivation.key().to_string(),
        derivation_json: derivation.canonical(),
        cached: true,
        config: "CONFIG_A=y\n".to_owned(),
    };
    (derivation, Script { events: vec![pb::event::Event::Planned(planned)], ..Script::default() })
}

fn plan(fake: &Fake, args: &[&str]) -> crate::fake::Ended {
    run(fake.kbs(&[&["plan"], args].concat()).arg(fake.spec()))
}

#[test]
fn a_plan_is_summed_up_or_given_exactly() {
    let (derivation, script) = planned();
    let fake = Fake::start(script);
    let summary = plan(&fake, &[]).transcript(fake.dir.path());
    insta::assert_snapshot!(summary.replace(&derivation.key().hex(), "HEX"), @r"
        status 0
        -- stdout
        project    make
        version    v0.13.0
        commit     61c0c8d2ef40340781835dd53fb04cc7a454e37a
        config     config:af4f6df471210313b018874b972a089eae6a60eaa319a89fb63e70103c0e7e88
        toolchain  sha256:0000000000000000000000000000000000000000000000000000000000000000
        key        key:HEX
        cached     yes
        -- stderr
        ");
    assert_eq!(plan(&fake, &["--canonical"]).stdout, derivation.canonical());
    assert_eq!(plan(&fake, &["--show-config"]).stdout, "CONFIG_A=y\n");
    let answer = &plan(&fake, &["--json"]).json()[0];
    assert_eq!(answer["key"], derivation.key().to_string());
    assert_eq!(answer["derivation"]["version"], "v0.13.0");
    assert_eq!(plan(&fake, &["--canonical", "--json"]).status, Some(2));
}

#[test]
fn a_key_of_another_derivation_is_not_believed() {
    let (_, mut script) = planned();
    let pb::event::Event::Planned(planned) = &mut script.events[0] else { panic!("no plan") };
    planned.key = KEY.to_owned();
    assert_eq!(plan(&Fake::start(script), &[]).status, Some(70));
}

#[test]
fn logs_are_given_as_they_are() {
    let log = b"CC main.o\n\x1b[31mred\x1b[0m \xff\n".to_vec();
    let fake = Fake::start(Script { log: log.clone(), ..Script::default() });
    let output = fake.kbs(&["log", "0011"]).output().unwrap();
    assert_eq!(output.stdout, log);
    assert!(fake.kbs(&["log", KEY]).output().unwrap().status.success());
    assert_eq!(fake.seen.lock().unwrap().keys, ["0011", KEY]);
}

#[test]
fn outputs_are_listed() {
    let entry = pb::ListEntry {
        key: KEY.to_owned(),
        name: "klipper-v1".to_owned(),
        project: "klipper".to_owned(),
        version: "v1".to_owned(),
        size_b: 31_337,
        created_unix_s: 1_700_000_000,
        ..Default::default()
    };
    let fake = Fake::start(Script { list: vec![entry], ..Script::default() });
    insta::assert_snapshot!(run(&mut fake.kbs(&["ls"])).transcript(fake.dir.path()), @r"
        status 0
        -- stdout
        KEY           PROJECT  VERSION  CREATED           SIZE
        001122334455  klipper  v1       2023-11-14 22:13  30.6 KiB
        -- stderr
        ");
    let lines = run(&mut fake.kbs(&["ls", "--json"])).json();
    assert_eq!((&lines[0]["key"], &lines[0]["failure"]), (&KEY.into(), &serde_json::Value::Null));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let entry = pb::ListEntry { key: KEY.to_owned(), ..Default::default() };
    let fake = Fake::start(Script { list: vec![entry; 10_000], ..Script::default() });
    let mut command = fake.kbs(&["ls"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 3];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    drop(out);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((&first, ended.status.code(), ended.stderr.as_slice()), (b"KEY", Some(0), &b""[..]));
}

#[test]
fn sources_on_this_host_become_absolute() {
    let fake = Fake::start(Script::default());
    for url in [".", "https://example.org/k.git", "git@example.org:k.git"] {
        let shown = run(fake.kbs(&["source", "add", "k", url]).current_dir(fake.dir.path()));
        assert_eq!(shown.status, Some(0), "{}", shown.stderr);
    }
    assert_eq!(run(&mut fake.kbs(&["source", "add", "k", "no/such/place"])).status, Some(2));
    let here = fake.dir.path().canonicalize().unwrap();
    let seen = fake.seen.lock().unwrap();
    let urls: Vec<_> = seen.sources.iter().map(|source| source.url.as_str()).collect();
    assert_eq!(
        urls,
        [here.to_str().unwrap(), "https://example.org/k.git", "git@example.org:k.git"]
    );
}

#[test]
fn what_the_daemon_refuses_is_told_with_its_help() {
    let fake = Fake::start(Script::default());
    let shown = run(&mut fake.kbs(&["source", "rm", "k"]));
    insta::assert_snapshot!(shown.transcript(fake.dir.path()), @r"
        status 2
        -- stdout
        -- stderr
        error: there is no source `k`
          caused by: inner

        help: see `kbs source ls`
        ");
}

#[test]
fn an_archive_arrives_whole_and_its_digest_is_printed() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();

    let fake = Fake::start(Script::default());
    let args = ["image", "import", file.path().to_str().unwrap(), "--name=arm", "--digest=d"];
    let shown = run(&mut fake.kbs(&args));
    assert_eq!((shown.status, shown.stdout.as_str()), (Some(0), "sha256:0123\n"));
    {
        let seen = fake.seen.lock().unwrap();
        assert!(seen.imported == bytes);
        let header = seen.import.as_ref().unwrap();
        assert_eq!((header.name.as_str(), header.digest.as_str()), ("arm", "d"));
        assert_eq!(header.host, None);
    }

    let fake = Fake::start(Script::default());
    let mut command = fake.kbs(&["image", "import", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(fake.seen.lock().unwrap().imported == bytes);
}

#[test]
fn a_layout_is_sent_as_the_same_tar_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(dir.path().join("index.json"), "{}").unwrap();
    std::fs::write(dir.path().join("unrelated"), "private").unwrap();
    for name in ["b", "a"] {
        std::fs::write(blobs.join(name.repeat(64)), name).unwrap();
    }
    let mut sent = Vec::new();
    for _ in 0..2 {
        let fake = Fake::start(Script::default());
        let shown = run(&mut fake.kbs(&["image", "import", dir.path().to_str().unwrap()]));
        assert_eq!(shown.status, Some(0), "{}", shown.stderr);
        sent.push(std::mem::take(&mut fake.seen.lock().unwrap().imported));
    }
    assert!(sent[0] == sent[1]);
    let mut tar = tar::Archive::new(sent[0].as_slice());
    let names: Vec<_> =
        tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    let [a, b] = ["a", "b"].map(|name| format!("blobs/sha256/{}", name.repeat(64)));
    assert_eq!(names, [a.as_ref(), b.as_ref(), std::path::Path::new("index.json")]);

    std::fs::remove_file(dir.path().join("index.json")).unwrap();
    let fake = Fake::start(Script::default());
    let shown = run(&mut fake.kbs(&["image", "import", dir.path().to_str().unwrap()]));
    assert_eq!(shown.status, Some(2));
    assert_eq!(fake.seen.lock().unwrap().import, None);
}

#[test]
fn a_snapshot_of_the_host_is_asked_for_by_its_parts() {
    let fake = Fake::start(Script::default());
    let args = ["image", "import", "--from-host", "--program=gcc", "--program=make", "--package=x"];
    assert_eq!(run(&mut fake.kbs(&args)).status, Some(0));
    let seen = fake.seen.lock().unwrap();
    let host = seen.import.as_ref().unwrap().host.as_ref().unwrap();
    assert_eq!((host.programs.join(" "), host.packages.join(" ")), ("gcc make".into(), "x".into()));
}

#[test]
fn images_are_inspected_by_name_and_by_digest() {
    let image = |digest: &str, name: &str| pb::ImageEntry {
        digest: format!("sha256:{digest}"),
        names: vec![name.to_owned()],
        ..Default::default()
    };
    let images = vec![image("aaaa1", "arm"), image("aaaa2", "aaaa")];
    let fake = Fake::start(Script { images, ..Script::default() });
    let digest = |wanted: &str| {
        let shown = run(&mut fake.kbs(&["image", "inspect", "--json", wanted]));
        shown.json()[0]["digest"].as_str().map(str::to_owned).ok_or(shown.status)
    };
    assert_eq!(digest("arm"), Ok("sha256:aaaa1".to_owned()));
    assert_eq!(digest("aaaa"), Ok("sha256:aaaa2".to_owned()), "a name comes before digits");
    assert_eq!(digest("sha256:aaaa1"), Ok("sha256:aaaa1".to_owned()));
    assert_eq!(digest("sha256:aaaa"), Err(Some(2)), "several");
    assert_eq!(digest("mips"), Err(Some(2)), "none");
}

#[test]
fn the_doctor_fails_only_for_what_is_required() {
    let layer = |layer: &str, ok, required| pb::DoctorEntry {
        layer: layer.to_owned(),
        ok,
        required,
        text: if ok { "there" } else { "kernel says no" }.to_owned(),
        fix: if ok { "" } else { "sysctl -w x=1" }.to_owned(),
        matters: "it keeps builds in".to_owned(),
    };
    let layers = vec![layer("namespaces", true, true), layer("cgroup", false, false)];
    let fake = Fake::start(Script { layers: layers.clone(), ..Script::default() });
    assert_eq!(run(&mut fake.kbs(&["doctor"])).status, Some(0));
    let layers = [layers, vec![layer("landlock", false, true)]].concat();
    let fake = Fake::start(Script { layers, ..Script::default() });
    insta::assert_snapshot!(run(&mut fake.kbs(&["doctor"])).transcript(fake.dir.path()), @r"
        status 3
        -- stdout
        LAYER       STATE            FOUND
        namespaces  OK               there
        cgroup      FAIL (optional)  kernel says no
        landlock    FAIL             kernel says no

        cgroup: it keeps builds in
          fix: sysctl -w x=1

        landlock: it keeps builds in
          fix: sysctl -w x=1
        -- stderr
        builds are refused until every required layer is there
        ");
}

#[test]
fn recipes_scripts_and_pages_need_no_daemon() {
    let ls = run(&mut kbs(&["recipe", "ls"]));
    assert!(ls.stdout.contains("\nklipper "), "{}", ls.stdout);
    let show = run(&mut kbs(&["recipe", "show", "klipper"]));
    assert_eq!(Some(show.stdout.as_str()), kbs_plan::recipe::builtin_text("klipper"));
    assert_eq!(run(&mut kbs(&["recipe", "show", "nope"])).status, Some(2));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(&mut kbs(&["completion", shell])).stdout.contains("realize"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(kbs(&["man", "--dir"]).arg(dir.path())).status, Some(0));
    for page in ["kbs.1", "kbs-realize.1", "kbs-source-add.1"] {
        assert!(dir.path().join(page).exists(), "{page}");
    }
    assert!(run(&mut kbs(&["man"])).stdout.starts_with(".ie"));
}

#[test]
fn a_wrong_command_line_exits_with_2_and_help_with_0() {
    assert_eq!(run(&mut kbs(&["realise"])).status, Some(2));
    assert_eq!(run(&mut kbs(&["log", "xyz", "--state=/nowhere"])).status, Some(2));
    assert_eq!(run(&mut kbs(&["--version"])).status, Some(0));
    let shown = run(&mut kbs(&["ls"]));
    assert_eq!(shown.status, Some(2));
    assert!(shown.stderr.contains("HOME is not set\n\nhelp: give --state DIR"), "{}", shown.stderr);
}
