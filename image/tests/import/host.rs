//! Images of programs that a host has: a made-up Debian, and this machine.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use kbs_image::{HostError, HostRequest, ImageInfo, Import, ImportError, Progress};
use kbs_plan::error::Help;

use crate::pack::*;
use crate::place::{Place, told};

const STATUS: &str = "\
Package: base-files
Essential: yes
Status: install ok installed
Priority: required
Architecture: amd64
Version: 12
Pre-Depends: awk

Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1

Package: dash
Essential: yes
Status: install ok installed
Architecture: amd64
Version: 0.5

Package: mawk
Status: install ok installed
Priority: required
Architecture: amd64
Version: 1.3
Provides: awk

Package: cross-gcc
Status: install ok installed
Architecture: amd64
Version: 12
Depends: libgmp
Recommends: newlib

Package: libgmp
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2

Package: newlib
Status: install ok installed
Architecture: all
Version: 3
";

/// Packages by name in dpkg's file lists, each with its paths and what is in them.
const LISTS: [(&str, &[(&str, &str)]); 7] = [
    (
        "base-files",
        &[
            ("/bin", "dir"),
            ("/usr/share/doc/base-files/copyright", "text"),
            ("/etc/issue", "text"),
            ("/var/log/x", "text"),
        ],
    ),
    ("dpkg", &[("/usr/bin/dpkg", "program")]),
    ("dash", &[("/bin/dash", "program"), ("/usr/bin/env", "program"), ("/bin/sh", "-> dash")]),
    ("mawk", &[("/usr/bin/mawk", "program")]),
    (
        "cross-gcc",
        &[
            ("/usr/bin/cross-gcc-12", "program"),
            ("/usr/bin/cross-gcc", "-> cross-gcc-12"),
            ("/usr/share/man/man1/cross-gcc.1.gz", "text"),
            ("/usr/lib/secret", "private"),
        ],
    ),
    ("libgmp:amd64", &[("/usr/lib/x86_64-linux-gnu/libgmp.so.1", "text")]),
    ("newlib", &[("/usr/include/newlib/string.h", "text"), ("/usr/share/locale/de/x.mo", "text")]),
];

/// A root directory with a merged `/usr`, a package database and alternatives.
fn debian() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    symlink("usr/bin", root.join("bin")).unwrap();
    put(root, "/var/lib/dpkg/status", STATUS);
    for (package, paths) in LISTS {
        install(root, package, paths);
    }
    alternative(root, "awk", "/usr/bin/awk", &[("/usr/bin/mawk", 5)]);
    alternative(root, "cross-include", "/usr/lib/cross/include", &[("/usr/include/newlib", 9)]);
    put(root, "/etc/hostname", "workshop");
    dir
}

fn put(root: &Path, path: &str, text: &str) {
    let full = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(full.parent().unwrap()).unwrap();
    fs::write(full, text).unwrap();
}

fn install(root: &Path, package: &str, paths: &[(&str, &str)]) {
    let mut list = "/.\n/usr\n".to_owned();
    for (path, what) in paths {
        writeln!(list, "{path}").unwrap();
        let full = root.join(&path[1..]);
        match what.strip_prefix("-> ") {
            Some(target) => symlink(target, full).unwrap(),
            None if *what == "dir" => fs::create_dir_all(full).unwrap(),
            None => {
                put(root, path, path);
                let mode = match *what {
                    "program" => 0o755,
                    "private" => 0o640,
                    _ => 0o644,
                };
                fs::set_permissions(full, Permissions::from_mode(mode)).unwrap();
            }
        }
    }
    put(root, &format!("/var/lib/dpkg/info/{package}.list"), &list);
}

fn alternative(root: &Path, name: &str, link: &str, choices: &[(&str, i64)]) {
    let mut text = format!("auto\n{link}\n\n");
    for (path, priority) in choices {
        writeln!(text, "{path}\n{priority}").unwrap();
    }
    put(root, &format!("/var/lib/dpkg/alternatives/{name}"), &(text + "\n"));
    let (through, link) = (format!("/etc/alternatives/{name}"), root.join(&link[1..]));
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    fs::create_dir_all(root.join("etc/alternatives")).unwrap();
    for (at, target) in [(root.join(&through[1..]), choices[0].0), (link, through.as_str())] {
        drop(fs::remove_file(&at));
        symlink(target, at).unwrap();
    }
}

fn cross(root: &Path) -> HostRequest {
    HostRequest { programs: vec!["cross-gcc".into()], root: root.into(), ..HostRequest::default() }
}

fn import(place: &Place, request: &HostRequest) -> ImageInfo {
    place.import(Import::Host(request)).unwrap()
}

fn refused(request: &HostRequest) -> HostError {
    let place = Place::new();
    match place.import(Import::Host(request)).unwrap_err() {
        ImportError::Host(source) => {
            assert!(place.is_empty());
            source
        }
        other => panic!("{}", told(&other)),
    }
}

#[test]
fn a_program_brings_what_its_package_needs() {
    let host = debian();
    let place = Place::new();
    let info = import(&place, &cross(host.path()));
    let listing = place.listing(&info);
    let has = |text: &str| listing.iter().any(|line| line.starts_with(text));
    for wanted in [
        "usr/bin/cross-gcc-12 = ",
        "usr/bin/cross-gcc -> cross-gcc-12",
        "usr/lib/x86_64-linux-gnu/libgmp.so.1 = ",
        "usr/include/newlib/string.h = ",
        "usr/bin/sh -> dash",
        "bin -> usr/bin",
        "usr/bin/awk -> /etc/alternatives/awk",
        "etc/alternatives/awk -> /usr/bin/mawk",
        "usr/lib/cross/include -> /etc/alternatives/cross-include",
        "etc/alternatives/cross-include -> /usr/include/newlib",
        "etc/passwd = root:x:0:0:",
        "proc/",
        "tmp/",
        "build/",
    ] {
        assert!(has(wanted), "{wanted} is missing: {listing:#?}");
    }
    for unwanted in
        ["usr/share", "etc/issue", "etc/hostname", "var/l", "usr/bin/dpkg", "usr/lib/secret"]
    {
        assert!(!has(unwanted), "{unwanted} is there: {listing:#?}");
    }
    assert_eq!(info.packages["newlib"], "3");
    assert_eq!(info.packages.len(), 6);
    assert_eq!(info.programs, ["cross-gcc"]);
    assert!(info.origin.contains("cross-gcc"));
    place.images.verify(&info.digest).unwrap();
}

#[test]
fn the_same_packages_on_two_machines_are_one_image() {
    let (one, other) = (debian(), debian());
    let place = Place::new();
    let expected = import(&place, &cross(one.path()));

    let root = other.path();
    put(root, "/etc/hostname", "laboratory");
    put(root, "/etc/issue", "edited");
    put(root, "/usr/lib/x86_64-linux-gnu/ld.so.cache", "cache");
    fs::remove_dir_all(root.join("usr/share")).unwrap();
    let more = "\nPackage: gawk\nStatus: install ok installed\nPriority: optional\n\
                Architecture: amd64\nVersion: 5\nProvides: awk\n";
    put(root, "/var/lib/dpkg/status", &format!("{STATUS}{more}"));
    install(root, "gawk", &[("/usr/bin/gawk", "program")]);
    alternative(root, "awk", "/usr/bin/awk", &[("/usr/bin/gawk", 10), ("/usr/bin/mawk", 5)]);
    fs::remove_file(root.join("usr/bin/cross-gcc-12")).unwrap();
    let program = root.join("usr/bin/cross-gcc-12");
    fs::write(&program, "/usr/bin/cross-gcc-12").unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o4775)).unwrap();
    assert_eq!(import(&place, &cross(root)).digest, expected.digest);

    fs::write(&program, "patched").unwrap();
    assert_ne!(import(&place, &cross(root)).digest, expected.digest, "content counts");
}

#[test]
fn hard_linked_files_are_the_same_image_as_copies() {
    let (one, other) = (debian(), debian());
    let place = Place::new();
    let paths: &[(&str, &str)] = &[("/usr/bin/cross-ld", "text"), ("/usr/lib/cross/ld", "text")];
    for host in [&one, &other] {
        install(host.path(), "newlib", paths);
        put(host.path(), "/usr/lib/cross/ld", "/usr/bin/cross-ld");
    }
    fs::remove_file(other.path().join("usr/lib/cross/ld")).unwrap();
    let (first, second) = ("usr/bin/cross-ld", "usr/lib/cross/ld");
    fs::hard_link(other.path().join(first), other.path().join(second)).unwrap();
    let copied = import(&place, &cross(one.path()));
    place.images.remove(&copied.digest).unwrap();
    let linked = import(&place, &cross(other.path()));
    assert_eq!(linked.digest, copied.digest);
    place.images.verify(&linked.digest).unwrap();
}

#[test]
fn an_image_of_the_host_equals_its_files_in_a_tar() {
    let host = debian();
    let place = Place::new();
    let info = import(&place, &cross(host.path()));
    let entries: Vec<Entry> = place
        .listing(&info)
        .iter()
        .map(|line| {
            if let Some((name, target)) = line.split_once(" -> ") {
                return symlink_entry(name, target);
            }
            let Some((name, text)) = line.split_once(" = ") else { return dir(line) };
            let about = place.rootfs(&info).join(name).metadata().unwrap();
            Entry { mode: about.permissions().mode(), ..file(name, text) }
        })
        .collect();
    place.images.remove(&info.digest).unwrap();
    assert_eq!(place.archive(&tar(&entries)).unwrap().digest, info.digest);
}

fn symlink_entry(name: &str, target: &str) -> Entry {
    crate::pack::symlink(name, target)
}

#[test]
fn what_is_missing_is_named_with_its_package() {
    let host = debian();
    let request = HostRequest { programs: vec!["avr-gcc".into()], ..cross(host.path()) };
    let error = refused(&request);
    assert!(error.to_string().contains("avr-gcc"), "{error}");
    assert_eq!(error.help().unwrap(), "install it: `apt install gcc-avr avr-libc`");

    let request = HostRequest { packages: vec!["avr-libc".into()], ..cross(host.path()) };
    assert!(matches!(refused(&request), HostError::NoPackage { .. }));

    let place = Place::new();
    let request = HostRequest {
        optional_programs: vec!["avr-gcc".into()],
        optional_packages: vec!["avr-libc".into(), "newlib".into()],
        ..cross(host.path())
    };
    let mut absent = Vec::new();
    let mut note = |report: Progress| {
        if let Progress::Absent { name } = report {
            absent.push(name);
        }
    };
    place.images.import(Import::Host(&request), None, 1, &mut note).unwrap();
    assert_eq!(absent, ["avr-libc", "avr-gcc"]);
}

#[test]
fn a_package_alone_is_enough() {
    let host = debian();
    let place = Place::new();
    let request = HostRequest {
        packages: vec!["libgmp:amd64".into()],
        root: host.path().into(),
        ..HostRequest::default()
    };
    let names: Vec<String> = import(&place, &request).packages.into_keys().collect();
    assert_eq!(names, ["base-files", "dash", "libgmp", "mawk"]);
}

#[test]
fn a_script_of_ones_own_brings_its_interpreter() {
    let host = debian();
    let place = Place::new();
    let tools = host.path().join("home/me/bin");
    fs::create_dir_all(&tools).unwrap();
    for (name, line) in [("tool", "#!/usr/bin/env -S sh -e\n"), ("other", "#! /usr/bin/python9\n")]
    {
        fs::write(tools.join(name), line).unwrap();
        fs::set_permissions(tools.join(name), Permissions::from_mode(0o700)).unwrap();
    }
    let request = |program: &str| HostRequest {
        programs: vec![program.into()],
        search: vec!["/home/me/bin".into()],
        root: host.path().into(),
        ..HostRequest::default()
    };
    let info = import(&place, &request("tool"));
    let listing = place.listing(&info);
    assert!(listing.iter().any(|line| line.starts_with("home/me/bin/tool = #!")), "{listing:?}");
    assert!(listing.contains(&"usr/bin/sh -> dash".to_owned()), "{listing:?}");
    assert!(listing.contains(&"usr/bin/env = /usr/bin/env".to_owned()), "{listing:?}");

    let error = refused(&request("other"));
    assert!(error.to_string().contains("/usr/bin/python9"), "{error}");
}

/// Runs a script in the root file system; `None` where this user may not.
fn run_in(root: &Path, script: &str) -> Option<String> {
    let chroot = |program: &str, first: &[&str]| {
        Command::new(program)
            .args(first)
            .arg(root)
            .args(["/bin/sh", "-c", script])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stderr(Stdio::inherit())
            .output()
            .ok()
    };
    let may = Command::new("unshare").args(["-Ur", "true"]).status().is_ok_and(|s| s.success());
    let output = if may { chroot("unshare", &["-Ur", "chroot"])? } else { chroot("chroot", &[])? };
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn may_chroot() -> bool {
    run_in(Path::new("/"), "true").is_some()
}

#[test]
fn this_hosts_shell_runs_in_its_image() {
    let place = Place::new();
    let request =
        HostRequest { programs: vec!["true".into(), "sh".into()], ..HostRequest::default() };
    let info = import(&place, &request);
    assert_eq!(import(&place, &request).digest, info.digest);

    let listing = place.rootfs(&info);
    assert!(!listing.join("etc/hostname").exists());
    assert!(
        listing.join("usr/bin/sh").symlink_metadata().is_ok() || listing.join("bin/sh").exists()
    );
    if may_chroot() {
        let script = "true && echo $((6 * 7)) && cd /tmp && ls -d /proc";
        assert_eq!(run_in(&listing, script).as_deref(), Some("42\n/proc\n"));
    }
}

#[test]
fn a_program_no_package_owns_brings_its_libraries() {
    let place = Place::new();
    let own = tempfile::tempdir().unwrap();
    let program = own.path().join("my-true");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let path = program.to_str().unwrap();
    let request =
        HostRequest { programs: vec![path.into(), "sh".into()], ..HostRequest::default() };
    let info = import(&place, &request);
    assert!(place.rootfs(&info).join(&path[1..]).is_file());
    if may_chroot() {
        let listed = run_in(&place.rootfs(&info), &format!("{path} --list")).unwrap();
        assert!(listed.contains("this_hosts_shell_runs_in_its_image"), "{listed}");
    }
}
