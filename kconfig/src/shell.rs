//! Programs that Kconfig files ask to run: the caller runs them, or nobody.

/// The caller will not run a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ShellRefusal {
    /// Why, in lower case.
    pub reason: String,
}

/// Answers `$(shell,…)`.
pub trait Shell {
    /// What `command` prints when `/bin/sh -c` runs it at the root of the tree.
    ///
    /// Asked once for each command, however often Kconfig files name it.
    ///
    /// # Errors
    /// [`ShellRefusal`] if the command is not run.
    fn output(&self, command: &str) -> Result<String, ShellRefusal>;
}

/// Runs nothing: Kconfig files that need a command are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoShell;

impl Shell for NoShell {
    fn output(&self, _command: &str) -> Result<String, ShellRefusal> {
        Err(ShellRefusal { reason: "Kconfig files may not run programs here".to_owned() })
    }
}
