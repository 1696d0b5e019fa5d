//! What a build may use. Never part of a key.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::quantity::{ByteSize, Span};

/// Fewest open files with which shells and compilers run.
const OPEN_FILES_MIN: u64 = 32;
/// Most jobs: make hands them out through a pipe, which must hold them all.
pub const JOBS_MAX: u32 = 4096;

/// Limits a spec or the daemon's configuration sets; `None` leaves the choice to the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Longest run of all build commands together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall: Option<Span>,
    /// Memory that all processes of the build may hold together; files in memory are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Processes and threads together, at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Room for everything the build writes, its outputs included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<ByteSize>,
    /// Files and directories of the build that exist at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch_files: Option<u64>,
    /// Largest log; the rest is dropped and the log says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<ByteSize>,
    /// Largest sum of all artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<ByteSize>,
    /// Number of artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_files: Option<u64>,
    /// Open files per process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Jobs that make runs at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
}

/// A limit that is above what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// Its name, as in `limits.wall`.
    pub key: &'static str,
    /// What was asked for, in text form.
    pub asked: String,
    /// The most that is allowed, in text form.
    pub most: String,
}

impl Limits {
    /// These limits, with `fallback` where they say nothing.
    #[must_use]
    pub fn or(self, fallback: &Self) -> Self {
        self.joined::<Fallback>(fallback)
    }

    /// These limits, lowered to `ceiling` where they are above it; where they say nothing, they
    /// still do.
    #[must_use]
    pub fn at_most(self, ceiling: &Self) -> Self {
        self.joined::<Ceiling>(ceiling)
    }

    fn joined<J: Join>(self, other: &Self) -> Self {
        let Self {
            wall,
            memory,
            pids,
            scratch,
            scratch_files,
            log,
            output,
            output_files,
            open_files,
            jobs,
        } = self;
        Self {
            wall: J::join(wall, other.wall),
            memory: J::join(memory, other.memory),
            pids: J::join(pids, other.pids),
            scratch: J::join(scratch, other.scratch),
            scratch_files: J::join(scratch_files, other.scratch_files),
            log: J::join(log, other.log),
            output: J::join(output, other.output),
            output_files: J::join(output_files, other.output_files),
            open_files: J::join(open_files, other.open_files),
            jobs: J::join(jobs, other.jobs),
        }
    }

    /// Says why no build can run with these limits, one sentence each that names it below `table`, as
    /// in `limits.pids`.
    pub fn unusable(&self, table: &str) -> Vec<String> {
        let Self {
            wall,
            memory,
            pids,
            scratch,
            scratch_files,
            log,
            output,
            output_files,
            open_files,
            jobs,
        } = self;
        let size = |size: &Option<ByteSize>| size.is_some_and(|ByteSize(bytes)| bytes == 0);
        let zeros = [
            ("wall", wall.is_some_and(|Span(wall)| wall.is_zero()), "lets no build run"),
            ("memory", size(memory), "lets no build run"),
            ("pids", *pids == Some(0), "lets no build run"),
            ("scratch", size(scratch), "lets no build run"),
            ("scratch-files", *scratch_files == Some(0), "lets no build run"),
            ("log", size(log), "keeps no log"),
            ("output", size(output), "lets no build have artifacts"),
            ("output-files", *output_files == Some(0), "lets no build have artifacts"),
            ("jobs", *jobs == Some(0), "lets no build run"),
        ];
        let zeros = zeros.into_iter().filter(|(_, is_zero, _)| *is_zero);
        let zeros = zeros.map(|(key, _, why)| format!("{table}.{key} is 0, which {why}"));
        let few = open_files.filter(|files| *files < OPEN_FILES_MIN).map(|files| {
            format!(
                "{table}.open-files is {files}, and no build runs with fewer than {OPEN_FILES_MIN}"
            )
        });
        let many = jobs.filter(|jobs| *jobs > JOBS_MAX).map(|jobs| {
            format!("{table}.jobs is {jobs}, and make is never given more than {JOBS_MAX}")
        });
        zeros.chain(few).chain(many).collect()
    }

    /// Every limit that is above `ceiling`, in the order of the fields.
    pub fn above(&self, ceiling: &Self) -> Vec<Excess> {
        let Self {
            wall,
            memory,
            pids,
            scratch,
            scratch_files,
            log,
            output,
            output_files,
            open_files,
            jobs,
        } = self;
        let all = [
            excess("wall", *wall, ceiling.wall),
            excess("memory", *memory, ceiling.memory),
            excess("pids", *pids, ceiling.pids),
            excess("scratch", *scratch, ceiling.scratch),
            excess("scratch-files", *scratch_files, ceiling.scratch_files),
            excess("log", *log, ceiling.log),
            excess("output", *output, ceiling.output),
            excess("output-files", *output_files, ceiling.output_files),
            excess("open-files", *open_files, ceiling.open_files),
            excess("jobs", *jobs, ceiling.jobs),
        ];
        all.into_iter().flatten().collect()
    }
}

/// How two limits of one name become one.
trait Join {
    fn join<T: Ord>(own: Option<T>, other: Option<T>) -> Option<T>;
}

/// The other where there is none.
struct Fallback;

impl Join for Fallback {
    fn join<T: Ord>(own: Option<T>, other: Option<T>) -> Option<T> {
        own.or(other)
    }
}

/// Not above the other.
struct Ceiling;

impl Join for Ceiling {
    fn join<T: Ord>(own: Option<T>, other: Option<T>) -> Option<T> {
        match (own, other) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, _) => own,
        }
    }
}

fn excess<T: Ord + fmt::Display>(
    key: &'static str,
    asked: Option<T>,
    most: Option<T>,
) -> Option<Excess> {
    let (asked, most) = asked.zip(most).filter(|(asked, most)| asked > most)?;
    Some(Excess { key, asked: asked.to_string(), most: most.to_string() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KEYS: [&str; 10] = [
        "wall",
        "memory",
        "pids",
        "scratch",
        "scratch-files",
        "log",
        "output",
        "output-files",
        "open-files",
        "jobs",
    ];

    /// Every limit but the time, at zero.
    fn zeros() -> Limits {
        let lines: Vec<_> = KEYS[1..].iter().map(|key| format!("{key} = 0\n")).collect();
        toml::from_str(&lines.concat()).unwrap()
    }

    /// Every limit, at the same number.
    fn all(number: u32) -> Limits {
        let lines: Vec<_> = KEYS.iter().map(|key| format!("{key} = {number}\n")).collect();
        toml::from_str(&lines.concat()).unwrap()
    }

    #[test]
    fn every_limit_has_its_own_fallback() {
        assert_eq!(Limits::default().or(&all(7)), all(7));
        assert_eq!(all(3).or(&all(7)), all(3));
        let one: Limits = toml::from_str("output-files = 1").unwrap();
        let both = one.or(&all(7));
        assert_eq!((both.output_files, both.scratch_files), (Some(1), Some(7)));
    }

    #[test]
    fn every_limit_has_its_own_ceiling() {
        assert_eq!(all(9).at_most(&all(7)), all(7));
        assert_eq!(all(3).at_most(&all(7)), all(3));
        assert_eq!(all(9).at_most(&Limits::default()), all(9));
        assert_eq!(Limits::default().at_most(&all(7)), Limits::default());

        assert!(all(7).above(&all(7)).is_empty());
        assert!(all(9).above(&Limits::default()).is_empty());
        assert!(Limits::default().above(&all(7)).is_empty());
        let keys: Vec<_> = all(9).above(&all(7)).iter().map(|excess| excess.key).collect();
        assert_eq!(keys, KEYS);
    }

    #[test]
    fn limits_with_which_no_build_runs_are_named() {
        assert!(all(32).unusable("limits").is_empty());
        assert!(Limits::default().unusable("limits").is_empty());
        let told = Limits { wall: Some(Span(Duration::ZERO)), ..zeros() }.unusable("ceiling");
        for key in KEYS {
            let start = format!("ceiling.{key} is 0, ");
            assert_eq!(told.iter().filter(|told| told.starts_with(&start)).count(), 1, "{told:?}");
        }
        let one = |line: &str| toml::from_str::<Limits>(line).unwrap().unusable("limits");
        assert_eq!(one("pids = 0"), ["limits.pids is 0, which lets no build run"]);
        let few = "limits.open-files is 31, and no build runs with fewer than 32";
        assert_eq!(one("open-files = 31"), [few]);
        let many = "limits.jobs is 4097, and make is never given more than 4096";
        assert_eq!(one("jobs = 4097"), [many]);
        assert!(one("jobs = 4096").is_empty());
    }

    #[test]
    fn an_excess_is_told_as_people_write_it() {
        let asked: Limits = toml::from_str("wall = '8h'\nmemory = '9GiB'\npids = 7").unwrap();
        let ceiling: Limits = toml::from_str("wall = '6h'\nmemory = '8G'\npids = 8").unwrap();
        let text = |excess: &Excess| format!("{} {} {}", excess.key, excess.asked, excess.most);
        let told: Vec<_> = asked.above(&ceiling).iter().map(text).collect();
        assert_eq!(told, ["wall 8h 6h", "memory 9G 8G"]);
    }
}
