//! Projects that C `conf` configures, each with the program built from its own sources.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kbs_kconfig::{Configuration, Dialect, Kconfig};

use crate::lottery::Lottery;
use crate::{Dir, Sh, difference, say};

/// A tree and how its makefiles call `conf`.
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) root: PathBuf,
    /// The first Kconfig file, from the root.
    pub(crate) kconfig: &'static str,
    /// The program, from the root.
    pub(crate) conf: &'static str,
    pub(crate) dialect: Dialect,
    /// All that `conf` and the commands of Kconfig files see.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) scratch: tempfile::TempDir,
    /// Variables by which `conf` has the answers to commands; none where it runs them.
    pub(crate) answered: Vec<(&'static str, PathBuf)>,
}

/// Answers commands of `conf` from a file, in place of the C library.
const POPEN: &str = include_str!("../../../xtask/src/bench/kconfig/popen.c");

/// What is compared for a configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The `.config`.
    Config,
    /// Also the minimal configuration and `autoconf.h`.
    All,
}

impl Project {
    pub(crate) fn load(&self) -> Kconfig {
        let files = Dir(self.root.clone());
        let shell = Sh { dir: &self.root, env: &self.env };
        Kconfig::load(self.kconfig, &files, self.dialect, &self.env, &shell)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Gives `conf` the answers that the commands of `kconfig` had, so that it need not run them
    /// each time. It runs them once, to see that they are the same.
    pub(crate) fn answer(&mut self, kconfig: &Kconfig) {
        let asked = self.conf("--alldefconfig", &[], None);
        let path = |name: &str| self.scratch.path().join(name);
        let mut answers = String::new();
        for (command, answer) in kconfig.answers() {
            write!(answers, "{command}\0{answer}\0").unwrap();
        }
        std::fs::write(path("answers"), answers).unwrap();
        std::fs::write(path("popen.c"), POPEN).unwrap();
        let mut compiler = Command::new("gcc");
        compiler.args(["-shared", "-fPIC", "popen.c", "-o", "popen.so"]);
        assert!(compiler.current_dir(self.scratch.path()).status().expect("gcc runs").success());
        self.answered = vec![("LD_PRELOAD", path("popen.so")), ("ANSWERS", path("answers"))];
        assert_eq!(self.conf("--alldefconfig", &[], None), asked, "{}", self.name);
    }

    /// Runs `conf MODE` and returns the `.config` that it leaves.
    pub(crate) fn conf(&self, mode: &str, env: &[(&str, &str)], before: Option<&str>) -> String {
        self.try_conf(mode, env, before, 60)
            .unwrap_or_else(|said| panic!("{}: conf {mode}: {said}", self.name))
    }

    /// The same within some seconds; what `conf` said if it failed.
    fn try_conf(
        &self,
        mode: &str,
        env: &[(&str, &str)],
        before: Option<&str>,
        patience_s: u32,
    ) -> Result<String, String> {
        let config = self.scratch.path().join("config");
        match before {
            Some(text) => std::fs::write(&config, text).unwrap(),
            None => drop(std::fs::remove_file(&config)),
        }
        let scratch = |name: &str| self.scratch.path().join(name);
        std::fs::create_dir_all(scratch("include/config")).unwrap();
        // Old ones ask without end where they must ask and nobody answers.
        let output = Command::new("timeout")
            .arg(patience_s.to_string())
            .arg(self.root.join(self.conf))
            .args(mode.split(' '))
            .arg(self.kconfig)
            .current_dir(&self.root)
            .env_clear()
            .envs(&self.env)
            .envs(self.answered.iter().cloned())
            .env("KCONFIG_CONFIG", &config)
            .env("KCONFIG_AUTOHEADER", scratch("include/autoconf.h"))
            .env("KCONFIG_AUTOCONFIG", scratch("include/config/auto.conf"))
            .env("KCONFIG_TRISTATE", scratch("include/config/tristate.conf"))
            .env("KCONFIG_RUSTCCFG", scratch("include/rustc_cfg"))
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .expect("timeout runs");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(std::fs::read_to_string(config).unwrap())
    }

    /// What `conf MODE=FILE` writes into the file.
    fn defconfig(&self, config: &str) -> String {
        let file = self.scratch.path().join("defconfig");
        self.conf(&format!("--savedefconfig={}", file.display()), &[], Some(config));
        std::fs::read_to_string(file).unwrap()
    }

    /// The header that `conf` writes, with its lines sorted: their order is that of a hash. None if
    /// it would rather ask, as it does where a number has no value.
    fn header(&self, config: &str, mode: &str) -> Option<Vec<String>> {
        if config.lines().any(|line| line.ends_with('=')) {
            return None;
        }
        drop(std::fs::remove_dir_all(self.scratch.path().join("include")));
        // Some look only at the current directory for where things are to be put.
        self.try_conf(mode, &[], Some(config), 10).ok()?;
        let header = self.scratch.path().join("include/autoconf.h");
        let mut lines = sorted(&std::fs::read_to_string(header).unwrap());
        // The kernel's release, which old versions know without being told.
        lines.retain(|line| !line.starts_with("#define CONFIG_UNAME_RELEASE "));
        Some(lines)
    }

    /// What `conf` itself makes of nothing, and at random.
    pub(crate) fn made(&self, seeds: u32) -> Vec<(String, String)> {
        let mut made = Vec::new();
        for mode in ["--allnoconfig", "--allyesconfig", "--alldefconfig", "--allmodconfig"] {
            made.push((mode.to_owned(), self.conf(mode, &[], None)));
        }
        for seed in 1..=seeds {
            let seed = seed.to_string();
            let text = self.conf("--randconfig", &[("KCONFIG_SEED", &seed)], None);
            made.push((format!("--randconfig {seed}"), text));
        }
        made
    }

    /// Normalises each text as the project would, and fails if ours differs anywhere.
    pub(crate) fn compare(
        &self,
        configuration: &mut Configuration<'_>,
        cases: &[(String, String)],
        depth: impl Fn(usize) -> Depth,
        header_mode: &str,
    ) {
        let mut failed = Vec::new();
        let (mut deep, mut headers) = (0, 0);
        for (index, (name, text)) in cases.iter().enumerate() {
            let name = format!("{}, {name}", self.name);
            let theirs = self.conf("--olddefconfig", &[], Some(text));
            configuration.load(text);
            failed.extend(difference(&configuration.to_dotconfig(), &theirs, &name));
            if depth(index) == Depth::Config {
                continue;
            }
            deep += 1;
            // From a settled configuration: `conf` decides a number out of range twice.
            configuration.load(&theirs);
            let minimal = self.defconfig(&theirs);
            let title = format!("{name}, minimal");
            failed.extend(difference(&configuration.to_minimal(), &minimal, &title));
            if let Some(header) = self.header(&theirs, header_mode) {
                headers += 1;
                let ours = sorted(&configuration.to_autoconf()).join("\n");
                failed.extend(difference(&ours, &header.join("\n"), &format!("{name}, header")));
            }
        }
        say(&format!(
            "{}: {} configurations compared, {deep} minimal ones, {headers} headers, {} differences",
            self.name,
            cases.len(),
            failed.len()
        ));
        let total = failed.len();
        failed.truncate(5);
        assert!(total == 0, "{total} differ, such as\n{}", failed.join("\n"));
    }
}

/// Copies of configurations with lines dropped, changed, moved and added.
pub(crate) fn disturbed(
    lottery: &mut Lottery,
    bases: &[(String, String)],
) -> Vec<(String, String)> {
    let mut names: Vec<String> = (bases.iter().flat_map(|(_, text)| text.lines()))
        .filter_map(|line| line.strip_prefix("# ").unwrap_or(line).strip_prefix("CONFIG_"))
        .map(|line| line.split([' ', '=']).next().unwrap().to_owned())
        .collect();
    names.sort();
    names.dedup();
    let changed = bases
        .iter()
        .map(|(name, text)| (format!("{name}, disturbed"), lottery.disturb(text, &names)));
    changed.collect()
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
