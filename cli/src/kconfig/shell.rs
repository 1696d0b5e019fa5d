//! Runs what Kconfig files ask for, where a person allowed it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kbs_kconfig::{Shell, ShellRefusal};

/// Where programs are looked for that Kconfig files run.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs commands in the tree, with the environment of its Kconfig files and nothing else.
pub(super) struct TreeShell {
    pub(super) dir: PathBuf,
    pub(super) env: BTreeMap<String, String>,
}

impl Shell for TreeShell {
    fn output(&self, command: &str) -> Result<String, ShellRefusal> {
        let output = Command::new("/bin/sh")
            .args(["-c", command])
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .envs(&self.env)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|error| ShellRefusal { reason: error.to_string() })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
