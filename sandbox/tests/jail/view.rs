//! What a jail sees: exactly what it was given, the same for every user.

use std::{fs, os::unix::fs::symlink};

use kbs_sandbox::{Input, Limit, Outcome};

use crate::kit::{as_each_user, file, kits, path, step};

#[test]
fn the_environment_is_what_was_given_and_nothing_else() {
    as_each_user(|kit| {
        let mut spec = kit.spec("");
        spec.env.insert("A".into(), "1 2\n3".into());
        spec.env.insert("LC_ALL".into(), "C.UTF-8".into());
        spec.steps = vec![step(&["env", "-0"])];
        let log = kit.run(&spec).succeeded();
        let mut seen: Vec<&str> = log.trim_end_matches('\0').split('\0').collect();
        seen.sort_unstable();
        assert_eq!(seen, ["A=1 2\n3", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"]);
    });
}

#[test]
fn identity_is_the_same_everywhere() {
    as_each_user(|kit| {
        let log = kit.out("id -u; id -g; id -G; umask; uname -n; cat; pwd; echo $PPID");
        assert_eq!(log, "1000\n1000\n1000\n0022\nkbs\n/build/src\n1\n");
    });
}

#[test]
fn root_and_an_ordinary_user_see_the_same() {
    let script = "stat -c '%n %a %u %g %F' / /build /build/* /tmp /dev /dev/shm /dev/std*; \
                  cat /proc/self/limits | grep -v -e processes -e signals; \
                  sed 's/^[0-9]* [0-9]* [^ ]* [^ ]* //' /proc/self/mountinfo | cut -d' ' -f1,2 \
                  | grep -E '^/(build|dev|proc|tmp| )'; \
                  tr '\\0' '\\n' < /proc/self/environ";
    let seen: Vec<String> = kits().iter().map(|kit| kit.out(script)).collect();
    assert!(seen[0].contains("/build/src"), "{}", seen[0]);
    for other in &seen[1..] {
        assert_eq!(*other, seen[0]);
    }
}

#[test]
fn addresses_are_the_same_every_time() {
    as_each_user(|kit| {
        let mut spec = kit.spec("");
        spec.steps = vec![step(&["cut", "-d ", "-f1", "/proc/self/maps"])];
        assert_eq!(kit.run(&spec).succeeded(), kit.run(&spec).succeeded());
    });
}

#[test]
fn only_the_writable_places_can_be_written() {
    as_each_user(|kit| {
        let script = "for d in / /usr /etc /build /build/tools /dev /proc /sys \
                          /build/src /build/out /build/home /tmp /dev/shm; do \
                          (: > $d/x) 2>/dev/null && echo $d; done; \
                      (mkdir /build/y || rmdir /build/home || mv /build/out /build/o \
                          || ln -s / /x || rm -r /etc/passwd) 2>/dev/null && echo changed; true";
        let log = kit.out(script);
        assert_eq!(log, "/build/src\n/build/out\n/build/home\n/tmp\n/dev/shm\n");
    });
}

#[test]
fn changes_to_the_source_stay_in_the_jail() {
    as_each_user(|kit| {
        kit.make_file("source/kept", "old\n");
        kit.make_file("source/gone", "old\n");
        kit.make_dir("source/dir");
        kit.make_file("source/dir/inner", "old\n");
        let script = "echo new > kept; rm gone; rm -r dir; mkdir dir; echo new > dir/other; \
                      mv kept moved; ls . dir; cat moved";
        assert_eq!(kit.out(script), ".:\ndir\nmoved\n\ndir:\nother\nnew\n");
        // The next jail sees none of it, and neither does the host.
        assert_eq!(kit.out("ls . dir; cat kept"), ".:\ndir\ngone\nkept\n\ndir:\ninner\nold\n");
        assert_eq!(fs::read_to_string(kit.source().join("kept")).unwrap(), "old\n");
    });
}

#[test]
fn files_are_there_before_the_first_step() {
    as_each_user(|kit| {
        kit.make_file("source/.config", "the user's\n");
        let mut spec = kit.spec(
            "cat .config; stat -c '%a %s' .config; git; cat a/b/c; stat -c %a /build/tools a/b",
        );
        spec.env.insert("PATH".into(), "/build/tools:/usr/bin:/bin".into());
        spec.files = vec![
            file("/build/src/.config", "ours\n", 0o640),
            file("/build/tools/git", "#!/bin/sh\necho v1.0-2-gabc\n", 0o755),
            file("/build/src/a/b/c", "deep\n", 0o644),
        ];
        assert_eq!(kit.run(&spec).succeeded(), "ours\n640 5\nv1.0-2-gabc\ndeep\n755\n755\n");
        assert_eq!(fs::read_to_string(kit.source().join(".config")).unwrap(), "the user's\n");
    });
}

#[test]
fn a_link_in_the_source_does_not_lead_a_file_astray() {
    as_each_user(|kit| {
        let outside = kit.make_file("outside", "untouched\n");
        symlink(&outside, kit.source().join(".config")).unwrap();
        symlink("/tmp", kit.source().join("dir")).unwrap();
        let mut spec = kit.spec("cat .config; stat -c %F .config");
        spec.files = vec![file("/build/src/.config", "ours\n", 0o644)];
        assert_eq!(kit.run(&spec).succeeded(), "ours\nregular file\n");
        assert_eq!(fs::read_to_string(outside).unwrap(), "untouched\n");

        spec.files = vec![file("/build/src/dir/x", "", 0o644)];
        let outcome = kit.run(&spec).finished.outcome;
        assert!(matches!(outcome, Outcome::SetupFailed(_)), "{outcome:?}");
        spec.files.clear();
        spec.inputs = vec![Input { host: "/usr".into(), inside: path("/build/src/dir/x") }];
        let outcome = kit.run(&spec).finished.outcome;
        assert!(matches!(outcome, Outcome::SetupFailed(_)), "{outcome:?}");
    });
}

#[test]
fn inputs_are_read_only() {
    as_each_user(|kit| {
        let dir = kit.make_dir("input");
        kit.make_file("input/inner", "in a directory\n");
        let single = kit.make_file("single", "a file\n");
        let mut spec = kit.spec(
            "cat /build/in/dir/inner lib/single; \
             (: > /build/in/dir/x) 2>/dev/null || (: > lib/single) 2>/dev/null || echo read-only",
        );
        spec.inputs = vec![
            Input { host: dir, inside: path("/build/in/dir") },
            Input { host: single, inside: path("/build/src/lib/single") },
        ];
        assert_eq!(kit.run(&spec).succeeded(), "in a directory\na file\nread-only\n");
    });
}

#[test]
fn without_a_source_the_directory_is_empty() {
    as_each_user(|kit| {
        let mut spec = kit.spec("ls -A; echo x > x; cat x");
        spec.source.clear();
        assert_eq!(kit.run(&spec).succeeded(), "x\n");
    });
}

#[test]
fn devices_are_the_harmless_ones() {
    as_each_user(|kit| {
        let log = kit.out(
            "ls /dev; head -c 3 /dev/zero | od -An -tx1; head -c 8 /dev/urandom | wc -c; \
             echo x > /dev/null; echo out > /dev/stdout; echo err > /dev/stderr; \
             echo in | cat /dev/stdin; (echo x > /dev/full) 2>/dev/null || echo full",
        );
        assert_eq!(
            log,
            "fd\nfull\nnull\nrandom\nshm\nstderr\nstdin\nstdout\nurandom\nzero\n \
             00 00 00\n8\nout\nerr\nin\nfull\n"
        );
    });
}

#[test]
fn no_descriptor_but_the_standard_ones_gets_in() {
    as_each_user(|kit| {
        // The fourth is the directory that `ls` reads.
        let mut spec = kit.spec("");
        spec.steps = vec![step(&["ls", "/proc/self/fd"]); 2];
        assert_eq!(kit.run(&spec).succeeded(), "0\n1\n2\n3\n0\n1\n2\n3\n");
    });
}

#[test]
fn proc_shows_the_jails_processes_and_nothing_else() {
    as_each_user(|kit| {
        let log =
            kit.out("for e in /proc/*; do case $e in /proc/[0-9]*) ;; *) echo $e;; esac; done");
        assert_eq!(log, "/proc/self\n/proc/thread-self\n");
    });
}

#[test]
fn scratch_is_as_large_as_it_was_said_to_be() {
    as_each_user(|kit| {
        let mut spec = kit.spec("head -c 3000000 /dev/zero > /build/out/x");
        spec.limits.scratch_b = 1 << 20;
        assert_eq!(kit.run(&spec).finished.outcome, Outcome::Exceeded(Limit::Scratch));
        // All places share it.
        let mut spec = kit.spec("head -c 700000 /dev/zero > /build/src/x");
        spec.limits.scratch_b = 1 << 20;
        kit.run(&spec).succeeded();
        spec.steps.push(step(&["sh", "-c", "head -c 700000 /dev/zero > /tmp/x"]));
        assert_eq!(kit.run(&spec).finished.outcome, Outcome::Exceeded(Limit::Scratch));
        // The kernel stops at once what our own count would see too late.
        spec.steps = vec![step(&["sh", "-c", "head -c 1000000000 /dev/zero > /tmp/x"])];
        let ran = kit.run(&spec);
        assert_eq!(ran.finished.outcome, Outcome::Exceeded(Limit::Scratch));
        assert!(ran.finished.usage.scratch_peak_b < 64 << 20, "{:?}", ran.finished.usage);
    });
}
