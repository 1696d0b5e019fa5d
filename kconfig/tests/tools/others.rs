//! Other projects with a `conf` of their own.

use std::collections::BTreeMap;

use kbs_kconfig::Dialect;

use crate::conf::{Depth, Project, disturbed};
use crate::lottery::Lottery;
use crate::{count, tree};

/// How many random configurations if the environment does not say.
const SEEDS: u32 = 4;
/// Those of `SeaBIOS` take no time.
const SEABIOS_SEEDS: u32 = 90;
/// U-Boot has more than a thousand defconfigs: one of so many is taken, likewise.
const STEP: u32 = 60;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let all = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C"), ("srctree", ".")];
    let all = all.iter().chain(pairs);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn u_boot_is_configured_as_u_boot_configures_itself() {
    let Some(root) = tree("KBS_TEST_UBOOT") else { return };
    let project = Project {
        name: "U-Boot".to_owned(),
        env: environment(&[
            ("CC", "gcc"),
            ("LD", "ld"),
            ("HOSTCC", "gcc"),
            ("CC_VERSION_TEXT", "gcc"),
            ("UBOOTVERSION", "2023.01"),
            ("KERNELVERSION", "2023.01"),
        ]),
        kconfig: "Kconfig",
        conf: "scripts/kconfig/conf",
        dialect: Dialect::U_BOOT,
        scratch: tempfile::tempdir().unwrap(),
        answered: Vec::new(),
        root,
    };
    let mut cases = project.made(count("KBS_TEST_SEEDS", SEEDS));
    let made = cases.len();
    let mut paths: Vec<_> = std::fs::read_dir(project.root.join("configs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths.into_iter().step_by(usize::try_from(count("KBS_TEST_STEP", STEP)).unwrap()) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        cases.push((name, std::fs::read_to_string(path).unwrap()));
    }
    cases.extend(disturbed(&mut Lottery::new(3), &cases));
    let kconfig = project.load();
    let depth = |index| if index < made || index % 8 == 1 { Depth::All } else { Depth::Config };
    project.compare(&mut kconfig.evaluate(), &cases, depth, "--syncconfig");
}

#[test]
fn seabios_is_configured_as_seabios_configures_itself() {
    let Some(given) = tree("KBS_TEST_SEABIOS") else { return };
    // Its `conf` always writes below the current directory.
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("tree");
    std::fs::create_dir_all(root.join("include/config")).unwrap();
    for name in ["src", "vgasrc", "out"] {
        std::os::unix::fs::symlink(given.join(name), root.join(name)).unwrap();
    }
    let project = Project {
        name: "SeaBIOS".to_owned(),
        env: environment(&[]),
        kconfig: "src/Kconfig",
        conf: "out/scripts/kconfig/conf",
        dialect: Dialect::SEABIOS,
        scratch,
        answered: Vec::new(),
        root,
    };
    let mut cases = vec![("nothing".to_owned(), String::new())];
    cases.extend(project.made(SEABIOS_SEEDS));
    cases.extend(disturbed(&mut Lottery::new(3), &cases));
    let kconfig = project.load();
    project.compare(&mut kconfig.evaluate(), &cases, |_| Depth::All, "--silentoldconfig");
}
