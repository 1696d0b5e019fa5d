//! What must hold for any bytes that this crate is sent, for fuzzers and for the tests that repeat
//! what those found.
//!
//! Each function panics where it does not hold, and says whether it understood anything.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    fs::File,
    iter::repeat_with,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::TryRecvError,
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    JailSpec, Op, Outcome, Wall, meter, ops,
    serve::decode_spec,
    waiting::{Ends, Waiting},
    wire::{self, FromHelper, FromJail, MAX_FROM_JAIL_B, MAX_MESSAGE_B, ToHelper},
};

/// A line that is a request to the helper, and the rest, which is the spec in the file that it comes
/// with.
pub fn to_helper(bytes: &[u8]) -> bool {
    let (request, spec) = split(bytes);
    let asked = wire::decode::<ToHelper>(request).is_ok_and(|request| {
        means_one_thing(&request);
        true
    });
    let described = decode_spec(spec).is_ok_and(|spec| {
        means_one_thing(&spec);
        is_sealed(&spec);
        true
    });
    asked || described
}

/// A line from a jail's first process, and the rest, which is a file of its `/proc`.
pub fn from_jail(bytes: &[u8]) -> bool {
    let (message, file) = split(bytes);
    let file = String::from_utf8_lossy(file);
    let measured = meter::cpu_times(&file).is_some();
    assert!(meter::held(&file).threads > 0, "a process has a thread");

    let sized = message.len() <= MAX_FROM_JAIL_B;
    let Some(message) = wire::decode::<FromJail>(message).ok().filter(|_| sized) else {
        return measured;
    };
    means_one_thing(&message);
    if let FromJail::Over { outcome, usage } = message {
        if let Outcome::SetupFailed(failure) = &outcome {
            assert!(!failure.to_string().is_empty());
        }
        let told = FromHelper::Finished {
            id: u64::MAX,
            outcome,
            usage,
            took: Duration::MAX,
            copied: true,
        };
        let told = wire::encode(&told).expect("what was read can be written");
        assert!(told.len() <= MAX_MESSAGE_B, "the daemon would take the helper for broken");
        wire::decode::<FromHelper>(&told).expect("the daemon reads what the helper says");
    }
    true
}

/// Lines from the helper, each begun by how many descriptors come with it, to a daemon with three
/// jobs.
pub fn from_helper(bytes: &[u8]) -> bool {
    let samples = Arc::new(AtomicUsize::new(0));
    let mut waiting = Waiting::default();
    let mut jobs = BTreeMap::new();
    for id in 1..=3 {
        let samples = Arc::clone(&samples);
        let count = move |_| {
            samples.fetch_add(1, Ordering::Relaxed);
        };
        jobs.insert(id, waiting.add(id, Box::new(count)));
    }
    let (mut understood, mut expected) = (false, 0);
    for line in bytes.split(|byte| *byte == b'\n') {
        let (descriptors, message) = match line.split_first() {
            Some((digit @ b'0'..=b'4', message)) => (usize::from(digit - b'0'), message),
            _ => (0, line),
        };
        let Ok(news) = wire::decode::<FromHelper>(message) else { continue };
        understood = true;
        means_one_thing(&news);
        let ended = match news {
            FromHelper::Started { .. } => None,
            FromHelper::Sample { id, .. } => {
                expected += usize::from(jobs.contains_key(&id));
                None
            }
            FromHelper::Finished { id, .. } => jobs.remove(&id),
        };
        let open = || File::open("/dev/null").expect("it is always there").into();
        waiting.deliver(news, repeat_with(open).take(descriptors).collect());
        if let Some(Ends { pid: _, end }) = ended {
            let finished = end.try_recv().expect("its end was told");
            assert_eq!(finished.dirs.is_some(), descriptors == 2, "both or none");
            assert_eq!(end.try_recv().map(drop), Err(TryRecvError::Disconnected), "told once");
        }
    }
    assert_eq!(samples.load(Ordering::Relaxed), expected, "each waiting job gets its own");
    for Ends { pid: _, end } in jobs.values() {
        assert_eq!(end.try_recv().map(drop), Err(TryRecvError::Empty), "nobody else's end");
    }
    understood
}

/// The first line and what follows it.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

/// What was read is what it becomes when it is written and read again.
fn means_one_thing<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    let bytes = wire::encode(value).expect("what was read can be written");
    let again: T = wire::decode(&bytes).expect("what was written can be read");
    assert_eq!(format!("{value:?}"), format!("{again:?}"));
}

/// Every wall stands before the first step, unless the spec leaves it out, and every operation can be
/// told.
fn is_sealed(spec: &JailSpec) {
    let list = ops(spec);
    let step = list.iter().position(|op| matches!(op, Op::Run { .. })).unwrap_or(list.len());
    let (before, steps) = list.split_at(step);
    assert_eq!(steps.len(), spec.steps.len());
    for (wall, op) in [
        (Wall::ReadOnly, Op::FreezeRoot),
        (Wall::Capabilities, Op::DropCapabilities),
        (Wall::Landlock, Op::Landlock),
        (Wall::Filter, Op::FilterSyscalls),
    ] {
        let left_out = spec.without.contains(&wall);
        assert!(before.contains(&op) != left_out, "{op} before the first step");
    }
    let at = |wanted: fn(&Op<'_>) -> bool| before.iter().position(wanted);
    let entered = at(|op| matches!(op, Op::EnterRoot)).expect("every jail has its own root");
    let written = before.iter().rposition(|op| matches!(op, Op::WriteFile(_)));
    let first = at(|op| matches!(op, Op::WriteFile(_)));
    assert!(first.is_none_or(|first| first > entered), "links lead nowhere but into the jail");
    let frozen = at(|op| matches!(op, Op::FreezeRoot));
    assert!(written.zip(frozen).is_none_or(|(written, frozen)| written < frozen));
    assert!(list.iter().all(|op| !op.to_string().is_empty()));
}

#[cfg(test)]
mod tests {
    use kbs_testkit::corpus;
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    type Target = fn(&[u8]) -> bool;
    const TARGETS: [(&str, Target); 3] =
        [("to_helper", to_helper), ("from_jail", from_jail), ("from_helper", from_helper)];

    #[test]
    fn what_fuzzers_found_holds() {
        for (name, target) in TARGETS {
            let understood = corpus(name).iter().filter(|bytes| target(bytes)).count();
            assert!(understood > 0, "{name}: no input is a message any more");
        }
    }

    #[test]
    fn the_daemon_can_be_told_of_the_longest_message_of_a_jail() {
        let message = |op: &str| {
            let failure = format!(r#"{{"index":0,"op":"{op}","errno":1}}"#);
            let usage = r#"[[0,0],[0,0],0,0,0,0,"sampled"]"#;
            format!(r#"{{"Over":{{"outcome":{{"SetupFailed":{failure}}},"usage":{usage}}}}}"#)
        };
        let room = MAX_FROM_JAIL_B - message("").len();
        assert!(from_jail(message(&"x".repeat(room)).as_bytes()));
        assert!(!from_jail(message(&"x".repeat(room + 1)).as_bytes()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            for (_, target) in TARGETS {
                target(&bytes);
            }
        }

        #[test]
        fn damaged_messages_are_survived(
            which: Index, damages in vec((any::<Index>(), any::<u8>(), 0..3), 1..8)
        ) {
            for (name, target) in TARGETS {
                let mut bytes = which.get(&corpus(name)).clone();
                for (at, byte, how) in &damages {
                    let at = at.index(bytes.len() + 1);
                    match how {
                        0 => bytes.insert(at, *byte),
                        1 => bytes.truncate(at),
                        _ => bytes[at.saturating_sub(1)..at].fill(*byte),
                    }
                }
                target(&bytes);
            }
        }
    }
}
