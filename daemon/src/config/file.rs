//! The configuration file: TOML to values. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::time::Duration;

use kbs_plan::limits::Limits;
use kbs_plan::quantity::{ByteSize, Span};
use kbs_sandbox::Wall;
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::Upkeep;

/// What a file says; `None` where it says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct File {
    pub(super) builds: Option<Builds>,
    pub(super) idle_exit: Option<Span>,
    pub(super) sample: Option<Sample>,
    pub(super) limits: Limits,
    pub(super) ceiling: Limits,
    pub(super) sandbox: Sandbox,
    pub(super) gc: Gc,
}

/// The table `[gc]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Gc {
    pub(super) max_size: Option<ByteSize>,
    pub(super) older_than: Option<Span>,
    pub(super) keep: Option<u32>,
    pub(super) min_free: Option<ByteSize>,
}

impl Gc {
    /// What it says, with defaults where it says nothing.
    pub(super) fn upkeep(self) -> Upkeep {
        let Self { max_size, older_than, keep, min_free } = self;
        let otherwise = Upkeep::default();
        Upkeep {
            max_size_b: max_size.map(|ByteSize(size_b)| size_b),
            older_than: older_than.map(|Span(span)| span),
            keep: keep.unwrap_or(otherwise.keep),
            min_free_b: min_free.map_or(otherwise.min_free_b, |ByteSize(size_b)| size_b),
        }
    }
}

/// The table `[sandbox]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Sandbox {
    #[serde(deserialize_with = "optional_walls")]
    pub(super) require: BTreeSet<Wall>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { require: Wall::OPTIONAL.into() }
    }
}

/// How many builds run at a time.
#[derive(Debug)]
pub(super) struct Builds(pub(super) NonZero<usize>);

struct BuildsVisitor;

impl Visitor<'_> for BuildsVisitor {
    type Value = Builds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of builds at a time, 1 or more")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Builds, E> {
        let builds = usize::try_from(number).ok().and_then(NonZero::new);
        builds.map(Builds).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }
}

impl<'de> Deserialize<'de> for Builds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(BuildsVisitor)
    }
}

/// How often something is measured.
#[derive(Debug)]
pub(super) struct Sample(pub(super) Duration);

/// Finer costs more than it tells, coarser tells nothing of most builds.
const SAMPLES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);

struct SampleVisitor;

fn within<E: serde::de::Error>(sample: Duration, shown: impl fmt::Display) -> Result<Sample, E> {
    if SAMPLES.contains(&sample) {
        Ok(Sample(sample))
    } else {
        Err(E::custom(format!("`{shown}` is out of range: write a time span from 100ms to 1h")))
    }
}

impl Visitor<'_> for SampleVisitor {
    type Value = Sample;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time span from 100ms to 1h, as in `3s`")
    }

    fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Sample, E> {
        within(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)), seconds)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Sample, E> {
        let sample = match text.trim().strip_suffix("ms").map(str::trim_end) {
            Some(number) => number.parse().map(Duration::from_millis).map_err(|_| {
                E::custom(format!("`{text}` is not a time span from 100ms to 1h, as in `500ms`"))
            })?,
            None => text.parse::<Span>().map_err(E::custom)?.0,
        };
        within(sample, text)
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SampleVisitor)
    }
}

/// The walls that an operator may do without, by name: all others no jail lacks.
fn optional_walls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Wall>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let wall = |name: &String| {
        let named = Wall::OPTIONAL.into_iter().find(|wall| wall.name() == name);
        named.ok_or_else(|| {
            let all = Wall::OPTIONAL.map(Wall::name).join(", ");
            D::Error::custom(format!("`{name}` is no layer of the sandbox; the layers are {all}"))
        })
    };
    names.iter().map(wall).collect()
}

/// Reads the text of a file; the error shows the line and what is allowed there.
pub(super) fn parse(text: &str) -> Result<File, String> {
    toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, fragments: &[&str]) {
        let told = parse(text).unwrap_err();
        for fragment in fragments {
            assert!(told.contains(fragment), "`{fragment}` is not in\n{told}");
        }
    }

    const DOCUMENT: &str = include_str!("../../../docs/CONFIG.md");

    #[test]
    fn the_documented_file_is_one() {
        let text = DOCUMENT.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let file = parse(text).unwrap();
        assert!(file.limits.above(&file.ceiling).is_empty());
        assert_eq!(file.sample.unwrap().0, super::super::SAMPLE);
        assert_eq!(file.sandbox.require, Sandbox::default().require);
        let Upkeep { max_size_b, older_than, keep, min_free_b } = file.gc.upkeep();
        assert!(max_size_b.is_some() && older_than.is_some() && keep > 0);
        assert_eq!(min_free_b, Upkeep::default().min_free_b);
    }

    #[test]
    fn the_documented_limits_are_all_there_are() {
        let table = DOCUMENT.split("| key | value | default | limits |").nth(1).unwrap();
        let keys = table.split("\n\n").next().unwrap().lines();
        let keys = keys.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
        let lines: Vec<_> = keys.map(|key| format!("{key} = 2\n")).collect();
        let limits = |number: &str| -> Limits {
            toml::from_str(&lines.concat().replace('2', number)).unwrap()
        };
        assert_eq!(limits("2").above(&limits("1")).len(), lines.len());
        assert!(!format!("{:?}", limits("2")).contains("None"), "{lines:?}");
    }

    #[test]
    fn an_empty_file_says_nothing() {
        let File { builds, idle_exit, sample, limits, ceiling, sandbox, gc } = parse("").unwrap();
        assert!(builds.is_none() && idle_exit.is_none() && sample.is_none());
        assert_eq!((limits, ceiling), (Limits::default(), Limits::default()));
        assert_eq!(sandbox.require, BTreeSet::from(Wall::OPTIONAL));
        assert!(parse("[sandbox]\nrequire = []").unwrap().sandbox.require.is_empty());
        assert_eq!(gc.upkeep(), Upkeep::default());
    }

    #[test]
    fn what_no_file_says_is_refused_with_its_line_and_what_is_allowed() {
        refused("\nbuild = 2", &["line 2", "build", "`builds`", "`idle-exit`", "`ceiling`"]);
        refused("[limits]\n\nmem = 1", &["line 3", "mem", "`memory`", "`output-files`"]);
        refused("[ceiling]\nwalls = 1", &["line 2", "walls", "`wall`"]);
        refused("[sandbox]\nrequired = []", &["line 2", "required", "`require`"]);
        refused("[sandboxes]\n", &["line 1", "sandboxes", "`sandbox`"]);
        refused("[gc]\nmaxsize = 1", &["line 2", "maxsize", "`max-size`", "`min-free`"]);
        refused("[limits]\nwall = '1h'\nwall = '2h'", &["line 3", "duplicate"]);
        refused("builds = 2\n[limits", &["line 2"]);
    }

    #[test]
    fn values_out_of_place_are_refused_with_their_line_and_what_is_allowed() {
        refused("builds = 0", &["line 1", "`0`", "a number of builds at a time, 1 or more"]);
        refused("builds = -1", &["line 1", "`-1`", "1 or more"]);
        refused("builds = 'two'", &["line 1", "two", "a number of builds"]);
        refused("\nidle-exit = 'soon'", &["line 2", "`soon` is not a time span", "`30m`"]);
        refused("idle-exit = 0", &["line 1", "zero"]);
        refused("[limits]\nmemory = '8X'", &["line 2", "`8X` is not a size", "`512M`"]);
        refused("[limits]\nmemory = -1", &["line 2", "-1", "a size"]);
        refused("[limits]\npids = '8'", &["line 2", "u64"]);
        refused("[gc]\nmax-size = '8X'", &["line 2", "`8X` is not a size"]);
        refused("[gc]\nolder-than = 'soon'", &["line 2", "`soon` is not a time span"]);
        refused("[gc]\nkeep = -1", &["line 2", "-1", "u32"]);
        refused("[gc]\nmin-free = 1.5", &["line 2", "1.5", "a size"]);
        let names = ["line 2", "`seccomp`", "overlay, proc, landlock, filter"];
        refused("[sandbox]\nrequire = ['proc', 'seccomp']", &names);
        refused("[sandbox]\nrequire = 'proc'", &["line 2", "a sequence"]);
    }

    #[test]
    fn a_sample_lies_between_a_tenth_of_a_second_and_an_hour() {
        for (text, sample) in [
            ("'100ms'", Duration::from_millis(100)),
            ("'1500 ms'", Duration::from_millis(1500)),
            ("5", Duration::from_secs(5)),
            ("'60m'", Duration::from_hours(1)),
        ] {
            assert_eq!(parse(&format!("sample = {text}")).unwrap().sample.unwrap().0, sample);
        }
        for text in ["'99ms'", "0", "-1", "'61m'", "'2d'", "'3601s'", "'ms'", "'x'", "1.5", "true"]
        {
            refused(&format!("\nsample = {text}"), &["line 2", text.trim_matches('\''), "span"]);
        }
    }
}
