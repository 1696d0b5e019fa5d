//! What `kbs gc` and `kbs store` ask, show and exit with.

use std::process::Stdio;
use std::time::Duration;

use kbs_proto::pb;
use kbs_proto::pb::{collect_event, verify_event};

use crate::fake::{Fake, KEY, Script, Then, run};

fn decision(kind: &str, id: &str, why: &str) -> pb::CollectDecision {
    pb::CollectDecision {
        kind: kind.to_owned(),
        id: id.to_owned(),
        name: id.to_owned(),
        size_b: 2048,
        last_use_unix_s: 951_782_400,
        goes: matches!(why, "unheld" | "unused" | "room"),
        why: why.to_owned(),
        ..Default::default()
    }
}

fn holder(kind: &str, name: &str) -> pb::CollectHolder {
    pb::CollectHolder { kind: kind.to_owned(), name: name.to_owned() }
}

/// A collection that decides everything that can be decided.
fn collected() -> Vec<collect_event::Event> {
    let layer = "layer:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let image = "sha256:aa112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let named = |decision| pb::CollectDecision { name: "klipper-v1".to_owned(), ..decision };
    let all = [
        named(decision("output", KEY, "unheld")),
        pb::CollectDecision { number: 864_000, ..named(decision("output", KEY, "unused")) },
        decision("layer", layer, "room"),
        decision("failure", KEY, "not-asked"),
        pb::CollectDecision { number: 3, ..named(decision("output", KEY, "newest")) },
        pb::CollectDecision {
            held_by: vec![holder("root", "release"), holder("work", "")],
            ..named(decision("output", KEY, "held"))
        },
        pb::CollectDecision {
            held_by: vec![holder("image-name", "arm"), holder("kept", "0011-x")],
            ..decision("image", image, "held")
        },
        decision("kept", "0011-x", "not-asked"),
    ];
    let progress = pb::CollectProgress { step: "list".to_owned(), done: 0, of: 0 };
    let summary = pb::CollectSummary { things: 3, blobs: 2, freed_b: 6 << 20, stay: 5, litter: 1 };
    std::iter::once(collect_event::Event::Progress(progress))
        .chain(all.map(collect_event::Event::Decision))
        .chain([collect_event::Event::Summary(summary)])
        .collect()
}

/// The same when it is no dry run.
fn went() -> Vec<collect_event::Event> {
    let mut events = collected();
    let gone = pb::CollectGone { things: 3, size_b: 7 << 20, stay: 5 };
    events.insert(events.len() - 1, collect_event::Event::Gone(gone));
    events
}

#[test]
fn a_dry_run_tells_of_everything_and_the_other_of_what_went() {
    let fake = Fake::start(Script { collected: collected(), ..Script::default() });
    let told = run(&mut fake.kbs(&["gc", "--all", "-n"])).transcript(fake.dir.path());
    insta::assert_snapshot!(told, @r"
        status 0
        -- stdout
        FATE   KIND     ID            NAME        SIZE     USED              WHY
        goes   output   001122334455  klipper-v1  2.0 KiB  2000-02-29 00:00  nothing needs it
        goes   output   001122334455  klipper-v1  2.0 KiB  2000-02-29 00:00  not used for 10 days
        goes   layer    001122334455              2.0 KiB  2000-02-29 00:00  room is wanted, and it is the least recently used
        stays  failure  001122334455              2.0 KiB  2000-02-29 00:00  nothing asks for it to go
        stays  output   001122334455  klipper-v1  2.0 KiB  2000-02-29 00:00  among the 3 newest of its project
        stays  output   001122334455  klipper-v1  2.0 KiB  2000-02-29 00:00  kept by the root release, in use
        stays  image    aa1122334455              2.0 KiB  2000-02-29 00:00  named arm, needed by the work tree 0011-x
        stays  kept     0011-x                    2.0 KiB  2000-02-29 00:00  nothing asks for it to go
        would free 6.0 MiB: 3 things would go, 5 would stay
        -- stderr
        ");
    assert_eq!(run(&mut fake.kbs(&["gc", "-n", "--json"])).json().len(), 9);
    let fake = Fake::start(Script { collected: went(), ..Script::default() });
    let went = run(&mut fake.kbs(&["gc", "--all"])).transcript(fake.dir.path());
    insta::assert_snapshot!(went, @r"
        status 0
        -- stdout
        3 things went, 5 stay; up to 7.0 MiB are being freed
        -- stderr
        ");
    for wait in ["--wait", "--free=1G", "--max-size=1G"] {
        let went = run(&mut fake.kbs(&["gc", "--all", wait])).transcript(fake.dir.path());
        insta::allow_duplicates!(insta::assert_snapshot!(went, @r"
            status 0
            -- stdout
            freed 6.0 MiB: 3 things went, 5 stay, and swept 1 leftover
            -- stderr
            "));
    }
    let went = run(&mut fake.kbs(&["gc", "--all", "-v"]));
    assert!(went.stdout.contains("goes") && !went.stdout.contains("stays"), "{went:?}");
    let went = run(&mut fake.kbs(&["gc", "--json"])).json();
    assert_eq!(
        (went.len(), &went[3]["event"]),
        (4, &"gone".into()),
        "what stays is no news: {went:?}"
    );
    let went = run(&mut fake.kbs(&["gc", "--json", "--wait"])).json();
    assert_eq!(went.len(), 5, "{went:?}");
    assert_eq!(went[1]["unused_s"], 864_000);
    assert_eq!((&went[4]["event"], &went[4]["blobs"]), (&"summary".into(), &2.into()));
}

#[test]
fn what_is_asked_is_what_was_said() {
    let fake = Fake::start(Script { collected: collected(), ..Script::default() });
    let asked = |args: &[&str]| {
        let ended = run(&mut fake.kbs(&[&["gc"], args].concat()));
        assert_eq!(ended.status, Some(0), "{ended:?}");
        fake.seen.lock().unwrap().collect.pop().unwrap()
    };
    assert_eq!(asked(&[]), pb::CollectRequest { dry_run: false, policy: None });
    assert_eq!(asked(&["-n"]), pb::CollectRequest { dry_run: true, policy: None });
    let all = ["--all", "--older-than=2d", "--max-size=3K", "--free=1G", "--keep=0"];
    let policy = pb::CollectPolicy {
        everything: true,
        older_than_s: Some(172_800),
        max_size_b: Some(3072),
        min_free_b: Some(1 << 30),
        keep: Some(0),
    };
    assert_eq!(asked(&all).policy, Some(policy));
}

#[test]
fn damage_that_stays_is_the_hosts_and_damage_that_was_repaired_nobodys() {
    let finding = |done: &str| {
        verify_event::Event::Finding(pb::Finding {
            what: KEY.to_owned(),
            path: "/state/outputs/x".to_owned(),
            problem: "it holds other bytes than it should".to_owned(),
            done: done.to_owned(),
        })
    };
    let seen = pb::VerifyProgress { things: 1, files: 20, read_b: 5 << 20 };
    let verify = |findings: Vec<verify_event::Event>| {
        let progress = [verify_event::Event::Progress(seen)].into_iter();
        let end = [verify_event::Event::Summary(seen)];
        let verified = progress.chain(findings).chain(end).collect();
        let fake = Fake::start(Script { verified, ..Script::default() });
        run(&mut fake.kbs(&["store", "verify"])).transcript(fake.dir.path())
    };
    insta::assert_snapshot!(verify(Vec::new()), @r"
        status 0
        -- stdout
        -- stderr
        compared 1 thing and 20 files, 5.0 MiB; nothing is wrong
        ");
    insta::assert_snapshot!(verify(vec![finding(""), finding("restored")]), @r"
        status 3
        -- stdout
        WHAT                                                                  PROBLEM                              DONE      FILE
        key:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff  it holds other bytes than it should  -         /state/outputs/x
        key:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff  it holds other bytes than it should  restored  /state/outputs/x
        -- stderr
        compared 1 thing and 20 files, 5.0 MiB; 2 findings, 1 not repaired
        repair what can be with `kbs store verify --repair`
        ");
    let repaired = verify(vec![finding("restored"), finding("forgotten"), finding("removed")]);
    assert!(repaired.starts_with("status 0\n") && repaired.contains("all repaired"), "{repaired}");
    let left = verify(vec![finding("in use, and left")]);
    assert!(left.starts_with("status 3\n"), "{left}");
}

#[test]
fn an_answer_without_its_end_is_none() {
    let fake = Fake::start(Script::default());
    for args in [&["gc"][..], &["store", "verify"]] {
        let ended = run(&mut fake.kbs(args));
        assert_eq!(ended.status, Some(3), "{ended:?}");
        assert!(ended.stderr.contains("the daemon went away"), "{ended:?}");
    }
}

#[test]
fn an_interrupt_ends_a_collection_and_a_verification_with_4() {
    for args in [&["gc", "-v"][..], &["store", "verify", "-v"]] {
        let seen = pb::VerifyProgress::default();
        let fake = Fake::start(Script {
            collected: collected().into_iter().take(1).collect(),
            verified: vec![verify_event::Event::Progress(seen)],
            then: Then::Wait,
            ..Script::default()
        });
        let mut command = fake.kbs(args);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(4), "{ended:?}");
        fake.wait_for_withdrawal();
    }
}
