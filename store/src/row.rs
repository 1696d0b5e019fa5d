//! What is known of builds and jobs. Rows of failures and jobs are one version byte, then JSON; what is
//! known of an output is in its file below `meta/`, and its row is an [`IndexRow`](crate::IndexRow).

use std::collections::BTreeSet;

use kbs_plan::id::{BlobId, BuildKey, ConfigHash, ContentKey, TreeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// With an output.
    Succeeded,
    /// Without one.
    Failed,
}

/// How long one phase of a build took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name, such as `configure`.
    pub name: String,
    /// Wall time in milliseconds.
    pub took_ms: u64,
}

/// What the processes of a build used, all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// CPU time in user mode, in milliseconds.
    pub user_ms: u64,
    /// CPU time in the kernel, in milliseconds.
    pub system_ms: u64,
    /// The most memory in bytes seen at one time.
    #[serde(alias = "max_rss_b")]
    pub memory_peak_b: u64,
    /// The most processes and threads seen at one time.
    pub pids_peak: u64,
    /// The most bytes of scratch seen at one time.
    pub scratch_peak_b: u64,
    /// The most files of scratch seen at one time.
    pub scratch_files_peak: u64,
    /// Who counted: `cgroup` or `sampled`; empty where that is not known.
    pub accounting: String,
    /// What the build held while it ran, first to last.
    pub samples: Vec<UsageSample>,
}

/// What a running build held at one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSample {
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// CPU time in user mode so far, in milliseconds.
    pub user_ms: u64,
    /// CPU time in the kernel so far, in milliseconds.
    pub system_ms: u64,
    /// Bytes of memory.
    pub memory_b: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes of scratch.
    pub scratch_b: u64,
    /// Files of scratch.
    pub scratch_files: u64,
}

/// A stored log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFacts {
    /// Bytes when decoded, the note about dropped ones included.
    pub size_b: u64,
    /// Bytes that came after the limit and were dropped.
    pub dropped_b: u64,
    /// Hash of the decoded bytes.
    pub digest: BlobId,
}

/// A symbol that a build's own configuration has otherwise than the one it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigDifference {
    /// The symbol, without prefix.
    pub symbol: String,
    /// Its value as given, spelled as in a configuration; `None` where it was not there.
    pub given: Option<String>,
    /// Its value after the build.
    pub built: Option<String>,
}

/// What the builder knows about an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// The derivation's key.
    pub key: BuildKey,
    /// The key of the same derivation by content.
    pub content: ContentKey,
    /// What the spec calls the build; part of the directory's name.
    pub name: String,
    /// The project's name.
    pub project: String,
    /// The commit, hex.
    pub commit: String,
    /// The ref as it was asked for.
    pub asked_ref: String,
    /// The version string.
    pub version: String,
    /// The normalised configuration, `None` where the project has none.
    pub config: Option<ConfigHash>,
    /// The toolchain image's manifest digest, `sha256:…`.
    pub toolchain: String,
    /// The derivation in canonical JSON.
    pub derivation: String,
    /// When it was finished, in Unix seconds.
    pub created_unix_s: u64,
    /// Who had it built; empty where that is not known.
    #[serde(default)]
    pub who: String,
    /// How long each phase took, first to last.
    pub phases: Vec<Phase>,
    /// What the build used.
    pub usage: Usage,
    /// What a person should know about the build.
    pub warnings: Vec<String>,
    /// Where the tree's own configuration after the build was not the one it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_differences: Vec<ConfigDifference>,
    /// What machines should know, such as `degraded sandbox`.
    pub marks: BTreeSet<String>,
}

/// An output in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRow {
    /// What the builder said.
    #[serde(flatten)]
    pub record: OutputRecord,
    /// Its files.
    pub tree: TreeId,
    /// Number of entries in the tree, directories included.
    pub entries: u32,
    /// Sum of the file sizes, in bytes.
    pub size_b: u64,
    /// The key and name that its directory is called by: its own, or those of the output that it
    /// turned out to equal.
    pub stored_as: StoredAs,
    /// Its log, if one was kept.
    pub log: Option<LogFacts>,
    /// When it was last used, in Unix seconds. Not in its file: the index has it.
    #[serde(default, skip_serializing)]
    pub last_use_unix_s: u64,
}

/// What an output's directory is called by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAs {
    /// The key it was built as.
    pub key: BuildKey,
    /// The name it was built as.
    pub name: String,
}

/// What the builder knows about a build that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The derivation's key.
    pub key: BuildKey,
    /// What the spec calls the build.
    pub name: String,
    /// The project's name.
    pub project: String,
    /// The commit, hex.
    pub commit: String,
    /// The ref as it was asked for.
    pub asked_ref: String,
    /// The version string.
    pub version: String,
    /// The derivation in canonical JSON.
    pub derivation: String,
    /// Why it failed, in one line.
    pub reason: String,
    /// When it failed, in Unix seconds.
    pub created_unix_s: u64,
    /// Who had it built; empty where that is not known.
    #[serde(default)]
    pub who: String,
    /// How long each phase took, first to last.
    pub phases: Vec<Phase>,
    /// What the build used.
    #[serde(default)]
    pub usage: Usage,
}

/// The latest failure of a key. Never served as an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRow {
    /// What the builder said.
    #[serde(flatten)]
    pub record: FailureRecord,
    /// Its log, if one was kept.
    pub log: Option<LogFacts>,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobOutcome {
    /// Its output was built.
    Built,
    /// Its output was there already.
    Reused,
    /// The build failed.
    Failed,
    /// It could not be tried: a wrong request, or the host's fault.
    Refused,
    /// Somebody stopped it.
    Cancelled,
}

/// One request of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// Who asked.
    pub who: String,
    /// When, in Unix seconds.
    pub asked_unix_s: u64,
    /// For what, when it came so far that the key was known.
    pub key: Option<BuildKey>,
    /// What the spec calls it.
    pub name: String,
    /// What came of it.
    pub outcome: JobOutcome,
    /// Wall time from request to answer, in milliseconds.
    pub took_ms: u64,
}

/// The bytes of a row are not what this kbs writes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// Another kbs wrote it.
    #[error("it has version {found}, this kbs knows version {known}")]
    Version {
        /// The row's version byte.
        found: u8,
        /// Ours.
        known: u8,
    },
    /// It is empty, or not the JSON that its version promises.
    #[error("its bytes are damaged")]
    Damaged {
        /// What is wrong with the JSON.
        #[source]
        source: Option<serde_json::Error>,
    },
}

/// A struct that is kept as a row's value.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// Grows with every change that an older kbs, or this one, could misread.
    const VERSION: u8;

    /// The bytes to store.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        serde_json::to_writer(&mut bytes, self)
            .expect("rows have string keys, and writing to memory cannot fail");
        bytes
    }

    /// Reads stored bytes back.
    fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let (&found, json) = bytes.split_first().ok_or(RowError::Damaged { source: None })?;
        if found != Self::VERSION {
            return Err(RowError::Version { found, known: Self::VERSION });
        }
        serde_json::from_slice(json).map_err(|error| RowError::Damaged { source: Some(error) })
    }
}

impl Row for FailureRow {
    const VERSION: u8 = 1;
}
impl Row for JobRow {
    const VERSION: u8 = 1;
}
