//! Linux, with `conf` built from its own `scripts/kconfig`.
//!
//! `KBS_TEST_LINUX` names a tree in which `make ARCH=x86 defconfig` was run: that builds `conf`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use kbs_kconfig::{Dialect, Kconfig};

use crate::lottery::Lottery;
use crate::{Dir, Sh, assert_same, say, tree};

const SEEDS: u32 = 20;

/// What the top makefile gives to `conf` for x86.
fn environment(root: &Path) -> BTreeMap<String, String> {
    let make = std::fs::read_to_string(root.join("Makefile")).unwrap();
    let part = |name: &str| {
        let line = make.lines().find(|line| line.starts_with(&format!("{name} =")));
        line.unwrap().split('=').nth(1).unwrap().trim().to_owned()
    };
    let version = format!("{}.{}.{}", part("VERSION"), part("PATCHLEVEL"), part("SUBLEVEL"));
    let compiler = Command::new("gcc").arg("--version").output().expect("gcc runs");
    let compiler = String::from_utf8_lossy(&compiler.stdout).lines().next().unwrap().to_owned();
    [
        ("ARCH", "x86"),
        ("SRCARCH", "x86"),
        ("srctree", "."),
        ("CC", "gcc"),
        ("LD", "ld"),
        ("AR", "ar"),
        ("NM", "nm"),
        ("HOSTCC", "gcc"),
        ("OBJCOPY", "objcopy"),
        ("PAHOLE", "pahole"),
        ("RUSTC", "rustc"),
        ("BINDGEN", "bindgen"),
        ("KERNELVERSION", &version),
        ("CC_VERSION_TEXT", &compiler),
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("LC_ALL", "C"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

pub(crate) struct Linux {
    pub(crate) root: PathBuf,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) scratch: tempfile::TempDir,
}

impl Linux {
    pub(crate) fn load(&self) -> Kconfig {
        let files = Dir(self.root.clone());
        let shell = Sh { dir: &self.root, env: &self.env };
        Kconfig::load("Kconfig", &files, Dialect::CONF, &self.env, &shell)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs `conf --MODE` and returns the `.config` that it leaves.
    pub(crate) fn conf(&self, mode: &str, env: &[(&str, &str)], before: Option<&str>) -> String {
        let config = self.scratch.path().join("config");
        match before {
            Some(text) => std::fs::write(&config, text).unwrap(),
            None => drop(std::fs::remove_file(&config)),
        }
        let status = Command::new(self.root.join("scripts/kconfig/conf"))
            .args(mode.split(' '))
            .arg("Kconfig")
            .current_dir(&self.root)
            .env_clear()
            .envs(&self.env)
            .env("KCONFIG_CONFIG", &config)
            .envs(env.iter().copied())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .expect("conf runs");
        assert!(status.success(), "{mode}");
        std::fs::read_to_string(config).unwrap()
    }
}

pub(crate) fn linux() -> Option<Linux> {
    let root = tree("KBS_TEST_LINUX")?;
    let env = environment(&root);
    Some(Linux { root, env, scratch: tempfile::tempdir().unwrap() })
}

#[test]
fn linux_is_configured_as_linux_configures_itself() {
    let Some(linux) = linux() else { return };
    let kconfig = linux.load();
    let mut configuration = kconfig.evaluate();
    let defconfig = linux.root.join("arch/x86/configs/x86_64_defconfig");
    let defconfig = std::fs::read_to_string(defconfig).unwrap();
    let mut bases =
        vec![("nothing".to_owned(), String::new()), ("defconfig".to_owned(), defconfig)];
    for mode in ["--allnoconfig", "--allyesconfig", "--alldefconfig", "--allmodconfig"] {
        bases.push((mode.to_owned(), linux.conf(mode, &[], None)));
    }
    for seed in 1..=SEEDS {
        let seed = seed.to_string();
        let text = linux.conf("--randconfig", &[("KCONFIG_SEED", &seed)], None);
        bases.push((format!("--randconfig {seed}"), text));
    }
    let names: Vec<String> = (bases[3].1.lines().chain(bases[2].1.lines()))
        .filter_map(|line| line.strip_prefix("# ").unwrap_or(line).strip_prefix("CONFIG_"))
        .map(|line| line.split([' ', '=']).next().unwrap().to_owned())
        .collect();
    let mut lottery = Lottery::new(3);
    for at in 0..bases.len() {
        let (name, text) = &bases[at];
        bases.push((format!("{name}, disturbed"), lottery.disturb(text, &names)));
    }
    let mut failed = Vec::new();
    for (name, text) in &bases {
        let theirs = linux.conf("--olddefconfig", &[], Some(text));
        configuration.load(text);
        let ours = configuration.to_dotconfig();
        if let Err(report) = std::panic::catch_unwind(|| assert_same(&ours, &theirs, name)) {
            failed.push(report.downcast::<String>().map_or_else(|_| name.clone(), |text| *text));
        }
    }
    say(&format!("{} of {} configurations are equal", bases.len() - failed.len(), bases.len()));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
#[ignore = "measures; run it in release with --nocapture"]
fn time_linux() {
    let Some(linux) = linux() else { return };
    let text = linux.conf("--alldefconfig", &[], None);
    // Once with the commands, then with the answers.
    let kconfig = linux.load();
    let answers = kconfig.answers().clone();
    let start = Instant::now();
    linux.conf("--olddefconfig", &[], Some(&text));
    let theirs = start.elapsed().as_millis();
    let start = Instant::now();
    linux.load();
    let with_commands = start.elapsed().as_millis();
    let shell = crate::Known(answers);
    let files = Dir(linux.root.clone());
    let start = Instant::now();
    let kconfig = Kconfig::load("Kconfig", &files, Dialect::CONF, &linux.env, &shell).unwrap();
    let loaded = start.elapsed().as_millis();
    let mut configuration = kconfig.evaluate();
    configuration.load(&text);
    let written = configuration.to_dotconfig();
    let all = start.elapsed().as_millis();
    let start = Instant::now();
    configuration.set("SMP", "n").unwrap();
    let set = start.elapsed().as_micros();
    say(&format!(
        "conf {theirs} ms; ours: read with commands {with_commands} ms, with answers {loaded} ms, \
         with evaluate and write {all} ms, set {set} µs; {} bytes",
        written.len()
    ));
}
