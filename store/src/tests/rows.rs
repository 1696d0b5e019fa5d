//! Rows: every value comes back, and bytes of another version or none are errors.

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use kbs_plan::id::{Id, Kind};

use crate::row::{Row, TreeRow, Usage};
use crate::{
    FailureRecord, FailureRow, JobOutcome, JobRow, LogFacts, OutputRecord, OutputRow, Phase,
    RowError, StoredAs,
};

fn id<K: Kind>() -> impl Strategy<Value = Id<K>> {
    any::<[u8; 32]>().prop_map(Id::from_bytes)
}

fn phases() -> impl Strategy<Value = Vec<Phase>> {
    vec(any::<(String, u64)>().prop_map(|(name, took_ms)| Phase { name, took_ms }), 0..4)
}

fn log_facts() -> impl Strategy<Value = Option<LogFacts>> {
    option::of((any::<(u64, u64)>(), id()).prop_map(|((size_b, dropped_b), digest)| LogFacts {
        size_b,
        dropped_b,
        digest,
    }))
}

prop_compose! {
    fn output_records()(
        (key, content, config) in (id(), id(), option::of(id())),
        used: (u64, u64, u64),
        [name, project, commit, asked_ref, version, toolchain, derivation] in any::<[String; 7]>(),
        created_unix_s: u64,
        phases in phases(),
        warnings in vec(any::<String>(), 0..3),
        marks in btree_set(any::<String>(), 0..3),
    ) -> OutputRecord {
        OutputRecord {
            key, content, name, project, commit, asked_ref, version, config, toolchain, derivation,
            created_unix_s, phases, warnings, marks,
            usage: Usage {
                user_ms: used.0,
                system_ms: used.1,
                memory_peak_b: used.2,
                ..Usage::default()
            },
        }
    }
}

prop_compose! {
    fn output_rows()(
        record in output_records(),
        (tree, stored_key) in (id(), id()),
        stored_name: String,
        entries: u32,
        (size_b, last_use_unix_s) in any::<(u64, u64)>(),
        log in log_facts(),
    ) -> OutputRow {
        let stored_as = StoredAs { key: stored_key, name: stored_name };
        OutputRow { record, tree, entries, size_b, stored_as, log, last_use_unix_s }
    }
}

prop_compose! {
    fn failure_rows()(
        key in id(),
        [name, project, commit, asked_ref, version, derivation, reason] in any::<[String; 7]>(),
        created_unix_s: u64,
        phases in phases(),
        log in log_facts(),
    ) -> FailureRow {
        let record = FailureRecord {
            key, name, project, commit, asked_ref, version, derivation, reason, created_unix_s,
            phases, usage: Usage::default(),
        };
        FailureRow { record, log }
    }
}

prop_compose! {
    fn job_rows()(
        [who, name] in any::<[String; 2]>(),
        (asked_unix_s, took_ms) in any::<(u64, u64)>(),
        key in option::of(id()),
        outcome in prop_oneof![
            Just(JobOutcome::Built),
            Just(JobOutcome::Reused),
            Just(JobOutcome::Failed),
            Just(JobOutcome::Refused),
            Just(JobOutcome::Cancelled),
        ],
    ) -> JobRow {
        JobRow { who, asked_unix_s, key, name, outcome, took_ms }
    }
}

proptest! {
    #[test]
    fn output_rows_round_trip(row in output_rows()) {
        prop_assert_eq!(OutputRow::decode(&row.encode()).unwrap(), row);
    }

    #[test]
    fn failure_rows_round_trip(row in failure_rows()) {
        prop_assert_eq!(FailureRow::decode(&row.encode()).unwrap(), row);
    }

    #[test]
    fn job_rows_round_trip(row in job_rows()) {
        prop_assert_eq!(JobRow::decode(&row.encode()).unwrap(), row);
    }

    #[test]
    fn any_bytes_are_a_row_or_an_error(mut bytes in vec(any::<u8>(), 0..64), version in 0_u8..3) {
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        prop_assert!(OutputRow::decode(&bytes).is_err());
        prop_assert!(TreeRow::decode(&bytes).is_err());
    }

    #[test]
    fn a_row_with_a_torn_end_is_an_error(row in job_rows(), cut in 1_usize..40) {
        let bytes = row.encode();
        prop_assert!(JobRow::decode(&bytes[..bytes.len() - cut]).is_err());
    }
}

#[test]
fn versions_and_damage_are_told_apart() {
    assert!(matches!(JobRow::decode(b""), Err(RowError::Damaged { source: None })));
    assert!(matches!(JobRow::decode(b"\x01{"), Err(RowError::Damaged { source: Some(_) })));
    assert!(matches!(JobRow::decode(b"\x02{}"), Err(RowError::Version { found: 2, known: 1 })));
}

// Changing these bytes makes rows of stores in use unreadable: raise the row's version instead.
#[test]
fn the_bytes_of_rows_stay() {
    let row = OutputRow {
        tree: Id::from_bytes([2; 32]),
        entries: 3,
        size_b: 4,
        stored_as: StoredAs { key: Id::from_bytes([1; 32]), name: "mcu".to_owned() },
        log: None,
        last_use_unix_s: 5,
        record: OutputRecord {
            key: Id::from_bytes([1; 32]),
            content: Id::from_bytes([3; 32]),
            config: Some(Id::from_bytes([4; 32])),
            usage: Usage::default(),
            ..super::record("mcu")
        },
    };
    let bytes = row.encode();
    assert_eq!(bytes[0], 1);
    insta::assert_snapshot!(String::from_utf8_lossy(&bytes[1..]), @r#"{"key":"key:0101010101010101010101010101010101010101010101010101010101010101","content":"content:0303030303030303030303030303030303030303030303030303030303030303","name":"mcu","project":"klipper","commit":"84104bbb","asked_ref":"master","version":"v0.13.0-730-g84104bbb","config":"config:0404040404040404040404040404040404040404040404040404040404040404","toolchain":"sha256:00","derivation":"{}","created_unix_s":1800000000,"phases":[{"name":"build","took_ms":1200}],"usage":{"user_ms":0,"system_ms":0,"memory_peak_b":0,"pids_peak":0,"scratch_peak_b":0,"scratch_files_peak":0,"accounting":"","samples":[]},"warnings":[],"marks":[],"tree":"tree:0202020202020202020202020202020202020202020202020202020202020202","entries":3,"size_b":4,"stored_as":{"key":"key:0101010101010101010101010101010101010101010101010101010101010101","name":"mcu"},"log":null,"last_use_unix_s":5}"#);
}
