//! Configurations on disk.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;

use kbs_kconfig::TEXT_MAX_B;

use crate::error::CliError;

/// The text of a configuration, and what to call it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigText {
    /// The path, or `stdin`.
    pub(crate) name: String,
    /// The text.
    pub(crate) text: String,
    /// What to call its lines, where it was put together from others.
    pub(crate) places: Vec<String>,
}

impl ConfigText {
    /// What to call a line.
    pub(crate) fn place(&self, line: usize) -> String {
        let Self { name, text: _, places } = self;
        let place = line.checked_sub(1).and_then(|index| places.get(index));
        place.cloned().unwrap_or_else(|| format!("{name}, line {line}"))
    }

    /// What to call a line beside another one.
    pub(crate) fn beside(&self, line: usize) -> String {
        if self.places.is_empty() { format!("line {line}") } else { self.place(line) }
    }

    /// Reads a file, or stdin for `-`.
    ///
    /// # Errors
    /// Why it cannot be read; what is no UTF-8 or too large cannot.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let (name, text) = if path == Path::new("-") {
            ("stdin".to_owned(), text_of(std::io::stdin().lock()))
        } else {
            (path.display().to_string(), File::open(path).and_then(text_of))
        };
        match text {
            Ok(text) => Ok(Self { name, text, places: Vec::new() }),
            Err(error) => {
                Err(CliError::request(format!("cannot read the configuration {name}"), &error))
            }
        }
    }
}

fn text_of(file: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    let read_b = file.take(TEXT_MAX_B as u64 + 1).read_to_string(&mut text)?;
    if read_b > TEXT_MAX_B {
        return Err(std::io::Error::other("it is larger than any configuration"));
    }
    Ok(text)
}

/// Writes a configuration in place of what is at `path`: all of it, or nothing.
///
/// # Errors
/// Why it cannot be written; then the old one is still there.
pub(crate) fn write_config(path: &Path, text: &str) -> Result<(), CliError> {
    // A link stays one: what it leads to is replaced.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let failed = |error: &std::io::Error| {
        CliError::host(format!("cannot write the configuration {}", path.display()), error)
    };
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".kbs-config-").tempfile_in(dir)?;
        file.write_all(text.as_bytes())?;
        let permissions = match std::fs::metadata(&target) {
            Ok(metadata) => metadata.permissions(),
            Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o644),
        };
        file.as_file().set_permissions(permissions)?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error: std::io::Error| failed(&error))
}
