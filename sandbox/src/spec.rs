//! What a jail is: pure data, complete before the first system call.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{JailPath, Limits, SpecError, Wall};

/// The most directories that a source can be made of.
pub const SOURCE_LAYERS_MAX: usize = 64;

/// One jail: what it shows, what it runs, what it may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailSpec {
    /// Host directory of the toolchain image, seen read-only as `/`. Its own `/build`, `/dev`,
    /// `/proc`, `/sys` and `/tmp` are not shown.
    pub root: PathBuf,
    /// Host directories seen as one, `/build/src`; changes to it are seen in the jail only. They
    /// must belong to the caller, and may have directories in common, but nothing else: the first
    /// that has one decides its mode and times. None: `/build/src` is an empty writable directory.
    /// At most [`SOURCE_LAYERS_MAX`].
    pub source: Vec<PathBuf>,
    /// Further host files and directories, read-only.
    pub inputs: Vec<Input>,
    /// Files written before the first step, in this order.
    pub files: Vec<JailFile>,
    /// Commands, run one after the other; the first that fails is the last.
    pub steps: Vec<Step>,
    /// The whole environment of every step.
    pub env: BTreeMap<String, String>,
    /// What the jail may use.
    pub limits: Limits,
    /// Where written bytes go.
    pub scratch: Scratch,
    /// How often to tell what the jail holds.
    pub sample_every: Duration,
    /// Walls that are left out.
    pub without: BTreeSet<Wall>,
}

/// A host file or directory shown in the jail, read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where the jail sees it. Missing directories on the way are made.
    pub inside: JailPath,
}

/// A file written before the first step. It replaces a file or symbolic link of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailFile {
    /// Where, below `/build` or `/tmp`. Missing directories on the way are made.
    pub path: JailPath,
    /// Its content.
    #[serde(with = "latin1")]
    pub bytes: Vec<u8>,
    /// Its permission bits; nothing above `0o777`.
    pub mode: u32,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Program and arguments. A program without a slash is looked up in the `PATH` of
    /// [`JailSpec::env`], inside the jail.
    pub argv: Vec<String>,
    /// Its working directory.
    pub cwd: JailPath,
}

/// Where the bytes that a jail writes go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scratch {
    /// Memory: gone when the jail and every open directory of it are.
    Memory,
    /// An empty host directory of the caller's, left as it is at the end (see
    /// [`remove_scratch`](crate::remove_scratch)): `upper` and `work`, or `src`; `out`, `home`,
    /// `tmp`, `shm`.
    Directory(PathBuf),
    /// What an earlier jail of the same source left in a [`Scratch::Directory`], to go on with.
    Kept(PathBuf),
}

impl JailSpec {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`SpecError`], naming the first thing that is wrong.
    pub fn check(&self) -> Result<(), SpecError> {
        let Self {
            root,
            source,
            inputs,
            files,
            steps,
            env,
            limits,
            scratch,
            sample_every: _,
            without: _,
        } = self;
        let dir = match scratch {
            Scratch::Memory => None,
            Scratch::Directory(dir) | Scratch::Kept(dir) => Some(dir),
        };
        let host = inputs.iter().map(|input| &input.host);
        if let Some(path) =
            [root].into_iter().chain(source).chain(dir).chain(host).find(|p| !p.is_absolute())
        {
            return Err(SpecError::RelativeHostPath { path: path.clone() });
        }
        if source.len() > SOURCE_LAYERS_MAX {
            return Err(SpecError::SourceLayers { layers: source.len() });
        }
        for (name, value) in env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(SpecError::Environment { name: name.clone() });
            }
        }
        for (step, Step { argv, cwd: _ }) in steps.iter().enumerate() {
            let program = argv.first().is_some_and(|program| !program.is_empty());
            if !program || argv.iter().any(|arg| arg.contains('\0')) {
                return Err(SpecError::Command { step });
            }
        }
        if let Some(file) = files.iter().find(|file| file.mode & !0o777 != 0) {
            return Err(SpecError::FileMode { path: file.path.clone(), mode: file.mode });
        }
        if limits.scratch_b == 0 {
            // To tmpfs, zero means no limit at all.
            return Err(SpecError::NoScratch);
        }
        Ok(())
    }
}

/// Bytes as text, one character each: JSON has no bytes, and most of these files are text.
mod latin1 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[expect(clippy::ptr_arg, reason = "serde calls it with a reference to the field")]
    pub(super) fn serialize<S: Serializer>(bytes: &Vec<u8>, to: S) -> Result<S::Ok, S::Error> {
        bytes.iter().map(|&byte| char::from(byte)).collect::<String>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        text.chars()
            .map(|c| u8::try_from(c).map_err(|_| D::Error::custom("a character above U+00FF")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec() -> JailSpec {
        JailSpec {
            root: "/image".into(),
            source: vec![],
            inputs: vec![],
            files: vec![],
            steps: vec![Step { argv: vec!["true".into()], cwd: JailPath::new("/").unwrap() }],
            env: BTreeMap::new(),
            limits: Limits::default(),
            scratch: Scratch::Memory,
            sample_every: Duration::from_secs(3),
            without: BTreeSet::new(),
        }
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        assert_eq!(spec().check(), Ok(()));
        let refused = |change: fn(&mut JailSpec)| {
            let mut spec = spec();
            change(&mut spec);
            spec.check().unwrap_err().to_string()
        };
        insta::assert_snapshot!([
            refused(|s| s.root = "image".into()),
            refused(|s| s.source = vec!["/a".into(), "src".into()]),
            refused(|s| s.source = vec!["/a".into(); SOURCE_LAYERS_MAX + 1]),
            refused(|s| s.scratch = Scratch::Directory("tmp".into())),
            refused(|s| s.steps[0].argv.clear()),
            refused(|s| s.steps[0].argv.push("a\0b".into())),
            refused(|s| { s.env.insert("A=B".into(), String::new()); }),
            refused(|s| s.limits.scratch_b = 0),
            refused(|s| s.files.push(JailFile {
                path: JailPath::new("/build/tools/x").unwrap(),
                bytes: vec![],
                mode: 0o4755,
            })),
        ].join("\n"), @r#"
        the host path image is not absolute
        the host path src is not absolute
        a source of 65 directories is more than the 64 that a jail can show as one
        the host path tmp is not absolute
        step 0 is not a command that can be run
        step 0 is not a command that can be run
        the environment variable "A=B" has a name or value that cannot be passed on
        the scratch size is zero
        mode 4755 of /build/tools/x has more than permission bits
        "#);
    }

    proptest! {
        #[test]
        fn file_bytes_survive_the_wire(bytes: Vec<u8>) {
            let file = JailFile { path: JailPath::new("/f").unwrap(), bytes, mode: 0o644 };
            let text = serde_json::to_string(&file).unwrap();
            prop_assert_eq!(serde_json::from_str::<JailFile>(&text).unwrap(), file);
        }
    }
}
