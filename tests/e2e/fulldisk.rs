//! A state directory whose disk is full, that nobody may write to, or that others may: told with the
//! path and what is needed, and over once it is mended.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use kbs_testkit::{FxSpec, Repo};

use crate::lab::{Answer, KBS, Lab, answer, fx_that_also, read, with_programs};
use crate::{is_root, skip};

/// As large as an image of the host and a few builds need.
const DISK: &str = "120m";

/// Answers what `kbs` is asked in a mount namespace in which the state directory is a small file system
/// of its own.
const SCRIPT: &str = r#"
mount -t tmpfs -o size="$DISK",mode=700 none "$KBS_STATE" || exit 9
trap '"$KBS" daemon stop --force >/dev/null 2>&1' EXIT
run() {
    name=$1; shift
    "$KBS" "$@" >"$SAYS/$name.out" 2>"$SAYS/$name.err"
    echo $? >"$SAYS/$name.code"
}
leave() {
    rm -f "$KBS_STATE/filler"
    free=$(df -k --output=avail "$KBS_STATE" | tail -n 1)
    head -c "$(((free - $1) * 1024))" /dev/zero >"$KBS_STATE/filler"
}
"#;

/// What was said by name in such a place.
struct Said {
    dir: PathBuf,
}

impl Said {
    fn answer(&self, name: &str) -> Answer {
        let file = |end: &str| read(self.dir.join(format!("{name}.{end}")));
        Answer { code: file("code").trim().parse().ok(), out: file("out"), err: file("err") }
    }

    /// It was refused for want of room.
    #[track_caller]
    fn lacks_room(&self, name: &str, state: &Path) -> Answer {
        let answer = self.answer(name).left(3);
        assert_eq!(answer.out, "");
        answer.telling(&["error: ", state.to_str().unwrap(), "No space left on device"])
    }
}

/// Whether a small file system can be had here.
fn can_mount() -> bool {
    let script = "mount -t tmpfs none /proc/sys";
    let tried = Command::new("unshare").args(["-U", "-r", "-m", "sh", "-c", script]).output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        skip("without user namespaces no disk can be made full");
    }
    can
}

/// Runs steps in such a place; `args` are their `$1` and so on.
fn on_a_small_disk(lab: &Lab, steps: &str, args: &[&Path]) -> Said {
    let dir = lab.dir().join("says");
    fs::create_dir_all(&dir).unwrap();
    let script = format!("{SCRIPT}\n{steps}");
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "-m", "bash", "-c", &script, "bash"]).args(args);
    command.env("KBS", KBS).env("KBS_STATE", lab.state()).env("KBS_CONFIG", "/dev/null");
    command.env_remove("KBS_SOCKET").env("SAYS", &dir).env("DISK", DISK);
    answer(&mut command).done();
    Said { dir }
}

/// A spec by another name, so that several lie beside each other.
fn spec(lab: &Lab, name: &str, spec: &FxSpec) -> PathBuf {
    spec.write(lab.dir(), name)
}

/// Builds `spec` while so many KiB are left, then with room.
fn refused_and_then_built(lab: &Lab, small: &FxSpec, wanted: &FxSpec, left_kib: u32) -> Answer {
    let (small, wanted) = (spec(lab, "small", small), spec(lab, "wanted", wanted));
    let steps = format!(
        "run before realize \"$1\"; leave {left_kib}; run full realize \"$2\"; run alive daemon \
         status; rm \"$KBS_STATE/filler\"; run after realize \"$2\"; run check store verify"
    );
    let said = on_a_small_disk(lab, &steps, &[&small, &wanted]);
    said.answer("before").done();
    let refused = said.lacks_room("full", lab.state());
    said.answer("alive").done();
    said.answer("after").done().path();
    said.answer("check").done();
    refused
}

fn noisy(command: &str) -> Repo {
    fx_that_also(&[&format!("if [ \"$(CONFIG_NAME)\" = noisy ]; then {command}; fi")])
}

fn noise(repo: &Repo) -> FxSpec {
    with_programs(repo, &["head", "od"]).config("CONFIG_NAME=\"noisy\"")
}

#[test]
fn a_log_that_does_not_fit_ends_the_build_with_its_path_and_what_it_needs() {
    if !can_mount() {
        return;
    }
    let lab = Lab::new();
    let repo = noisy("head -c 3000000 /dev/urandom | od -x");
    let refused =
        refused_and_then_built(&lab, &with_programs(&repo, &["head", "od"]), &noise(&repo), 1000);
    refused.telling(&["the build log", "scratch/log-", "more bytes"]);
}

#[test]
fn a_build_on_a_disk_that_it_fills_is_told_of_the_disk() {
    if !can_mount() {
        return;
    }
    let lab = Lab::new();
    // A tree that may be kept is on the disk of the state directory.
    let repo = noisy("head -c 300000000 /dev/urandom >out/large");
    let small = spec(&lab, "small", &with_programs(&repo, &["head", "od"]));
    let wanted = spec(&lab, "wanted", &noise(&repo));
    let steps = "run before realize \"$1\"; run full realize --keep-failed \"$2\"; run alive daemon \
                 status; run gc gc --all; run after realize \"$1\"; run check store verify";
    let said = on_a_small_disk(&lab, steps, &[&small, &wanted]);
    said.answer("before").done();
    let refused = said.answer("full");
    // Its log may be what finds no room first.
    if refused.code == Some(3) {
        said.lacks_room("full", lab.state());
    } else {
        let full = [lab.state().to_str().unwrap(), "limits.scratch", "the file system of"];
        refused.left(1).telling(&full);
    }
    for name in ["alive", "gc", "after", "check"] {
        said.answer(name).done();
    }
}

#[test]
fn artifacts_that_do_not_fit_are_told_with_their_size() {
    if !can_mount() {
        return;
    }
    let lab = Lab::new();
    let repo = noisy("head -c 5000000 /dev/urandom >out/fx.bin");
    let refused =
        refused_and_then_built(&lab, &with_programs(&repo, &["head", "od"]), &noise(&repo), 400);
    refused.telling(&["5000000 more bytes", "help: free space"]);
}

#[test]
fn an_image_that_does_not_fit_is_told_with_its_size() {
    if !can_mount() {
        return;
    }
    let lab = Lab::new();
    let repo = kbs_testkit::fx();
    let wanted = spec(&lab, "wanted", &FxSpec::new(&repo));
    let steps = "run none ls; leave 3000; run full realize \"$1\"; rm \"$KBS_STATE/filler\"; \
                 run after realize \"$1\"; run check store verify";
    let said = on_a_small_disk(&lab, steps, &[&wanted]);
    let refused = said.lacks_room("full", lab.state());
    refused.telling(&["the image needs", "bytes in all", "help: free space"]);
    said.answer("after").done().path();
    said.answer("check").done();
}

#[test]
fn with_any_room_left_a_build_is_refused_whole_or_done() {
    if !can_mount() {
        return;
    }
    let lab = Lab::new();
    let repo = kbs_testkit::fx();
    let rooms = [0, 4, 8, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 64, 96];
    let mut specs = vec![spec(&lab, "first", &FxSpec::new(&repo))];
    let mut steps = "run first realize \"$1\"\n".to_owned();
    for (number, room) in rooms.iter().enumerate() {
        let name = format!("CONFIG_NAME=\"room-{room}\"");
        specs.push(spec(&lab, &format!("room-{room}"), &FxSpec::new(&repo).config(&name)));
        let place = number + 2;
        writeln!(steps, "leave {room}; run room-{room} realize \"${{{place}}}\"").unwrap();
    }
    steps.push_str("rm \"$KBS_STATE/filler\"; run check store verify\n");
    for room in rooms {
        let place = rooms.iter().position(|other| *other == room).unwrap() + 2;
        writeln!(steps, "run again-{room} realize \"${{{place}}}\"").unwrap();
    }
    let args: Vec<_> = specs.iter().map(PathBuf::as_path).collect();
    let said = on_a_small_disk(&lab, &steps, &args);
    let mut refused = 0;
    for room in rooms {
        let name = format!("room-{room}");
        if said.answer(&name).code != Some(0) {
            said.lacks_room(&name, lab.state());
            refused += 1;
        }
        let path = said.answer(&format!("again-{room}")).done().path();
        assert!(path.starts_with(lab.state()));
    }
    assert!((1..rooms.len()).contains(&refused), "{refused} of {} were refused", rooms.len());
    said.answer("check").done();
}

#[test]
fn a_state_directory_on_a_read_only_disk_is_told() {
    if !can_mount() {
        return;
    }
    let lab = Lab::new();
    let repo = kbs_testkit::fx();
    let wanted = spec(&lab, "wanted", &FxSpec::new(&repo));
    let steps = "run before realize \"$1\"; run stop daemon stop; \
                 mount -o remount,ro \"$KBS_STATE\" || exit 9; run full realize --no-daemon \"$1\"; \
                 run there realize \"$1\"; mount -o remount,rw \"$KBS_STATE\"; run after realize \"$1\"";
    let said = on_a_small_disk(&lab, steps, &[&wanted]);
    said.answer("before").done();
    for name in ["full", "there"] {
        let refused = said.answer(name).left(3);
        refused.telling(&["error: ", lab.state().to_str().unwrap(), "ead-only file system"]);
    }
    said.answer("after").done();
}

#[test]
fn a_state_directory_of_somebody_else_or_open_to_others_is_refused_with_the_way_out() {
    let (lab, repo) = (Lab::new(), kbs_testkit::fx());
    let wanted = FxSpec::new(&repo);
    fs::set_permissions(lab.state(), Permissions::from_mode(0o755)).unwrap();
    let told = ["open to other users", lab.state().to_str().unwrap(), "chmod 700"];
    lab.realize(&wanted, &["--no-daemon"]).left(3).telling(&told);
    lab.realize(&wanted, &[]).left(3).telling(&told);
    fs::set_permissions(lab.state(), Permissions::from_mode(0o700)).unwrap();
    if is_root() {
        std::os::unix::fs::chown(lab.state(), Some(4321), None).unwrap();
        let told = ["belongs to uid 4321", lab.state().to_str().unwrap()];
        lab.realize(&wanted, &["--no-daemon"]).left(3).telling(&told);
        std::os::unix::fs::chown(lab.state(), Some(0), None).unwrap();
    } else {
        skip("only root can give a directory away");
    }
    lab.realize(&wanted, &["--no-daemon"]).done();
}

/// Bytes of a log that is long enough by default, and of one that is large.
const LONG_B: u64 = 200 << 20;
const LARGE_B: u64 = 10 << 30;

#[test]
fn a_log_without_end_is_cut_and_held_by_nobody() {
    let lab = Lab::new();
    let size_b = if std::env::var_os("KBS_TEST_LARGE").is_some() { LARGE_B } else { LONG_B };
    let repo = fx_that_also(&[&format!("head -c {size_b} /dev/zero | tr '\\0' 'x'")]);
    let limit_b = 1 << 20;
    let spec = with_programs(&repo, &["head", "tr"]).toml(&format!("[limits]\nlog = {limit_b}\n"));
    let key = lab.realize(&spec, &["--json"]).done().output().key;
    let log = lab.run(["log", &key]).done();
    let told = format!("the log passed its limit of {limit_b} bytes");
    assert!(log.out.contains(&told), "{}", &log.out[log.out.len().saturating_sub(300)..]);
    assert!(log.out.len() < limit_b + 1000, "{}", log.out.len());
    // The most memory that the daemon ever had.
    let status = read(format!("/proc/{}/status", lab.daemon_pid().as_raw_nonzero()));
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 250 << 10, "the daemon had {peak}");
}
