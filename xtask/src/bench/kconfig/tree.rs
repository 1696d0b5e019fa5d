//! A project's files on disk, and answers to its commands.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use kbs_kconfig::{FileFault, Files, Shell, ShellRefusal};

use crate::Failure;

/// The files below a directory.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Files for Dir {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileFault> {
        match std::fs::read(self.0.join(path)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn names(&self, dir: &str) -> Result<Vec<String>, FileFault> {
        let Ok(entries) = std::fs::read_dir(self.0.join(dir)) else { return Ok(Vec::new()) };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

/// Runs commands in a tree.
pub(crate) struct Sh {
    dir: PathBuf,
    env: BTreeMap<String, String>,
}

impl Sh {
    /// Commands see `env` and nothing else.
    pub(crate) fn with(dir: PathBuf, env: BTreeMap<String, String>) -> Self {
        Self { dir, env }
    }
}

impl Shell for Sh {
    fn output(&self, command: &str) -> Result<String, ShellRefusal> {
        let output = Command::new("/bin/sh")
            .args(["-c", command])
            .current_dir(&self.dir)
            .env_clear()
            .envs(&self.env)
            .output()
            .map_err(|error| ShellRefusal { reason: error.to_string() })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Answers that were had before.
#[derive(Default)]
pub(crate) struct Answers(pub(crate) BTreeMap<String, String>);

impl Shell for Answers {
    fn output(&self, command: &str) -> Result<String, ShellRefusal> {
        let answer = self.0.get(command).cloned();
        answer.ok_or_else(|| ShellRefusal { reason: "nobody has answered it".to_owned() })
    }
}

impl Answers {
    /// Reads commands and answers, each ended by a NUL.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)?;
        let mut words = text.split_terminator('\0');
        let mut answers = BTreeMap::new();
        while let (Some(command), Some(answer)) = (words.next(), words.next()) {
            answers.insert(command.to_owned(), answer.to_owned());
        }
        Ok(Self(answers))
    }

    /// Writes what [`Answers::read`] reads.
    pub(crate) fn write(answers: &BTreeMap<String, String>, path: &Path) -> Result<(), Failure> {
        let words = answers.iter().flat_map(|(command, answer)| [command, "\0", answer, "\0"]);
        let text: String = words.collect();
        Ok(std::fs::write(path, text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answers");
        let given = BTreeMap::from([("a b".to_owned(), String::new()), ("c".into(), "y".into())]);
        Answers::write(&given, &path).unwrap();
        let read = Answers::read(&path).unwrap();
        assert_eq!(read.0, given);
        assert_eq!(read.output("c").unwrap(), "y");
        assert!(read.output("d").is_err());
    }
}
