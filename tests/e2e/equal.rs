//! The same bytes under the same key, wherever and by whomever they are built.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use kbs_testkit::{FxSpec, Repo};

use crate::lab::{Answer, Delivered, KBS, Lab, answer, fx_that_also, read, with_programs};
use crate::{is_root, skip};

/// `fx` that writes into an artifact what it sees of where it runs.
fn fx_that_looks_around() -> Repo {
    fx_that_also(&[
        "{ id; umask; pwd; uname -n; date +%Z; echo ~; } >out/seen 2>&1",
        "env | grep -v -e MAKE -e MFLAGS | sort >>out/seen",
        "cat /etc/passwd >>out/seen 2>&1 || true",
        "stat -c '%n %a %u %g' . * /build /build/* >>out/seen",
        "ls /proc/self/fd >>out/seen",
    ])
}

fn spec_of(repo: &Repo) -> FxSpec {
    with_programs(repo, &["id", "env", "sort", "ls", "uname", "grep", "date", "stat"])
        .edit("\"fx.txt\"]", "\"fx.txt\", \"seen\"]")
}

/// Realizes with a command line of one's own that ends in kbs.
fn by(lab: &Lab, spec: &FxSpec, command: &mut Command) -> Delivered {
    command.env("KBS_STATE", lab.state()).env_remove("KBS_SOCKET");
    answer(command.arg("realize").arg(lab.write(spec)).arg("--json")).done().output()
}

/// `kbs` run by a shell that does something first.
fn after(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{script}; exec \"$0\" \"$@\""), KBS]);
    command
}

#[track_caller]
fn same(ours: &Delivered, usual: &Delivered) {
    assert!(ours.built, "this was to be built, not found");
    let seen = [ours, usual].map(|built| read(built.path.join("seen")));
    assert_eq!(seen[0], seen[1]);
    assert_eq!((&ours.key, &ours.tree), (&usual.key, &usual.tree));
}

#[test]
fn another_state_directory_and_number_of_jobs_give_the_same_output() {
    let repo = fx_that_looks_around();
    let spec = spec_of(&repo);
    let (first, second) = (Lab::new(), Lab::new());
    let first = first.realize(&spec, &["--json", "--jobs", "1"]).done().output();
    let second = second.realize(&spec, &["--json", "--jobs", "2"]).done().output();
    let seen = [&first, &second].map(|built| read(built.path.join("seen")));
    // The states are gone with their labs only after this.
    assert_eq!(seen[0], seen[1]);
    assert_eq!((first.key, first.tree), (second.key, second.tree));
}

#[test]
fn the_environment_of_client_and_daemon_gives_the_same_output() {
    let repo = fx_that_looks_around();
    let spec = spec_of(&repo);
    let first = Lab::new();
    let usual = first.realize(&spec, &["--json"]).done().output();
    let lab = Lab::new();
    let mut command = after("umask 077; ulimit -n 512");
    command
        .env("TZ", "Asia/Kathmandu")
        .env("LC_ALL", "de_DE.UTF-8")
        .env("LANG", "tr_TR.UTF-8")
        .env("HOME", "/nonexistent")
        .env("MAKEFLAGS", "--warn-undefined-variables")
        .env("KCFLAGS", "-O0")
        .env("SOURCE_DATE_EPOCH", "1")
        .env("GIT_DIR", "/nonexistent")
        .env("USER", "somebody");
    same(&by(&lab, &spec, &mut command), &usual);
}

#[test]
fn another_directory_of_the_daemon_and_more_descriptors_give_the_same_output() {
    let repo = fx_that_looks_around();
    let spec = spec_of(&repo);
    let first = Lab::new();
    let usual = first.realize(&spec, &["--json"]).done().output();
    let lab = Lab::new();
    let daemon = answer(
        after("cd /usr; exec 7</dev/null 9</etc/passwd; trap '' PIPE USR1; umask 0")
            .args(["daemon", "start"])
            .env("KBS_STATE", lab.state())
            .env_remove("KBS_SOCKET"),
    );
    daemon.done();
    same(&lab.realize(&spec, &["--json"]).done().output(), &usual);

    let lab = Lab::new();
    let mut foreground = after("cd /usr; exec 7</dev/null; umask 077")
        .args(["daemon", "run", "--idle-exit", "60"])
        .env("KBS_STATE", lab.state())
        .env_remove("KBS_SOCKET")
        .spawn()
        .unwrap();
    let patience = std::time::Duration::from_secs(20);
    let socket = lab.state().join("kbsd.sock");
    crate::processes::until("the daemon listens", patience, || socket.exists());
    same(&lab.realize(&spec, &["--json"]).done().output(), &usual);
    lab.run(["daemon", "stop"]).done();
    assert!(foreground.wait().unwrap().success());
}

#[test]
fn another_host_name_gives_the_same_output() {
    if !is_root() {
        return skip("only root can give a process another host name");
    }
    let repo = fx_that_looks_around();
    let spec = spec_of(&repo);
    let first = Lab::new();
    let usual = first.realize(&spec, &["--json"]).done().output();
    let lab = Lab::new();
    let mut command = Command::new("unshare");
    command.args(["--uts", "sh", "-c"]);
    command.arg("echo elsewhere >/proc/sys/kernel/hostname && exec \"$0\" \"$@\"").arg(KBS);
    same(&by(&lab, &spec, &mut command), &usual);
}

/// What an ordinary user needs: the program, a clone, a spec and a state directory of their own.
pub(crate) struct Ordinary {
    dir: tempfile::TempDir,
}

impl Ordinary {
    const ID: u32 = 65_534;

    /// The clone is `fx.git` in [`Ordinary::dir`].
    pub(crate) fn new(repo: &Repo) -> Self {
        let dir = tempfile::Builder::new().prefix("kbs-nobody-").tempdir().unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(dir.path(), 0o755);
        std::fs::copy(KBS, dir.path().join("kbs")).unwrap();
        mode(&dir.path().join("kbs"), 0o755);
        for name in ["state", "home"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            mode(&dir.path().join(name), 0o700);
            chown(dir.path().join(name), Some(Self::ID), Some(Self::ID)).unwrap();
        }
        let git = dir.path().join("fx.git");
        repo.git(["clone", "--quiet", "--bare", ".", git.to_str().unwrap()]);
        let owner = format!("{0}:{0}", Self::ID);
        answer(Command::new("chown").args(["-R", &owner]).arg(&git)).done();
        Self { dir }
    }

    /// A directory that everybody may read.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn spec(&self, repo: &Repo, spec: FxSpec) -> String {
        let git = self.dir.path().join("fx.git");
        let path = spec.edit(repo.url(), git.to_str().unwrap()).write(self.dir.path(), "spec");
        path.to_str().unwrap().to_owned()
    }

    /// Runs `kbs` as this user, with nothing but its own.
    pub(crate) fn run(&self, args: &[&str]) -> Answer {
        let id = Self::ID.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--bounding-set=-all"]);
        command.arg(self.dir.path().join("kbs")).args(args);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("HOME", self.dir.path().join("home"));
        command.env("KBS_STATE", self.dir.path().join("state")).current_dir("/");
        answer(&mut command)
    }
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        self.run(&["daemon", "stop", "--force"]);
    }
}

#[test]
fn root_and_an_ordinary_user_get_the_same_output() {
    if !is_root() {
        return skip("only root can be root and somebody else");
    }
    let repo = fx_that_looks_around();
    let first = Lab::new();
    let usual = first.realize(&spec_of(&repo), &["--json"]).done().output();
    let user = Ordinary::new(&repo);
    let spec = user.spec(&repo, spec_of(&repo));
    let toolchain = |shown: &Answer| shown.json()["derivation"]["toolchain"].clone();
    let answer = user.run(&["realize", &spec, "--json"]).done();
    let own = answer.output();
    assert_eq!(
        toolchain(&user.run(&["show", &own.key, "--json"]).done()),
        toolchain(&first.run(["show", &usual.key, "--json"]).done()),
        "the image of a host does not depend on who makes it"
    );
    same(&own, &usual);
    user.run(&["realize", &spec, "--check"]).done();
}

#[test]
fn an_ordinary_user_can_keep_what_its_builds_shut() {
    if !is_root() {
        return skip("only root can be somebody else");
    }
    let repo = fx_that_also(&[
        "mkdir -p out/shut && echo x >out/shut/f && chmod 000 out/shut/f out/shut",
        "mkdir -p junk && echo x >junk/f && chmod 000 junk/f junk",
    ]);
    let user = Ordinary::new(&repo);
    let spec = with_programs(&repo, &["chmod"]);
    let plain = user.spec(&repo, spec.clone());
    user.run(&["realize", &plain, "--json"]).done();
    let shut = spec.edit("\"fx.txt\"]", "\"fx.txt\", \"shut/f\"]");
    let shut = user.spec(&repo, shut);
    let answer = user.run(&["realize", &shut]);
    assert!(matches!(answer.code, Some(0 | 1)), "{answer}");
    let scratch = user.dir.path().join("state/scratch");
    assert!(crate::lab::names(&scratch).is_empty());
}
