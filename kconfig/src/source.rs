//! Finds and reads the files that Kconfig files name.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::dialect::Tool;
use crate::files::{FILE_MAX_B, FILES_MAX_B, FileFault, Files, glob, inside, is_glob};
use crate::load_error::{LoadError, SOURCES_MAX};
use crate::shown::shown;
use crate::spot::Spot;

/// Longest path of a file, in bytes, as Linux has it.
const PATH_MAX_B: usize = 4096;
/// What a file counts at least among the bytes that were read: that nothing may be read without end.
const COST_B: usize = 1024;

/// A file that is to be read next.
pub(crate) struct Sourced {
    pub(crate) path: Arc<str>,
    pub(crate) text: Arc<str>,
}

/// The files of a project, and which of them are being read.
pub(crate) struct Sources<'a> {
    files: &'a dyn Files,
    tool: Tool,
    open: BTreeSet<Arc<str>>,
    read_b: usize,
}

impl<'a> Sources<'a> {
    /// Starts with nothing read.
    pub(crate) fn new(files: &'a dyn Files, tool: Tool) -> Self {
        Self { files, tool, open: BTreeSet::new(), read_b: 0 }
    }

    /// Reads the first file.
    pub(crate) fn root(&mut self, path: &str) -> Result<Sourced, LoadError> {
        let inside =
            inside(path).ok_or_else(|| LoadError::Outside { path: shown(path), at: None })?;
        self.read(&inside, None)?.ok_or_else(|| LoadError::Missing { path: shown(path), at: None })
    }

    /// Says that the file at `path` is being read.
    pub(crate) fn enter(&mut self, path: &Arc<str>) {
        self.open.insert(Arc::clone(path));
    }

    /// Says that the file at `path` has been read.
    pub(crate) fn leave(&mut self, path: &str) {
        self.open.remove(path);
    }

    /// Reads what the statement `word` in the file `from` names, in the order of reading.
    pub(crate) fn find(
        &mut self,
        word: &str,
        path: &str,
        from: &str,
        at: &Spot,
    ) -> Result<Vec<Sourced>, LoadError> {
        let relative = matches!(word, "rsource" | "orsource" | "grsource");
        let optional = matches!(word, "osource" | "orsource" | "gsource" | "grsource");
        let path: Cow<'_, str> = match from.rsplit_once('/') {
            Some((dir, _)) if relative => format!("{dir}/{path}").into(),
            _ => path.into(),
        };
        if path.len() > PATH_MAX_B {
            return Err(LoadError::Missing { path: shown(&path), at: Some(at.clone()) });
        }
        let Some(inside) = inside(&path) else {
            return Err(LoadError::Outside { path: shown(&path), at: Some(at.clone()) });
        };
        let paths = if self.tool == Tool::Kconfiglib && is_glob(&inside) {
            self.read_b += COST_B * 20;
            glob(self.files, &inside).map_err(|source| unreadable(&path, Some(at), source))?
        } else {
            vec![inside]
        };
        let mut found = Vec::new();
        for path in paths {
            if self.open.contains(path.as_str()) {
                return Err(LoadError::RecursiveSource { at: at.clone(), path: shown(&path) });
            }
            found.extend(self.read(&path, Some(at))?);
        }
        if self.open.len() > SOURCES_MAX {
            return Err(LoadError::TooDeep { at: at.clone(), what: "files" });
        }
        if found.is_empty() && !optional {
            return Err(LoadError::Missing { path: shown(&path), at: Some(at.clone()) });
        }
        Ok(found)
    }

    fn read(&mut self, path: &str, at: Option<&Spot>) -> Result<Option<Sourced>, LoadError> {
        let content = self.files.read(path).map_err(|source| unreadable(path, at, source))?;
        let Some(content) = content else { return Ok(None) };
        self.read_b += content.len().max(COST_B);
        if content.len() > FILE_MAX_B || self.read_b > FILES_MAX_B {
            return Err(LoadError::TooLarge { path: shown(path) });
        }
        let mut text = String::from_utf8(content).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.split(|byte| *byte == b'\n').count() - 1;
            LoadError::NotText { path: shown(path), line }
        })?;
        if self.tool == Tool::Kconfiglib && text.contains('\r') {
            text = text.replace("\r\n", "\n").replace('\r', "\n");
        }
        let path: Arc<str> = path.into();
        Ok(Some(Sourced { path, text: text.into() }))
    }
}

fn unreadable(path: &str, at: Option<&Spot>, source: FileFault) -> LoadError {
    LoadError::Read { path: shown(path), at: at.cloned(), source }
}
