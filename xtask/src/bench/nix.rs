//! Nix with a store of its own, as a peer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::Failure;

const CONFIGURATION: &str = "sandbox = true
sandbox-fallback = false
sandbox-paths = /bin /lib /lib64 /usr /etc/alternatives
substituters =
build-users-group =
";

/// A derivation that writes one word, different for every `word`.
const TRIVIAL: &str = r#"{ word }: derivation {
  name = "trivial";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "echo ${word} >$out" ];
}
"#;

/// Nix, and everything it writes.
pub(crate) struct Nix {
    dir: TempDir,
    expression: PathBuf,
}

impl Nix {
    /// Sets up a private store.
    ///
    /// # Errors
    /// Nix is not installed, or its sandbox does not work here.
    pub(crate) fn new() -> Result<Self, Failure> {
        let nix = Self::without_builds(&std::env::temp_dir())?;
        let output = nix.build("probe").output()?;
        if output.status.success() {
            Ok(nix)
        } else {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!("a trivial nix-build fails here: {}", why.trim()).into())
        }
    }

    /// Sets up a private store below a directory, whether or not anything can be built.
    ///
    /// # Errors
    /// Nix is not installed.
    pub(crate) fn without_builds(below: &Path) -> Result<Self, Failure> {
        let there = Command::new("nix-build").arg("--version").stdout(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            return Err("nix-build is not installed; Debian has it in the package nix-bin".into());
        }
        let dir = tempfile::Builder::new().prefix("kbs-nix-").tempdir_in(below)?;
        std::fs::create_dir(dir.path().join("etc"))?;
        std::fs::write(dir.path().join("etc/nix.conf"), CONFIGURATION)?;
        let expression = dir.path().join("trivial.nix");
        std::fs::write(&expression, TRIVIAL)?;
        Ok(Self { dir, expression })
    }

    /// `nix-build` of the derivation that writes `word`.
    pub(crate) fn build(&self, word: &str) -> Command {
        let mut command = self.command("nix-build");
        command.args(["--no-out-link", "--argstr", "word", word]).arg(&self.expression);
        command
    }

    /// `nix-store`, without arguments yet.
    pub(crate) fn store(&self) -> Command {
        self.command("nix-store")
    }

    fn command(&self, program: &str) -> Command {
        let dir = self.dir.path();
        let mut command = Command::new(program);
        command
            .env("NIX_STORE_DIR", dir.join("store"))
            .env("NIX_STATE_DIR", dir.join("var"))
            .env("NIX_LOG_DIR", dir.join("log"))
            .env("NIX_CONF_DIR", dir.join("etc"))
            .env("NIX_REMOTE", "local")
            .env("HOME", dir);
        command
    }
}

impl Drop for Nix {
    fn drop(&mut self) {
        // Store paths are read-only directories; root does not notice, everybody else would leave them.
        drop(Command::new("chmod").args(["-R", "u+w"]).arg(self.dir.path()).status());
    }
}
