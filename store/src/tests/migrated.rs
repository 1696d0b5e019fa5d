//! A state directory of schema 1, opened by today's code.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kbs_plan::id::BuildKey;
use redb::ReadableTable as _;

use super::crash::victim::{Part, run};
use super::{Lab, firmware, log, names_in, record};
use crate::row::Ending;
use crate::tables::{CONFIGURED, SCHEMA};
use crate::{FailureRecord, JobOutcome, JobRow, OutputRow, Repair, Scope, Store, Thing, Usage};

/// What an older kbs wrote for the records of [`make_files`].
fn old_database() -> Vec<u8> {
    let packed = include_bytes!("fixtures/schema-1.redb.zst");
    zstd::decode_all(packed.as_slice()).unwrap()
}

fn broken() -> FailureRecord {
    FailureRecord {
        key: BuildKey::of(b"broken"),
        name: "broken".to_owned(),
        project: "klipper".to_owned(),
        commit: "84104bbb".to_owned(),
        asked_ref: "master".to_owned(),
        version: "v1".to_owned(),
        derivation: "{}".to_owned(),
        reason: "make said 2".to_owned(),
        created_unix_s: 1_800_000_100,
        who: String::new(),
        phases: Vec::new(),
        usage: Usage::default(),
    }
}

fn job() -> JobRow {
    JobRow {
        who: "uid 1000".to_owned(),
        asked_unix_s: 1_800_000_000,
        key: Some(record("mcu").key),
        name: "mcu".to_owned(),
        outcome: JobOutcome::Built,
        took_ms: 5,
    }
}

/// Makes the files that lay beside the old database, and puts that in its place. The records had
/// nobody's name in them.
fn make_files(lab: &Lab) -> Vec<OutputRow> {
    let old = |name: &str| crate::OutputRecord { who: String::new(), ..record(name) };
    let store = lab.open();
    for name in ["mcu", "rpi"] {
        let tree = firmware(&store, name);
        store.commit(&old(name), tree, Some(log(&store, "CC\n"))).unwrap();
    }
    let mut again = old("again");
    again.content = record("mcu").content;
    store.alias(&again, record("mcu").key).unwrap();
    store.record_failure(&broken(), Some(log(&store, "error\n"))).unwrap();
    let made = store.outputs().unwrap();
    drop(store);
    // An older kbs kept failures in its database only.
    fs::remove_file(lab.state.join(format!("meta/{}.failed.json", broken().key.hex()))).unwrap();
    fs::write(lab.state.join("kbs.redb"), old_database()).unwrap();
    made
}

/// Everything that the old database said.
fn is_all_there(store: &Store, made: &[OutputRow]) {
    let listed: BTreeMap<_, _> =
        store.outputs().unwrap().into_iter().map(|row| (row.record.name.clone(), row)).collect();
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["again", "mcu", "rpi"]);
    for row in made {
        let used = if row.record.name == "rpi" { 1_900_000_000 } else { 1_800_000_000 };
        let expected = OutputRow { last_use_unix_s: used, ..row.clone() };
        assert_eq!(listed[&row.record.name], expected);
        assert_eq!(store.output(row.record.key).unwrap().found().as_ref(), Some(&expected));
        assert_eq!(store.last_use(Thing::Output(row.record.key)).unwrap(), used);
        let log = store.read_log(row.record.key, Ending::Succeeded, 0).unwrap().unwrap();
        assert_eq!(std::io::read_to_string(log).unwrap(), "CC\n");
    }
    assert_eq!(listed["again"].stored_as, listed["mcu"].stored_as);
    let [mcu, rpi] = ["mcu", "rpi"].map(record);
    assert_eq!(store.by_content(mcu.content).unwrap(), Some(mcu.key));
    assert_eq!(store.by_content(rpi.content).unwrap(), Some(rpi.key));

    let failures: Vec<_> = store.failures().unwrap().into_iter().map(|row| row.record).collect();
    assert_eq!(failures, [broken()]);
    assert_eq!(store.jobs(10).unwrap(), [job()]);
    let names = [("@taken.arm", "17"), ("arm", "sha256:aa")];
    assert_eq!(
        store.image_names().unwrap(),
        names.map(|(name, digest)| (name.to_owned(), digest.to_owned()))
    );
    let configured = store.db.read("list configurations", |txn| {
        let mut texts = Vec::new();
        for row in txn.open_table(CONFIGURED)?.iter()? {
            texts.push(row?.1.value().to_vec());
        }
        Ok(texts)
    });
    assert_eq!(configured.unwrap(), [b"CONFIG_X=y\n"]);

    let version = store.db.read("read the version", |txn| {
        Ok(txn.open_table(SCHEMA)?.get("version")?.map(|version| version.value()))
    });
    assert_eq!(version.unwrap(), Some(2));
    let verified = store.verify(Scope::Whole, Repair::No, &mut |_| true).unwrap();
    assert_eq!(verified.findings, []);
}

fn is_kept(state: &Path) {
    let kept = fs::read(state.join("kbs.redb.schema-1")).unwrap();
    assert!(kept == old_database(), "what is kept is not what was there");
}

#[test]
fn everything_of_an_older_database_is_there_and_the_old_one_kept() {
    let lab = Lab::new();
    let made = make_files(&lab);
    let store = lab.open();
    is_all_there(&store, &made);
    is_kept(&lab.state);
    assert!(names_in(&store.paths().scratch()).is_empty());
    drop(store);

    // Again, nothing happens.
    let bytes = fs::read(lab.state.join("kbs.redb.schema-1")).unwrap();
    let names = names_in(&lab.state);
    is_all_there(&lab.open(), &made);
    assert_eq!(names_in(&lab.state), names);
    assert_eq!(fs::read(lab.state.join("kbs.redb.schema-1")).unwrap(), bytes);
}

#[test]
fn a_kill_at_any_step_of_a_migration_loses_nothing() {
    let lab = Lab::new();
    let made = make_files(&lab);
    let mut kills = 0;
    for step in 0.. {
        // What the migration before has left, and the old database again.
        fs::write(lab.state.join("kbs.redb"), old_database()).unwrap();
        fs::remove_file(lab.state.join("kbs.redb.schema-1")).ok();
        if run(&lab.state, Part::Open, &format!("kill:{step}")).ended {
            break;
        }
        kills += 1;
        let store = lab.open();
        is_all_there(&store, &made);
        is_kept(&lab.state);
        assert!(names_in(&store.paths().scratch()).is_empty());
    }
    assert!(kills > 20, "{kills}");
}

#[test]
fn a_migration_that_is_refused_a_change_is_told_and_can_be_tried_again() {
    let lab = Lab::new();
    let made = make_files(&lab);
    let mut told = 0;
    for step in 0.. {
        fs::write(lab.state.join("kbs.redb"), old_database()).unwrap();
        fs::remove_file(lab.state.join("kbs.redb.schema-1")).ok();
        let error = if step % 2 == 0 { "ENOSPC" } else { "EIO" };
        let report = run(&lab.state, Part::Open, &format!("{error}:{step}"));
        if report.refused.is_none() {
            break;
        }
        if let Some((_, text)) = report.failed {
            assert!(text.contains(&lab.state.display().to_string()), "step {step}: {text}");
            told += 1;
        }
        is_all_there(&lab.open(), &made);
        is_kept(&lab.state);
    }
    assert!(told > 20, "{told}");
}
