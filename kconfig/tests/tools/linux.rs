//! Linux, with its own `conf`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use kbs_kconfig::Dialect;

use crate::conf::{Depth, Project, disturbed};
use crate::lottery::Lottery;
use crate::{count, tree};

/// How many random configurations if the environment does not say.
const SEEDS: u32 = 2;
/// Of an architecture with many defconfigs one of so many is taken, likewise.
const STEP: u32 = 12;

/// What the top makefile gives to `conf`. The compiler is the machine's own for every
/// architecture: both sides ask it the same questions.
fn environment(root: &Path, arch: &str) -> BTreeMap<String, String> {
    let make = std::fs::read_to_string(root.join("Makefile")).unwrap();
    let part = |name: &str| {
        let line = make.lines().find(|line| line.starts_with(&format!("{name} =")));
        line.unwrap().split('=').nth(1).unwrap().trim().to_owned()
    };
    let version = format!("{}.{}.{}", part("VERSION"), part("PATCHLEVEL"), part("SUBLEVEL"));
    let compiler = Command::new("gcc").arg("--version").output().expect("gcc runs");
    let compiler = String::from_utf8_lossy(&compiler.stdout).lines().next().unwrap().to_owned();
    [
        ("ARCH", arch),
        ("SRCARCH", arch),
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

/// The tree, for `arch`.
pub(crate) fn linux(arch: &str) -> Option<Project> {
    let root = tree("KBS_TEST_LINUX")?;
    Some(Project {
        name: format!("Linux {arch}"),
        env: environment(&root, arch),
        kconfig: "Kconfig",
        conf: "scripts/kconfig/conf",
        dialect: Dialect::CONF,
        scratch: tempfile::tempdir().unwrap(),
        answered: Vec::new(),
        root,
    })
}

fn compare(arch: &str) {
    let Some(mut linux) = linux(arch) else { return };
    let kconfig = linux.load();
    linux.answer(&kconfig);
    let mut configuration = kconfig.evaluate();
    let mut cases = vec![("nothing".to_owned(), String::new())];
    for entry in std::fs::read_dir(linux.root.join(format!("arch/{arch}/configs"))).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with("defconfig") {
            cases.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    cases.sort();
    let step = usize::try_from(count("KBS_TEST_STEP", STEP)).unwrap();
    if cases.len() > 2 * step {
        cases = cases.into_iter().step_by(step).collect();
    }
    let defconfigs = cases.len();
    cases.extend(linux.made(count("KBS_TEST_SEEDS", SEEDS)));
    let made = cases.len();
    cases.extend(disturbed(&mut Lottery::new(3), &cases));
    // The dear comparisons for what differs most from each other.
    let depth = |index: usize| {
        let is_made = defconfigs <= index && index < made;
        if index % 8 == 1 || is_made && index < defconfigs + 4 { Depth::All } else { Depth::Config }
    };
    linux.compare(&mut configuration, &cases, depth, "--syncconfig");
}

#[test]
fn linux_for_x86_is_configured_as_linux_configures_itself() {
    compare("x86");
}

#[test]
fn linux_for_arm_is_configured_as_linux_configures_itself() {
    compare("arm");
}

#[test]
fn linux_for_arm64_is_configured_as_linux_configures_itself() {
    compare("arm64");
}

#[test]
fn linux_for_riscv_is_configured_as_linux_configures_itself() {
    compare("riscv");
}
