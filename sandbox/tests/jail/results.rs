//! What is left of a jail when it is over.

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt, symlink},
    },
};

use kbs_sandbox::{JailSpec, Limit, Outcome, ResultDirs, Scratch, remove_scratch};
use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, openat2};

use crate::kit::{Kit, as_each_user, first_line, kits, read};

const CHANGES: &str = "echo changed > changed; rm gone; rm -r dir; mkdir -p dir/new; \
                       echo deep > dir/new/deep; ln -s /etc/passwd link; \
                       mkdir /build/out/d; echo result > /build/out/d/r; echo run > /build/out/x; \
                       chmod 755 /build/out/x";

fn both_scratches(kit: &Kit) -> [JailSpec; 2] {
    for name in ["kept", "changed", "gone"] {
        kit.make_file(&format!("source/{name}"), "lower\n");
    }
    kit.make_dir("source/dir");
    kit.make_file("source/dir/inner", "lower\n");
    let memory = kit.spec(CHANGES);
    let directory = Scratch::Directory(kit.make_dir("scratch"));
    [memory.clone(), JailSpec { scratch: directory, ..memory }]
}

fn names(dir: &OwnedFd) -> Vec<String> {
    let mut names: Vec<String> = Dir::read_from(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .filter(|name| name != "." && name != "..")
        .collect();
    names.sort_unstable();
    names
}

fn assert_results(ResultDirs { src, out }: &ResultDirs) {
    assert_eq!(names(src), ["changed", "dir", "kept", "link"]);
    assert_eq!(read(src, "kept").unwrap(), "lower\n");
    assert_eq!(read(src, "changed").unwrap(), "changed\n");
    assert_eq!(read(src, "dir/new/deep").unwrap(), "deep\n");
    assert!(read(src, "dir/inner").is_err());
    assert!(read(src, "gone").is_err());
    assert_eq!(names(out), ["d", "x"]);
    assert_eq!(read(out, "d/r").unwrap(), "result\n");
    let beneath = |name| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat2(src, name, flags, Mode::empty(), ResolveFlags::BENEATH)
    };
    assert!(beneath("dir/new/deep").is_ok());
    assert!(beneath("link").is_err(), "a link led out of the directory");
}

#[test]
fn results_are_read_after_the_end() {
    as_each_user(|kit| {
        for spec in both_scratches(kit) {
            let ran = kit.run(&spec);
            assert_eq!(ran.finished.outcome, Outcome::Succeeded, "{}", ran.log);
            assert_results(&ran.finished.dirs.unwrap());
        }
    });
}

#[test]
fn results_outlive_every_process_of_the_sandbox() {
    for kit in kits() {
        let dirs: Vec<_> =
            both_scratches(&kit).iter().map(|spec| kit.run(spec).finished.dirs.unwrap()).collect();
        let Kit { helper, dir: _dir, .. } = kit;
        // Waits until the helper, and so every namespace, is gone.
        drop(helper);
        dirs.iter().for_each(assert_results);
    }
}

#[test]
fn a_killed_jail_leaves_its_results() {
    as_each_user(|kit| {
        let (job, log) = kit.start(&kit.spec("echo partial > /build/out/x; echo ready; sleep 600"));
        assert_eq!(first_line(&log), "ready");
        job.kill();
        let dirs = job.wait().unwrap().dirs.unwrap();
        assert_eq!(read(&dirs.out, "x").unwrap(), "partial\n");
    });
}

#[test]
fn a_scratch_directory_keeps_what_was_written() {
    as_each_user(|kit| {
        let [_, spec] = both_scratches(kit);
        kit.run(&spec).succeeded();
        let scratch = kit.dir.path().join("scratch");
        assert_eq!(fs::read_to_string(scratch.join("out/d/r")).unwrap(), "result\n");
        assert_eq!(fs::read_to_string(scratch.join("upper/changed")).unwrap(), "changed\n");
        // Another jail would see it, so it does not get it.
        let Outcome::SetupFailed(failure) = kit.run(&spec).finished.outcome else {
            panic!("a used scratch directory was used again");
        };
        assert_eq!(failure.help.as_deref(), Some("give it an empty directory"));
        remove_scratch(&scratch).unwrap();
        assert!(!scratch.exists());
    });
}

#[test]
fn a_file_in_a_scratch_directory_is_limited() {
    as_each_user(|kit| {
        let [_, mut spec] = both_scratches(kit);
        spec.limits.scratch_b = 1 << 20;
        spec.steps = vec![crate::kit::step(&["sh", "-c", "head -c 3000000 /dev/zero > /tmp/x"])];
        assert_ne!(kit.run(&spec).finished.outcome, Outcome::Succeeded);
    });
}

#[test]
fn a_scratch_directory_that_was_filled_in_an_instant_is_too_full_all_the_same() {
    as_each_user(|kit| {
        let [_, mut spec] = both_scratches(kit);
        spec.limits.scratch_b = 4 << 20;
        let fill = "for i in 1 2 3 4 5; do head -c 2000000 /dev/zero > /build/out/$i; done";
        spec.steps = vec![crate::kit::step(&["sh", "-c", fill])];
        let finished = kit.run(&spec).finished;
        assert_eq!(finished.outcome, Outcome::Exceeded(Limit::Scratch));
        assert!(finished.usage.scratch_peak_b >= 10_000_000, "{:?}", finished.usage);
    });
}

#[test]
fn space_cannot_be_taken_without_writing() {
    as_each_user(|kit| {
        let script = "import os; f = os.open(\"/tmp/x\", os.O_CREAT | os.O_WRONLY)\n\
                      os.posix_fallocate(f, 0, 1 << 20); print(os.fstat(f).st_size)\n\
                      import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n\
                      print(libc.syscall(285, f, 0, 0, 1 << 30), ctypes.get_errno())";
        let spec = kit.spec(&format!("python3 -c '{script}'"));
        if cfg!(target_arch = "x86_64") {
            assert_eq!(kit.run(&spec).succeeded(), "1048576\n-1 95\n");
        }
    });
}

#[test]
fn scratch_is_removed_whatever_a_build_left_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let scratch = dir.path().join("scratch");
    let outside = dir.path().join("outside");
    fs::create_dir_all(scratch.join("locked/inner")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "").unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(&outside, scratch.join("link")).unwrap();
    symlink(&outside, scratch.join("locked/inner/link")).unwrap();
    fs::write(scratch.join("locked/inner/file"), "").unwrap();
    // Names that the removal itself might use.
    fs::create_dir_all(scratch.join("moved-1/moved-2/moved-1")).unwrap();
    for path in ["locked/inner", "locked"] {
        fs::set_permissions(scratch.join(path), fs::Permissions::from_mode(0o000)).unwrap();
    }
    remove_scratch(&scratch).unwrap();
    assert!(!scratch.exists());
    assert!(outside.join("precious").exists());
    assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o755);
    // Removed already.
    remove_scratch(&scratch).unwrap();
}

#[test]
fn no_depth_is_too_deep_to_remove() {
    as_each_user(|kit| {
        let mut spec = kit.spec(
            "cd /build/out; perl -e 'for (1..1100) { mkdir \"d\" or die; chdir \"d\" or die }'",
        );
        let scratch = kit.make_dir("scratch");
        spec.scratch = Scratch::Directory(scratch.clone());
        kit.run(&spec).succeeded();
        remove_scratch(&scratch).unwrap();
        assert!(!scratch.exists());
    });
}

#[test]
fn a_link_instead_of_a_scratch_directory_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    fs::write(dir.path().join("real/file"), "").unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    assert!(remove_scratch(&dir.path().join("link")).is_err());
    assert!(dir.path().join("real/file").exists());
}
