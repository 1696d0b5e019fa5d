//! Compares small random projects with every tool that there is.
//!
//! `KBS_TEST_PROJECTS` says how many, `KBS_TEST_SEED` where the numbers begin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kbs_kconfig::{Dialect, FileMap, Kconfig, LoadError, NoShell, Prefix};

use crate::grammar::{Speech, Written, write};
use crate::loops::{SelectedMembers, has_loop};
use crate::{count, say, tree};

/// How many projects if the environment does not say.
const PROJECTS: u32 = 400;
/// Most bytes of differences that are told.
const TOLD_MAX_B: usize = 20_000;

/// Writes beside each `N.in` what kconfiglib makes of it; `refused` where it refuses the project.
const ORACLE: &str = r"
import os, sys
sys.path.insert(0, sys.argv[1])
import kconfiglib
for project in sorted(os.listdir(sys.argv[2])):
    os.chdir(os.path.join(sys.argv[2], project))
    os.environ['CONFIG_'] = open('prefix').read()
    try:
        for name in sorted(os.listdir('.')):
            base, ending = os.path.splitext(name)
            if ending == '.in':
                kconf = kconfiglib.Kconfig('Kconfig', warn=False)
                kconf.load_config(name)
                kconf.write_config(base + '.config', save_old=False)
                kconf.write_min_config(base + '.min')
                kconf.write_autoconf(base + '.h')
    except (kconfiglib.KconfigError, RecursionError) as e:
        open('refused', 'w').write(str(e))
";

struct Project {
    written: Written,
    /// What symbols carry.
    prefix: &'static str,
    dir: PathBuf,
    seed: u64,
}

fn projects(scratch: &Path, speech: Speech) -> Vec<Project> {
    let first = u64::from(count("KBS_TEST_SEED", 1));
    (first..first + u64::from(count("KBS_TEST_PROJECTS", PROJECTS)))
        .map(|seed| {
            let mut written = write(seed, speech);
            // busybox's `conf` knows no other.
            let prefix = if seed % 4 == 0 && speech.late { "BR2_" } else { "CONFIG_" };
            for config in &mut written.configs {
                *config = config.replace("CONFIG_", prefix);
            }
            let dir = scratch.join(format!("{seed:09}"));
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join("prefix"), prefix).unwrap();
            std::fs::write(dir.join("Kconfig"), &written.kconfig).unwrap();
            for (case, config) in written.configs.iter().enumerate() {
                std::fs::write(dir.join(format!("{case}.in")), config).unwrap();
            }
            Project { written, prefix, dir, seed }
        })
        .collect()
}

fn load(project: &Project, dialect: Dialect) -> Result<Kconfig, LoadError> {
    let files: FileMap = [("Kconfig", project.written.kconfig.clone())].into_iter().collect();
    let kconfig = Kconfig::load("Kconfig", &files, dialect, &BTreeMap::new(), &NoShell)?;
    Ok(kconfig.with_prefix(Prefix::new(project.prefix).unwrap()))
}

/// What was compared, and what differed.
#[derive(Default)]
struct Tally {
    compared: usize,
    refused: usize,
    /// How many we refuse for loops, and the tool does not: those of members of one choice.
    only_ours: usize,
    /// How many of them we take.
    only_theirs: usize,
    /// Why it refused projects, if not for loops.
    odd: Vec<String>,
    differences: Vec<String>,
    /// How many were left out as they contain loops.
    looping: usize,
}

impl Tally {
    /// The tool refuses a project. We may see less of a loop: what cannot change a value is none.
    fn refusal(&mut self, project: &Project, theirs: &str, ours: Option<&LoadError>) {
        self.refused += 1;
        self.only_theirs += usize::from(ours.is_none());
        let for_loops =
            theirs.contains("recursive dependency") || theirs.contains("Dependency loop");
        if !for_loops || !has_loop(&project.written.kconfig, SelectedMembers::Seen) {
            self.odd.push(format!("{theirs}\n{}", project.written.kconfig));
        }
    }

    /// We refuse a project that the tool takes. docs/KCONFIG.md says which loops the tools take.
    fn refusal_by_us(&mut self, project: &Project, error: &LoadError) {
        let Project { seed, written, .. } = project;
        let is_loop = matches!(error, LoadError::Loop { .. });
        if is_loop && has_loop(&written.kconfig, SelectedMembers::Seen) {
            self.only_ours += 1;
        } else {
            self.differences.push(format!("{seed}: we refuse: {error}\n{}", written.kconfig));
        }
    }

    fn compare(&mut self, project: &Project, case: usize, what: &str, ours: &str, theirs: &str) {
        self.compared += 1;
        if ours != theirs {
            let Project { seed, written, .. } = project;
            let report = crate::difference(ours, theirs, what).unwrap_or_default();
            self.differences.push(format!(
                "{seed}, {what} of case {case}\n{}--- given\n{}--- {report}",
                written.kconfig, written.configs[case]
            ));
        }
    }

    /// Tells, and fails if a file differs.
    fn end(mut self, tool: &str) {
        let total = self.differences.len();
        say(&format!(
            "{tool}: {} files of random projects compared, {} projects refused by it, of which \
             we take {}, {} refused by us alone, {} left out for loops, {total} differences",
            self.compared, self.refused, self.only_theirs, self.only_ours, self.looping
        ));
        if let Some(odd) = self.odd.iter().min_by_key(|text| text.len()) {
            say(&format!("{} of them for other reasons than loops, such as {odd}", self.odd.len()));
        }
        self.differences.sort_by_key(String::len);
        let seeds: Vec<&str> =
            self.differences.iter().filter_map(|text| text.split([',', ':']).next()).collect();
        let mut told = self.differences.join("\n======\n");
        told.truncate((0..=TOLD_MAX_B).rev().find(|at| told.is_char_boundary(*at)).unwrap_or(0));
        assert!(total == 0, "{told}\n{total} differences: {seeds:?}");
        assert!(self.compared > self.refused, "most projects were refused");
    }
}

#[test]
fn random_projects_are_configured_as_kconfiglib_configures_them() {
    let Some(kconfiglib) = tree("KBS_TEST_KCONFIGLIB") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let projects = projects(scratch.path(), Speech::KCONFIGLIB);
    let status = Command::new("python3")
        .args(["-c", ORACLE])
        .args([&kconfiglib, scratch.path()])
        .status()
        .expect("python3 runs");
    assert!(status.success());
    let mut tally = Tally::default();
    for project in &projects {
        let ours = load(project, Dialect::KCONFIGLIB);
        if let Ok(why) = std::fs::read_to_string(project.dir.join("refused")) {
            tally.refusal(project, &why, ours.as_ref().err());
            continue;
        }
        let kconfig = match ours {
            Ok(kconfig) => kconfig,
            Err(error) => {
                tally.refusal_by_us(project, &error);
                continue;
            }
        };
        let mut configuration = kconfig.evaluate();
        for (case, given) in project.written.configs.iter().enumerate() {
            configuration.load(given);
            for (ending, ours) in [
                ("config", configuration.to_dotconfig()),
                ("min", configuration.to_minimal()),
                ("h", configuration.to_autoconf()),
            ] {
                let theirs = project.dir.join(format!("{case}.{ending}"));
                let theirs = std::fs::read_to_string(theirs).unwrap();
                tally.compare(project, case, ending, &ours, &theirs);
            }
        }
    }
    tally.end("kconfiglib");
}

/// A `conf` and what it does.
struct Conf {
    program: PathBuf,
    dialect: Dialect,
    name: &'static str,
}

impl Conf {
    /// Runs it in the directory of a project; what it says if it fails.
    fn run(&self, project: &Project, modes: &[&str]) -> Result<(), String> {
        let mut yes = Command::new("timeout");
        // The old ones ask where they are given nothing else to do.
        yes.args(["1", "sh", "-c", "yes '' | \"$0\" \"$@\" Kconfig"]);
        yes.arg(&self.program)
            .args(modes)
            .current_dir(&project.dir)
            .env("CONFIG_", project.prefix)
            .env("KCONFIG_NOTIMESTAMP", "1");
        let output = yes.stdout(Stdio::null()).output().expect("timeout runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() && !said.contains("recursive dependency") {
            Ok(())
        } else {
            Err(said)
        }
    }
}

fn compare(conf: &Conf, speech: Speech) {
    let scratch = tempfile::tempdir().unwrap();
    let old = conf.dialect == Dialect::BUSYBOX;
    let normalise = if old { "-o" } else { "--olddefconfig" };
    let mut tally = Tally::default();
    for project in &projects(scratch.path(), speech) {
        // The oldest one takes loops; what comes of them depends on where it begins.
        if old && has_loop(&project.written.kconfig, SelectedMembers::Ignored) {
            tally.looping += 1;
            continue;
        }
        let ours = load(project, conf.dialect);
        let dotconfig = project.dir.join(".config");
        for (case, given) in project.written.configs.iter().enumerate() {
            std::fs::write(&dotconfig, given).unwrap();
            if let Err(why) = conf.run(project, &[normalise]) {
                tally.refusal(project, &why, ours.as_ref().err());
                break;
            }
            let kconfig = match &ours {
                Ok(kconfig) => kconfig,
                Err(error) => {
                    tally.refusal_by_us(project, error);
                    break;
                }
            };
            let mut configuration = kconfig.evaluate();
            configuration.load(given);
            let theirs = std::fs::read_to_string(&dotconfig).unwrap();
            let ours = configuration.to_dotconfig();
            let body = |text: &str| -> String {
                let mut lines = text.split_inclusive('\n');
                if old {
                    lines.next();
                    lines.skip_while(|line| *line != "#\n").collect()
                } else {
                    lines.collect()
                }
            };
            tally.compare(project, case, "config", &body(&ours), &body(&theirs));
            if !old && ours == theirs {
                conf.run(project, &["--savedefconfig=min"]).unwrap();
                let theirs = std::fs::read_to_string(project.dir.join("min")).unwrap();
                tally.compare(project, case, "min", &configuration.to_minimal(), &theirs);
            }
        }
    }
    tally.end(conf.name);
}

#[test]
fn random_projects_are_configured_as_linux_configures_them() {
    let Some(root) = tree("KBS_TEST_LINUX") else { return };
    let program = root.join("scripts/kconfig/conf");
    compare(&Conf { program, dialect: Dialect::CONF, name: "conf of Linux" }, Speech::LINUX);
}

#[test]
fn random_projects_are_configured_as_u_boot_configures_them() {
    let Some(root) = tree("KBS_TEST_UBOOT") else { return };
    let program = root.join("scripts/kconfig/conf");
    compare(&Conf { program, dialect: Dialect::U_BOOT, name: "conf of U-Boot" }, Speech::U_BOOT);
}

#[test]
fn random_projects_are_configured_as_seabios_configures_them() {
    let Some(root) = tree("KBS_TEST_SEABIOS") else { return };
    let program = root.join("out/scripts/kconfig/conf");
    compare(&Conf { program, dialect: Dialect::SEABIOS, name: "conf of SeaBIOS" }, Speech::SEABIOS);
}

#[test]
fn random_projects_are_configured_as_busybox_configures_them() {
    let Some(root) = tree("KBS_TEST_BUSYBOX") else { return };
    let program = root.join("scripts/kconfig/conf");
    compare(&Conf { program, dialect: Dialect::BUSYBOX, name: "conf of busybox" }, Speech::BUSYBOX);
}
