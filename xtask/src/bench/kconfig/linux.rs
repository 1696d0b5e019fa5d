//! Linux for x86, beside its own `conf` and kconfiglib.
//!
//! Kconfig files of Linux run some hundred commands, mostly the compiler, which takes longer than
//! all the rest. So the tools are compared twice: with the commands run by everybody, and with the
//! answers given to everybody: to `conf` by a `popen` that is loaded before the C library's, to
//! kconfiglib in place of its own function.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kbs_kconfig::{Dialect, Kconfig};
use tempfile::TempDir;

use super::tree::{Answers, Dir, Sh};
use super::{ours, told_peak_b};
use crate::bench::report::{Figure, Report};
use crate::bench::rounds::{Contender, interleave, time};
use crate::{Failure, say};

/// What the top makefile gives.
const ENVIRONMENT: [(&str, &str); 16] = [
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
    ("KERNELVERSION", "6.1.0"),
    ("CC_VERSION_TEXT", "gcc"),
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LC_ALL", "C"),
];

const POPEN: &str = include_str!("popen.c");

/// What olddefconfig.py of kconfiglib does, with answers to commands.
const KCONFIGLIB: &str = r"
import sys
sys.path.insert(0, sys.argv[1])
import kconfiglib
words = open(sys.argv[2]).read().split('\0')
answers = dict(zip(words[::2], words[1::2]))
kconfiglib._shell_fn = lambda kconf, name, command: answers[command]
kconf = kconfiglib.Kconfig('Kconfig', warn=False)
kconf.load_config(sys.argv[3])
kconf.write_config(sys.argv[3], save_old=False)
";

struct Linux {
    root: PathBuf,
    scratch: TempDir,
    /// What a default configuration is.
    config: String,
}

/// Measures, or says why not.
pub(crate) fn measure(
    report: &mut Report,
    root: Option<&Path>,
    kconfiglib: Option<&Path>,
    runs: usize,
) -> Result<(), Failure> {
    let what = "Linux x86: read, decide and write";
    let Some(root) = root else {
        report.skip(what, "no tree; give --linux PATH");
        return Ok(());
    };
    say(what);
    let scratch = tempfile::Builder::new().prefix("kbs-bench-").tempdir()?;
    let mut linux = Linux { root: root.canonicalize()?, scratch, config: String::new() };
    linux.prepare()?;
    linux.with_commands(report, what, runs.div_ceil(4))?;
    linux.with_answers(report, what, kconfiglib, runs)?;
    linux.memory(report)
}

impl Linux {
    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Has the answers to all commands, the `popen`, and a configuration.
    fn prepare(&mut self) -> Result<(), Failure> {
        let env: BTreeMap<String, String> =
            ENVIRONMENT.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let files = Dir(self.root.clone());
        let shell = Sh::with(self.root.clone(), env.clone());
        let kconfig = Kconfig::load("Kconfig", &files, Dialect::CONF, &env, &shell)?;
        Answers::write(kconfig.answers(), &self.path("answers"))?;
        std::fs::write(self.path("popen.c"), POPEN)?;
        let mut compiler = Command::new("gcc");
        compiler.args(["-O2", "-shared", "-fPIC", "popen.c", "-o", "popen.so"]);
        compiler.current_dir(self.scratch.path());
        time("gcc", compiler)?;
        let mut conf = self.conf();
        conf.args(["--alldefconfig", "Kconfig"]);
        time("conf --alldefconfig", conf)?;
        self.config = std::fs::read_to_string(self.path("config"))?;
        Ok(())
    }

    fn reset(&self) -> Result<(), Failure> {
        Ok(std::fs::write(self.path("config"), &self.config)?)
    }

    /// The project's own program, without arguments.
    fn conf(&self) -> Command {
        let mut command = Command::new(self.root.join("scripts/kconfig/conf"));
        command.current_dir(&self.root).env_clear().envs(ENVIRONMENT);
        command.env("KCONFIG_CONFIG", self.path("config"));
        command
    }

    fn olddefconfig(&self) -> Result<Command, Failure> {
        self.reset()?;
        let mut command = self.conf();
        command.args(["--olddefconfig", "Kconfig"]);
        Ok(command)
    }

    fn answered(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", self.path("popen.so")).env("ANSWERS", self.path("answers"));
        command
    }

    fn ours(&self, commands: &str) -> Result<Command, Failure> {
        self.reset()?;
        let mut command = ours()?;
        command.envs(ENVIRONMENT).arg(&self.root).arg("Kconfig").arg(self.path("config"));
        command.args(["--commands", commands]).arg("--answers").arg(self.path("answers"));
        Ok(command)
    }

    fn with_commands(&self, report: &mut Report, what: &str, runs: usize) -> Result<(), Failure> {
        let took = interleave(
            runs,
            vec![
                Contender::new("kbs", |_| self.ours("run")),
                Contender::new("conf", |_| self.olddefconfig()),
            ],
        )?;
        let peer = [("conf --olddefconfig", took[1].into())];
        report.row(&format!("{what}, all commands run"), took[0], &peer, Some("< 1 ×"));
        Ok(())
    }

    fn with_answers(
        &self,
        report: &mut Report,
        what: &str,
        kconfiglib: Option<&Path>,
        runs: usize,
    ) -> Result<(), Failure> {
        let what = format!("{what}, all answers known");
        if kconfiglib.is_none() {
            report.skip("kconfiglib on Linux", "not given; give --kconfiglib DIR");
        }
        let tree = kconfiglib.map(|_| self.tree_for_kconfiglib()).transpose()?;
        let mut contenders = vec![
            Contender::new("kbs", |_| self.ours("known")),
            Contender::new("conf", |_| Ok(self.answered(self.olddefconfig()?))),
        ];
        if let (Some(dir), Some(tree)) = (kconfiglib, &tree) {
            let dir = dir.canonicalize()?;
            contenders.push(Contender::new("kconfiglib", move |_| {
                self.reset()?;
                let mut command = Command::new("python3");
                command.args(["-c", KCONFIGLIB]).arg(&dir);
                command.args([self.path("answers"), self.path("config")]);
                command.current_dir(tree).env_clear().envs(ENVIRONMENT);
                command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
                Ok(command)
            }));
        }
        let took = interleave(runs, contenders)?;
        let peer = [("conf --olddefconfig", took[1].into())];
        report.row(&what, took[0], &peer, Some("< 1 ×"));
        if let Some(theirs) = took.get(2) {
            let peer = [("kconfiglib", (*theirs).into())];
            report.row(&what, took[0], &peer, Some("≤ 0.125 ×"));
        }
        Ok(())
    }

    /// The Kconfig files, with the one line that kconfiglib 14.1 does not know said as it was
    /// before Linux 5.8.
    fn tree_for_kconfiglib(&self) -> Result<PathBuf, Failure> {
        let tree = self.path("tree");
        let script = "cd \"$1\" && find . -name 'Kconfig*' -type f -print0 \
             | xargs -0 cp --parents -t \"$2\" \
             && cd \"$2\" && grep -rlx '\tmodules' . | xargs sed -i 's/^\tmodules$/\toption modules/'";
        std::fs::create_dir(&tree)?;
        let mut copy = Command::new("sh");
        copy.args(["-c", script, "sh"]).arg(&self.root).arg(&tree);
        time("copying Kconfig files", copy)?;
        Ok(tree)
    }

    fn memory(&self, report: &mut Report) -> Result<(), Failure> {
        let mut ours = self.ours("known")?;
        let output = ours.arg("--status").output()?;
        let kbs = told_peak_b(&String::from_utf8(output.stdout)?)?;
        // A small shell starts `conf` and asks the kernel what its child took at most.
        self.reset()?;
        let script = "import resource, subprocess, sys\n\
             subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n\
             print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(self.root.join("scripts/kconfig/conf"));
        command.args(["--olddefconfig", "Kconfig"]).current_dir(&self.root).envs(ENVIRONMENT);
        command.env("KCONFIG_CONFIG", self.path("config"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let output = self.answered(command).output()?;
        let theirs: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
        let peer = [("conf --olddefconfig", Figure::Bytes(theirs * 1024))];
        report.row("Linux x86: most memory at once", Figure::Bytes(kbs), &peer, Some("< 3 ×"));
        Ok(())
    }
}
