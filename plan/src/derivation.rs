//! Every choice made: the complete list of what can change a byte of the output.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{BuildKey, ConfigHash, ContentKey};
use crate::pattern::Pattern;
use crate::recipe::Recipe;

/// The version of the derivation document; part of every key.
pub const DERIVATION_FORMAT: u32 = 1;

/// The version of what the sandbox shows a build: its paths, environment and tools. Part of every
/// key, so that changing the sandbox's contract never serves an output of the old one.
pub const SANDBOX_CONTRACT: u32 = 2;

/// A spec with every choice made.
///
/// The canonical bytes are its JSON with sorted names and no white space; the key is their BLAKE3
/// hash in key-derivation mode. `docs/KEYS.md` tells for every input whether it is in the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derivation {
    /// [`DERIVATION_FORMAT`].
    pub format: u32,
    /// [`SANDBOX_CONTRACT`].
    pub sandbox: u32,
    /// Name of the recipe.
    pub project: String,
    /// The source at the resolved commit.
    pub commit: String,
    /// Commits of the submodules, by path.
    pub submodules: BTreeMap<String, String>,
    /// Paths and globs of the source that the build sees; empty means all.
    pub source: Vec<String>,
    /// The commit that `git rev-parse HEAD` answers inside: `commit`, or with the version policy
    /// `paths` the last one that touched the source paths.
    pub head: String,
    /// The version string that is compiled in.
    pub version: String,
    /// `SOURCE_DATE_EPOCH`, seconds.
    pub epoch: i64,
    /// The normalised configuration, `None` where the project has none.
    pub config: Option<ConfigHash>,
    /// Manifest digest of the toolchain image.
    pub toolchain: String,
    /// Directory below `/build/src` that commands run in.
    pub subdir: Option<String>,
    /// Commands before make.
    pub prepare: Vec<Vec<String>>,
    /// Goals of make.
    pub goals: Vec<String>,
    /// Arguments of make.
    pub args: Vec<String>,
    /// Environment besides what the sandbox sets.
    pub env: BTreeMap<String, String>,
    /// Which files are kept.
    pub collect: Collect,
}

/// Which files are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// Directory below `/build`.
    pub root: String,
    /// Must match.
    pub required: Vec<Pattern>,
    /// May match.
    pub optional: Vec<Pattern>,
}

/// What asking was resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// The commit, 40 hex digits.
    pub commit: String,
    /// Commits of the submodules, by path.
    pub submodules: BTreeMap<String, String>,
    /// See [`Derivation::head`].
    pub head: String,
    /// The version string.
    pub version: String,
    /// `SOURCE_DATE_EPOCH`, seconds.
    pub epoch: i64,
    /// The normalised configuration.
    pub config: Option<ConfigHash>,
    /// Manifest digest of the toolchain image.
    pub toolchain: String,
}

impl Derivation {
    /// Makes the derivation of a recipe and what its inputs were pinned to.
    pub fn new(recipe: &Recipe, pins: Pins) -> Self {
        // Naming every field here is the guard: a new one does not compile until somebody decides
        // whether it is part of the key.
        let Recipe {
            name,
            summary: _,
            source,
            version: _,
            configure: _,
            kconfig: _,
            build,
            collect,
            toolchain: _,
        } = recipe;
        let crate::recipe::SourceRules { paths, submodules: _ } = source;
        let crate::recipe::BuildRules { subdir, prepare, goals, args, env, env_allowed: _ } = build;
        let crate::recipe::CollectRules { root, required, optional } = collect;
        let Pins { commit, submodules, head, version, epoch, config, toolchain } = pins;
        Self {
            format: DERIVATION_FORMAT,
            sandbox: SANDBOX_CONTRACT,
            project: name.clone(),
            commit,
            submodules,
            source: paths.clone(),
            head,
            version,
            epoch,
            config,
            toolchain,
            subdir: subdir.clone(),
            prepare: prepare.clone(),
            goals: goals.clone(),
            args: args.clone(),
            env: env.clone(),
            collect: Collect {
                root: root.clone(),
                required: required.clone(),
                optional: optional.clone(),
            },
        }
    }

    /// The bytes that are hashed: JSON, names sorted, no white space, UTF-8.
    pub fn canonical(&self) -> String {
        canonical(&self.document())
    }

    /// The build key.
    pub fn key(&self) -> BuildKey {
        BuildKey::of(self.canonical().as_bytes())
    }

    /// The key by content: the commit and submodules give way to `selection`, the id of exactly the
    /// files that the build sees.
    pub fn content_key(&self, selection: &[u8; 32]) -> ContentKey {
        let mut document = self.document();
        if let serde_json::Value::Object(fields) = &mut document {
            fields.remove("commit");
            fields.remove("submodules");
            fields.remove("source");
            let hex = blake3::Hash::from_bytes(*selection).to_hex().to_string();
            fields.insert("selection".to_owned(), hex.into());
        }
        ContentKey::of(canonical(&document).as_bytes())
    }

    /// The name of the output: project and version, safe in a file name.
    pub fn output_name(&self) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '-' }
        };
        format!("{}-{}", self.project, self.version).chars().map(plain).take(120).collect()
    }

    fn document(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a derivation has only text keys and finite numbers")
    }
}

/// Writes JSON with sorted names and no white space, whatever order `serde_json` keeps maps in.
fn canonical(document: &serde_json::Value) -> String {
    use serde_json::Value;
    match document {
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let fields = sorted.into_iter().map(|(name, value)| {
                format!("{}:{}", Value::from(name.as_str()), canonical(value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => document.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::builtin;

    type Change = fn(&mut Derivation);

    fn pins() -> Pins {
        Pins {
            commit: "61c0c8d2ef40340781835dd53fb04cc7a454e37a".into(),
            submodules: BTreeMap::new(),
            head: "61c0c8d2ef40340781835dd53fb04cc7a454e37a".into(),
            version: "v0.13.0-0-g61c0c8d2e".into(),
            epoch: 1_744_393_200,
            config: Some(ConfigHash::of(b"CONFIG_A=y\n")),
            toolchain: format!("sha256:{}", "0".repeat(64)),
        }
    }

    fn derivation() -> Derivation {
        Derivation::new(&builtin("klipper").unwrap().finish().unwrap(), pins())
    }

    #[test]
    fn the_document_reads_back_to_the_same_key() {
        let derivation = derivation();
        let read: Derivation = serde_json::from_str(&derivation.canonical()).unwrap();
        assert_eq!(read.key(), derivation.key());
    }

    #[test]
    fn names_are_sorted_and_nothing_is_spaced() {
        let text = derivation().canonical();
        assert!(text.starts_with(r#"{"args":[],"collect":{"optional":["#), "{text}");
        assert!(!text.contains(": ") && !text.contains('\n'));
    }

    #[test]
    fn every_field_moves_the_key() {
        let base = derivation();
        let changes: &[Change] = &[
            |d| d.format += 1,
            |d| d.sandbox += 1,
            |d| d.project.push('x'),
            |d| d.commit.replace_range(0..1, "7"),
            |d| drop(d.submodules.insert("lib".into(), "7".into())),
            |d| d.source.push("docs".into()),
            |d| d.head.push('x'),
            |d| d.version.push('x'),
            |d| d.epoch += 1,
            |d| d.config = None,
            |d| d.toolchain.push('1'),
            |d| d.subdir = Some("a".into()),
            |d| d.prepare.push(vec!["a".into()]),
            |d| d.goals.push("a".into()),
            |d| d.args.push("a".into()),
            |d| drop(d.env.insert("A".into(), "1".into())),
            |d| d.collect.root.push('x'),
            |d| d.collect.required.push(Pattern::new("x").unwrap()),
            |d| d.collect.optional.push(Pattern::new("x").unwrap()),
        ];
        let mut keys = std::collections::BTreeSet::from([base.key()]);
        for change in changes {
            let mut changed = base.clone();
            change(&mut changed);
            assert!(keys.insert(changed.key()), "a change that the key does not see");
        }
    }

    #[test]
    fn the_content_key_forgets_the_commit_and_nothing_else() {
        let base = derivation();
        let mut other_commit = base.clone();
        other_commit.commit.replace_range(0..1, "7");
        assert_ne!(base.key(), other_commit.key());
        assert_eq!(base.content_key(&[1; 32]), other_commit.content_key(&[1; 32]));
        assert_ne!(base.content_key(&[1; 32]), base.content_key(&[2; 32]));
        let mut other_version = base.clone();
        other_version.version.push('x');
        assert_ne!(base.content_key(&[1; 32]), other_version.content_key(&[1; 32]));
    }

    // The keys of released versions: a change here makes every cached output unreachable.
    #[test]
    fn golden_keys() {
        let lines: Vec<_> = crate::recipe::builtin_names()
            .map(|name| {
                let recipe = builtin(name).unwrap().finish().unwrap();
                format!("{name} {}", Derivation::new(&recipe, pins()).key())
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        busybox key:5649247629823c177fc22a8c548b16cad7c194dc3bed2daa037d398f90e885d9
        kalico key:4e4caeb3e56d423f20fcdb4ec0385d46de0c766cd53bddc1effcbb5b201e7070
        klipper key:fc6df492d8d3f3a67dc0c7ece1e6fe44e7d07d946a7ca990417f064b64eda26b
        make key:7dc712ede4cfddd3dfb1519f28c594c28657af4a61ecc1237a436600c513a419
        seabios key:a3af380eb0346e682ab69deeab0471af45fb079c5f19c9c82cee48b57dafba98
        ");
    }

    #[test]
    fn output_names_are_plain_file_names() {
        let mut derivation = derivation();
        derivation.version = "v1/../../x y".into();
        assert_eq!(derivation.output_name(), "klipper-v1-..-..-x-y");
    }
}
