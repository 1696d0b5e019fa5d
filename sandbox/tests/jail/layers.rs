//! Sources of several directories, laid on each other or copied into one.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use kbs_sandbox::{JailSpec, SOURCE_LAYERS_MAX, Scratch, Wall, remove_scratch};

use crate::kit::{Kit, as_each_user};

/// Both ways to show a source, each with scratch in memory and on disk.
fn shown_each_way(kit: &Kit, source: &[PathBuf], script: &str, expected: &str) {
    for without in [BTreeSet::new(), BTreeSet::from([Wall::Overlay])] {
        for on_disk in [false, true] {
            let way = format!("without {without:?}, scratch on disk: {on_disk}");
            let scratch = kit.make_dir("scratch");
            let spec = JailSpec {
                source: source.to_vec(),
                scratch: if on_disk {
                    Scratch::Directory(scratch.clone())
                } else {
                    Scratch::Memory
                },
                without: without.clone(),
                ..kit.spec(script)
            };
            let ran = kit.run(&spec);
            assert_eq!(ran.finished.copied, !without.is_empty(), "{way}");
            assert_eq!(ran.succeeded(), expected, "{way}");
            remove_scratch(&scratch).unwrap();
        }
    }
}

/// Three directories with much in common.
fn three(kit: &Kit) -> Vec<PathBuf> {
    let dirs = [
        "one",
        "one/lib",
        "one/lib/a",
        "one/lib/both",
        "two",
        "two/lib",
        "two/lib/b",
        "two/lib/both",
        "two/lib/both/in",
        "three",
        "three/src",
    ];
    for dir in dirs {
        kit.make_dir(dir);
    }
    let files = [
        "one/Makefile",
        "one/lib/a/x",
        "one/lib/both/first",
        "two/lib/b/y",
        "two/lib/both/second",
        "two/lib/both/in/deep",
        "three/src/main.c",
    ];
    for file in files {
        kit.make_file(file, &format!("{file}\n"));
    }
    ["one", "two", "three"].map(|name| kit.dir.path().join(name)).to_vec()
}

#[test]
fn directories_are_seen_as_one() {
    as_each_user(|kit| {
        let source = three(kit);
        let script = "find . | sort; ls lib lib/both; cat lib/both/*st lib/both/in/* src/main.c";
        let expected = ".\n./Makefile\n./lib\n./lib/a\n./lib/a/x\n./lib/b\n./lib/b/y\n./lib/both\n\
                        ./lib/both/first\n./lib/both/in\n./lib/both/in/deep\n./lib/both/second\n\
                        ./src\n./src/main.c\n\
                        lib:\na\nb\nboth\n\nlib/both:\nfirst\nin\nsecond\n\
                        one/lib/both/first\ntwo/lib/both/in/deep\nthree/src/main.c\n";
        shown_each_way(kit, &source, script, expected);
        let reversed: Vec<_> = source.into_iter().rev().collect();
        shown_each_way(kit, &reversed, script, expected);
    });
}

#[test]
fn all_of_them_can_be_changed_and_none_is() {
    as_each_user(|kit| {
        let source = three(kit);
        let script = "echo more >> lib/a/x; echo new > src/main.c; cat lib/a/x src/main.c; \
                      rm -r lib/both; ls lib; mkdir lib/both; ls -A lib/both; \
                      echo again > lib/both/second; ls lib/both; cat lib/both/second; \
                      mv lib/a/x lib/b/x; mv lib/b/y .; mv src/main.c lib/a; \
                      mv lib/b lib/c; rmdir src; find . | sort; cat lib/c/x y lib/a/main.c";
        let expected = "one/lib/a/x\nmore\nnew\n\
                        a\nb\n\
                        second\nagain\n\
                        .\n./Makefile\n./lib\n./lib/a\n./lib/a/main.c\n./lib/both\n\
                        ./lib/both/second\n./lib/c\n./lib/c/x\n./y\n\
                        one/lib/a/x\nmore\ntwo/lib/b/y\nnew\n";
        shown_each_way(kit, &source, script, expected);
        let kept = |name: &str| fs::read_to_string(kit.dir.path().join(name)).unwrap();
        for name in ["one/lib/a/x", "one/lib/both/first", "two/lib/b/y", "three/src/main.c"] {
            assert_eq!(kept(name), format!("{name}\n"));
        }
    });
}

#[test]
fn the_first_decides_what_a_common_directory_is() {
    as_each_user(|kit| {
        let source = three(kit);
        for (number, (layer, mode)) in source.iter().zip([0o750, 0o555]).enumerate() {
            for dir in ["lib", "lib/both"] {
                let dir = layer.join(dir);
                fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
                let at = UNIX_EPOCH + Duration::from_secs(1000 + number as u64);
                File::open(&dir).unwrap().set_modified(at).unwrap();
            }
        }
        let script = "stat -c '%a %Y' lib lib/both";
        shown_each_way(kit, &source, script, "750 1000\n750 1000\n");
        let reversed: Vec<_> = source.into_iter().rev().collect();
        shown_each_way(kit, &reversed, script, "555 1001\n555 1001\n");
    });
}

#[test]
fn as_many_as_are_allowed_work_however_long_their_paths_are() {
    as_each_user(|kit| {
        let mut all = "long-".repeat(40);
        all.push('/');
        kit.make_dir(&all);
        let mut source = Vec::new();
        for number in 0..SOURCE_LAYERS_MAX {
            let layer = format!("{all}{number}");
            source.push(kit.make_dir(&layer));
            kit.make_dir(&format!("{layer}/common"));
            kit.make_file(&format!("{layer}/common/{number}"), "1\n");
            kit.make_dir(&format!("{layer}/own-{number}"));
            kit.make_file(&format!("{layer}/own-{number}/file"), "1\n");
        }
        let script = "ls common | wc -l; cat common/* own-*/file | wc -l; ls | wc -l; \
                      rm -r common; mkdir common; ls -A common; \
                      grep -c long- /proc/self/mountinfo || true";
        shown_each_way(kit, &source[..1], script, "1\n2\n2\n0\n");
        shown_each_way(kit, &source, script, "64\n128\n65\n0\n");
    });
}

#[test]
fn the_one_that_is_missing_is_named() {
    as_each_user(|kit| {
        let mut source = three(kit);
        source.push("/no/such/layer".into());
        let spec = JailSpec { source, ..kit.spec("true") };
        let kbs_sandbox::Outcome::SetupFailed(failure) = kit.run(&spec).finished.outcome else {
            panic!("the jail ran");
        };
        assert_eq!(failure.detail.as_deref(), Some("/no/such/layer"));
        assert_eq!(failure.errno, 2);
    });
}
