//! Rows: every value comes back, and bytes of another version or none are errors.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use kbs_plan::id::{Id, Kind};

use crate::row::Row;
use crate::{
    FailureRecord, FailureRow, IndexRow, JobOutcome, JobRow, LogFacts, Phase, RowError, TreeRow,
    Usage,
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
    fn index_rows()(
        (tree, content, stored_as, meta) in (id(), id(), id(), id()),
        entries: u32,
        (size_b, created_unix_s) in any::<(u64, u64)>(),
        marked: bool,
        [project, stored_name] in any::<[String; 2]>(),
    ) -> IndexRow {
        IndexRow {
            tree, content, stored_as, meta, entries, size_b, created_unix_s, marked, project,
            stored_name,
        }
    }
}

prop_compose! {
    fn tree_rows()(
        tree in id(),
        entries: u32,
        (size_b, created_unix_s) in any::<(u64, u64)>(),
    ) -> TreeRow {
        TreeRow { tree, entries, size_b, created_unix_s }
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
            phases, usage: Usage::default(), who: "uid 0".to_owned(),
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
    fn index_rows_round_trip(row in index_rows()) {
        prop_assert_eq!(IndexRow::decode(&row.encode()).unwrap(), row);
    }

    #[test]
    fn tree_rows_round_trip(row in tree_rows()) {
        prop_assert_eq!(TreeRow::decode(&row.encode()).unwrap(), row);
        prop_assert!(TreeRow::decode(&row.encode()[..52]).is_err());
        prop_assert!(TreeRow::decode(&[row.encode(), vec![0]].concat()).is_err());
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
        prop_assert!(IndexRow::decode(&bytes).is_err());
        // One of the right length and version is a row, whatever is in it.
        let is_row = bytes.len() == 53 && version == 1;
        prop_assert_eq!(TreeRow::decode(&bytes).is_ok(), is_row);
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
    let row = IndexRow {
        tree: Id::from_bytes([1; 32]),
        content: Id::from_bytes([2; 32]),
        stored_as: Id::from_bytes([3; 32]),
        meta: Id::from_bytes([4; 32]),
        entries: 5,
        size_b: 6,
        created_unix_s: 7,
        marked: true,
        project: "klipper".to_owned(),
        stored_name: "mcu".to_owned(),
    };
    let hex = |bytes: &[u8]| -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    };
    insta::assert_snapshot!(hex(&row.encode()), @"02010101010101010101010101010101010101010101010101010101010101010102020202020202020202020202020202020202020202020202020202020202020303030303030303030303030303030303030303030303030303030303030303040404040404040404040404040404040404040404040404040404040404040405000000060000000000000007000000000000000107006b6c69707065726d6375");
    let row = TreeRow { tree: Id::from_bytes([1; 32]), entries: 2, size_b: 3, created_unix_s: 4 };
    insta::assert_snapshot!(hex(&row.encode()), @"0101010101010101010101010101010101010101010101010101010101010101010200000003000000000000000400000000000000");
}
