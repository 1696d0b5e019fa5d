//! Failures, jobs and what is worth remembering.

use kbs_plan::id::{BuildKey, ConfigureKey};

use super::Lab;
use crate::row::Ending;
use crate::{FailureRecord, JobOutcome, JobRow, LookUp, Store};

/// Records a failure.
pub(super) fn fail(store: &Store, key: BuildKey, text: &str) {
    let record = FailureRecord {
        key,
        name: "mcu".to_owned(),
        project: "klipper".to_owned(),
        commit: "84104bbb".to_owned(),
        asked_ref: "master".to_owned(),
        version: "v0.13.0".to_owned(),
        derivation: "{}".to_owned(),
        reason: text.to_owned(),
        created_unix_s: text.len() as u64,
        who: String::new(),
        phases: Vec::new(),
        usage: crate::Usage::default(),
    };
    let row = store.record_failure(&record, Some(super::log(store, text))).unwrap();
    assert_eq!(row.log.unwrap().size_b, text.len() as u64);
}

#[test]
fn the_latest_failure_and_its_log_stay_and_are_no_output() {
    let lab = Lab::new();
    let store = lab.open();
    let [one, two] = [b"1", b"2"].map(|bytes| BuildKey::of(bytes));
    fail(&store, one, "first\n");
    fail(&store, one, "second, longer\n");
    fail(&store, two, "other\n");
    drop(store);
    let store = lab.open();
    assert_eq!(store.failure(one).unwrap().unwrap().record.reason, "second, longer\n");
    assert_eq!(store.failure(BuildKey::of(b"3")).unwrap(), None);
    let keys: Vec<_> = store.failures().unwrap().iter().map(|row| row.record.key).collect();
    assert_eq!(keys, [one, two]);
    let log = store.read_log(one, Ending::Failed, 8).unwrap().unwrap();
    assert_eq!(std::io::read_to_string(log).unwrap(), "longer\n");
    assert!(matches!(store.output(one).unwrap(), LookUp::Absent));
}

#[test]
fn the_latest_jobs_are_kept() {
    let lab = Lab::new();
    let store = lab.open();
    let job = |n: u64| JobRow {
        who: "uid 1000".to_owned(),
        asked_unix_s: n,
        key: None,
        name: "mcu".to_owned(),
        outcome: JobOutcome::Reused,
        took_ms: 4,
    };
    store.record_jobs(&(0..9_990).map(job).collect::<Vec<_>>()).unwrap();
    store.record_jobs(&(9_990..10_020).map(job).collect::<Vec<_>>()).unwrap();
    let jobs = store.jobs(usize::MAX).unwrap();
    assert_eq!(jobs.len(), 10_000);
    assert_eq!((jobs[0].clone(), jobs[9_999].clone()), (job(10_019), job(20)));
    assert_eq!(store.jobs(2).unwrap(), [job(10_019), job(10_018)]);
}

#[test]
fn what_is_remembered_is_there_after_opening_again() {
    let lab = Lab::new();
    let store = lab.open();
    let key = ConfigureKey::of(b"x");
    assert_eq!(store.configured(key).unwrap(), None);
    store.remember_configured(key, b"CONFIG_A=y\n").unwrap();
    store.set_image_name("gcc", "sha256:01").unwrap();
    store.set_image_name("gcc", "sha256:02").unwrap();
    store.set_image_name("avr", "sha256:03").unwrap();
    drop(store);
    let store = lab.open();
    assert_eq!(store.configured(key).unwrap().unwrap(), b"CONFIG_A=y\n");
    assert_eq!(store.image_name("gcc").unwrap().unwrap(), "sha256:02");
    let names = store.image_names().unwrap();
    assert_eq!(names.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["avr", "gcc"]);
    assert_eq!(store.remove_image_name("gcc").unwrap().unwrap(), "sha256:02");
    assert_eq!(store.remove_image_name("gcc").unwrap(), None);
    assert_eq!(store.image_name("gcc").unwrap(), None);
}
