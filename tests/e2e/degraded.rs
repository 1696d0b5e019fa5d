//! A host that lacks a layer of the sandbox: refused with the way out, or built, marked and never
//! taken for more than it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use kbs_testkit::{FxSpec, Repo, fx};
use serde_json::Value;

use crate::lab::{Answer, KBS, Lab, answer};
use crate::skip;

/// A way to hide a layer from a command that is given as the last words.
struct Hidden {
    /// What `kbs doctor` calls it.
    layer: &'static str,
    /// Its name in `sandbox.require`, for those that can be left out.
    wall: Option<&'static str>,
    /// The command.
    by: Vec<String>,
    /// What the person is told besides.
    told: &'static [&'static str],
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A namespace that may not be made: the sysctl of a user namespace around it.
fn no_namespace(layer: &'static str, told: &'static [&'static str]) -> Hidden {
    let script = format!("echo 0 >/proc/sys/{}; exec \"$@\"", told[0].replace('.', "/"));
    Hidden {
        layer,
        wall: None,
        by: words(&["unshare", "-U", "-r", "sh", "-c", &script, "sh"]),
        told,
    }
}

/// A system call that fails.
fn failing(
    layer: &'static str,
    wall: &'static str,
    how: &str,
    told: &'static [&'static str],
) -> Hidden {
    // All other calls run untraced, and as fast as ever.
    let call = how.split_once(':').map_or(how, |(call, _)| call);
    let (trace, inject) = (format!("trace={call}"), format!("inject={how}"));
    let strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"];
    let by = words(&[&strace[..], &["-e", &trace, "-e", &inject]].concat());
    Hidden { layer, wall: Some(wall), by, told }
}

fn namespaces() -> Vec<Hidden> {
    vec![
        no_namespace("user namespace", &["user.max_user_namespaces"]),
        no_namespace("mount namespace", &["user.max_mnt_namespaces"]),
        no_namespace("pid namespace", &["user.max_pid_namespaces"]),
        no_namespace("net namespace", &["user.max_net_namespaces"]),
        no_namespace("ipc namespace", &["user.max_ipc_namespaces"]),
        no_namespace("uts namespace", &["user.max_uts_namespaces"]),
        no_namespace("cgroup namespace", &["user.max_cgroup_namespaces"]),
    ]
}

fn no_proc() -> Hidden {
    // Where a part of `/proc` is covered, the kernel lets nobody mount one that shows it.
    let script = "mount -t tmpfs none /proc/sys; exec \"$@\"";
    let by = words(&["unshare", "-U", "-r", "-m", "sh", "-c", script, "sh"]);
    Hidden { layer: "proc", wall: Some("proc"), by, told: &["outside a container", "systempaths"] }
}

/// Jail and probe mount in the same order: second and fourth come the overlays, and the probe takes
/// one for the other.
fn no_overlay(which: &str) -> Hidden {
    let how = format!("fsopen:error=ENODEV:when={which}");
    failing("overlay", "overlay", &how, &["CONFIG_OVERLAY_FS"])
}

fn no_landlock() -> Hidden {
    failing("landlock", "landlock", "landlock_create_ruleset:error=EOPNOTSUPP", &["lsm="])
}

fn no_filter() -> Hidden {
    let call = "seccomp:error=EINVAL";
    failing("system call filter", "filter", call, &["CONFIG_SECCOMP_FILTER"])
}

/// Whether layers can be hidden here. Without the tracer, they cannot.
fn can_hide() -> bool {
    let options = ["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "true"];
    let traced = Command::new("strace").args(options).output();
    let can = traced.is_ok_and(|output| output.status.success());
    if !can {
        skip("without strace no system call can be made to fail");
    }
    can
}

/// A project and a state directory whose daemon requires what it is told.
struct Host {
    lab: Lab,
    spec: PathBuf,
    config: PathBuf,
    repo: Repo,
}

impl Host {
    fn new() -> Self {
        let lab = Lab::new();
        let config = lab.dir().join("kbsd.toml");
        let repo = fx();
        let spec = lab.write(&FxSpec::new(&repo));
        Self { lab, spec, config, repo }
    }

    fn requiring(&self, layers: &[&str]) -> &Self {
        std::fs::write(&self.config, format!("[sandbox]\nrequire = {layers:?}\n")).unwrap();
        self
    }

    /// Runs `kbs` in one process tree where a layer is hidden.
    fn run(&self, by: &[String], args: &[&str]) -> Answer {
        let mut command = Command::new(by.first().map_or(KBS, String::as_str));
        if !by.is_empty() {
            command.args(&by[1..]).arg(KBS);
        }
        command.env("KBS_STATE", self.lab.state()).env("KBS_CONFIG", &self.config);
        answer(command.args(args).arg("--no-daemon"))
    }

    fn realize(&self, by: &[String], options: &[&str]) -> Answer {
        self.run(by, &[&["realize", self.spec.to_str().unwrap()], options].concat())
    }

    fn refuses(&self, hidden: &Hidden) {
        let Hidden { layer, wall, by, told } = hidden;
        let without = wall.map(|wall| format!("leave `{wall}` out of sandbox.require"));
        let missing = format!("missing: {layer}");
        let refused = self.realize(by, &["--rebuild"]).left(3);
        let refused = refused.telling(&["the build was refused", &missing, "help: "]).telling(told);
        refused.telling(&[without.as_deref().unwrap_or_default()]);
        let doctor = self.run(by, &["doctor"]).left(3);
        let says = |text: &str| assert!(doctor.out.contains(text), "`{text}` is not in {doctor}");
        says(&format!("\n{layer}: "));
        says(without.as_deref().unwrap_or_default());
        told.iter().for_each(|text| says(text));
        let doctor = self.run(by, &["doctor", "--json"]).left(3);
        let entry = entry(&doctor, layer);
        assert_eq!((&entry["ok"], &entry["required"]), (&false.into(), &true.into()), "{doctor}");
        for field in ["fix", "matters", "text"] {
            assert!(entry[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {entry}");
        }
    }
}

fn entry(doctor: &Answer, layer: &str) -> Value {
    let entries = doctor.events();
    let found = entries.into_iter().find(|entry| entry["layer"] == layer);
    found.unwrap_or_else(|| panic!("no {layer} in {doctor}"))
}

fn marks(answer: &Answer) -> Vec<String> {
    let events = answer.events();
    let ended = events.iter().find(|event| event["event"] == "ended").unwrap();
    let marks = ended["output"]["marks"].as_array().unwrap();
    marks.iter().map(|mark| mark.as_str().unwrap().to_owned()).collect()
}

const ALL: [&str; 4] = ["overlay", "proc", "landlock", "filter"];

#[test]
fn a_namespace_that_may_not_be_made_refuses_builds_by_its_sysctl() {
    let host = Host::new();
    host.requiring(&ALL);
    for hidden in namespaces() {
        host.refuses(&hidden);
    }
    assert_eq!(host.run(&[], &["ls", "--failed", "--json"]).done().out, "");
    host.realize(&[], &[]).done();
}

#[test]
fn a_layer_that_the_kernel_lacks_refuses_builds_and_tells_how_to_do_without() {
    if !can_hide() {
        return;
    }
    let host = Host::new();
    host.requiring(&ALL);
    for hidden in [no_overlay("2+2"), no_proc(), no_landlock(), no_filter()] {
        host.refuses(&hidden);
    }
    for (how, told) in [
        ("landlock_create_ruleset:retval=1", "it needs interface version 2"),
        ("landlock_create_ruleset:error=ENOSYS", "this kernel was built without it"),
        ("landlock_create_ruleset:error=EOPNOTSUPP", "it is not switched on"),
    ] {
        let hidden = failing("landlock", "landlock", how, &["CONFIG_SECURITY_LANDLOCK"]);
        host.refuses(&hidden);
        host.realize(&hidden.by, &[]).left(3).telling(&[told]);
    }
    assert_eq!(host.run(&[], &["ls", "--json"]).done().out, "");
}

#[test]
fn an_older_landlock_builds_and_the_doctor_says_what_it_cannot_do() {
    if !can_hide() {
        return;
    }
    let host = Host::new();
    host.requiring(&ALL);
    let ladder = [
        (3, "landlock: truncating"),
        (4, "landlock: tcp"),
        (5, "landlock: device control"),
        (6, "landlock: signals and abstract sockets"),
    ];
    let has = entry(&host.run(&[], &["doctor", "--json"]).done(), "landlock");
    let version = has["text"].as_str().unwrap().rsplit(' ').next().unwrap().parse::<u32>().unwrap();
    for abi in 2..version.min(6) {
        // The first call of a process asks for the version.
        let how = format!("landlock_create_ruleset:retval={abi}:when=1");
        let hidden = failing("landlock", "landlock", &how, &[]);
        let built = host.realize(&hidden.by, &["--rebuild", "--json"]).done();
        assert_eq!(marks(&built), [""; 0], "{built}");
        let doctor = host.run(&hidden.by, &["doctor", "--json"]).done();
        for (since, layer) in ladder {
            let entry = entry(&doctor, layer);
            assert_eq!((&entry["ok"], &entry["required"]), (&(abi >= since).into(), &false.into()));
        }
    }
}

#[test]
fn what_was_built_without_a_layer_says_so_and_is_built_again_where_it_is_required() {
    if !can_hide() {
        return;
    }
    let host = Host::new();
    // Where the source is copied, the fourth is `/proc`.
    for hidden in [no_overlay("2"), no_proc(), no_landlock(), no_filter()] {
        let wall = hidden.wall.unwrap();
        let mark = format!("no-{wall}");
        // Another key for each, and another configuration.
        let name = format!("CONFIG_NAME=\"{wall}\"");
        host.lab.write(&FxSpec::new(&host.repo).config(&name));
        let others: Vec<_> = ALL.into_iter().filter(|layer| *layer != wall).collect();
        host.requiring(&others);
        let built = host.realize(&hidden.by, &["--json"]).done();
        let lacking = built.output();
        assert!(lacking.built);
        assert_eq!(marks(&built), [mark.as_str()], "{built}");
        let told = built.notices("degraded");
        assert!(told.iter().any(|text| text.contains(&mark)), "{told:?}");

        // Here it is good enough, and everybody who gets it can see what it lacks.
        let again = host.realize(&hidden.by, &["--json"]).done();
        assert_eq!((again.output().built, marks(&again)), (false, vec![mark.clone()]));
        host.realize(&hidden.by, &[]).done().telling(&["warning: ", &mark, "never shared"]);
        let shown = host.run(&hidden.by, &["show", &lacking.key, "--json"]).done().json();
        assert_eq!(shown["marks"], serde_json::json!([mark]), "{shown}");
        let zip = host.lab.dir().join("out.zip");
        host.realize(&hidden.by, &["--zip", zip.to_str().unwrap()]).done();
        assert_eq!(meta(&zip)["marks"], serde_json::json!([mark]));

        // What is there is used, whatever may be left out; so is what was configured.
        let whole = host.realize(&[], &["--json", "--log"]).done();
        assert_eq!((whole.output().built, marks(&whole).len()), (true, 0), "{whole}");
        assert!(whole.phases().contains(&"configure".to_owned()), "{whole}");
        let told = whole.notices("degraded");
        assert!(told.iter().any(|text| text.contains("built again")), "{told:?}");
        host.requiring(&ALL);
        let kept = host.realize(&[], &["--json"]).done();
        assert_eq!((kept.output().built, marks(&kept).len()), (false, 0));
    }
}

/// The facts in an archive of an output.
fn meta(zip: &Path) -> Value {
    let read = "import sys, zipfile\n\
                print(zipfile.ZipFile(sys.argv[1]).read('build-meta.json').decode())";
    let json = answer(Command::new("python3").args(["-c", read]).arg(zip)).done();
    serde_json::from_str(&json.out).unwrap()
}
