//! Root file systems from tars.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use kbs_image::{Digest, Import, ImportError, Progress, UnpackError};
use kbs_plan::error::{Class, Help};

use crate::pack::*;
use crate::place::{Place, Trickle, told};

fn plain() -> Vec<Entry> {
    vec![
        dir("./"),
        dir("./bin/"),
        program("./bin/sh", "shell"),
        hard_link("./bin/ash", "./bin/sh"),
        symlink("./lib", "/usr/lib"),
        file("./usr/lib/libc", "library"),
    ]
}

fn unpack_error(bytes: &[u8]) -> UnpackError {
    let place = Place::new();
    match place.archive(bytes).unwrap_err() {
        ImportError::Unpack { source, .. } => {
            assert!(place.is_empty());
            assert!(source.help().is_some());
            source
        }
        other => panic!("{}", told(&other)),
    }
}

#[test]
fn a_tree_arrives_whole_and_plain() {
    let place = Place::new();
    let info = place.archive(&tar(&plain())).unwrap();
    assert_eq!(
        place.listing(&info),
        [
            "bin/",
            "bin/ash = shell",
            "bin/sh = shell",
            "lib -> /usr/lib",
            "usr/",
            "usr/lib/",
            "usr/lib/libc = library"
        ]
    );
    assert_eq!((info.files, info.size_b, info.created_unix_s), (3, 17, 11));
    assert_eq!(place.images.list().unwrap(), std::slice::from_ref(&info));
    place.images.verify(&info.digest).unwrap();

    let root = place.rootfs(&info);
    let mode = |path: &str| {
        let about = root.join(path).symlink_metadata().unwrap();
        assert_eq!(about.mtime(), 1, "{path}");
        about.permissions().mode() & 0o7777
    };
    assert_eq!(mode("bin/sh"), 0o755, "the setuid bit is gone and everybody may read");
    assert_eq!(mode("usr/lib/libc"), 0o644);
    assert_eq!((mode("bin"), mode("usr"), mode("")), (0o755, 0o755, 0o755));
    mode("lib");
}

#[test]
fn the_digest_is_of_the_content_alone() {
    let place = Place::new();
    let digest = |bytes: &[u8]| place.archive(bytes).unwrap().digest;
    let whole = tar(&plain());
    let expected = digest(&whole);
    assert_eq!(digest(&gzip(&whole)), expected);
    assert_eq!(digest(&xz(&whole)), expected);
    assert_eq!(digest(&zstd(&whole)), expected);

    let mut other: Vec<Entry> = plain().into_iter().filter(|entry| entry.kind != b'1').collect();
    other.push(program("./bin/ash", "shell"));
    other.reverse();
    for entry in &mut other {
        entry.name.drain(..2);
        entry.owner = 1000;
        entry.mtime = 1_700_000_000;
    }
    other.retain(|entry| !entry.name.is_empty());
    assert_eq!(digest(&tar(&other)), expected, "order, owners, times, and copies for links");

    let mut slow = Trickle(&whole);
    let what = Import::Archive { name: "-", stream: &mut slow, reference: None };
    assert_eq!(place.import(what).unwrap().digest, expected, "a pipe equals a file");
    assert_eq!(place.images.list().unwrap().len(), 1);

    let mut changed = plain();
    changed[5].mode = 0o755;
    assert_ne!(digest(&tar(&changed)), expected, "the executable bit counts");
}

// Changing this digest orphans every image ever made from a root file system.
#[test]
fn the_digest_of_a_tree_never_moves() {
    let place = Place::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(110));
    let entries = [plain(), vec![file(&long, ""), file("grüße", "hallo")]].concat();
    let info = place.archive(&tar(&entries)).unwrap();
    insta::assert_snapshot!(info.digest, @"sha256:064e5d5362f93a876e67d0ba5c6bac3418cabfbfab2ac7c142981c59a115c106");
}

#[test]
fn nothing_is_written_through_a_planted_link() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("passwd"), "untouched").unwrap();
    let target = outside.path().to_str().unwrap();
    for target in [target, "..", "../../../../../../../../..", "b", "."] {
        let bytes = tar(&[dir("b"), symlink("a", target), file("a/passwd", "mine")]);
        assert!(matches!(unpack_error(&bytes), UnpackError::Parent { .. }), "{target}");
        let bytes = tar(&[file("x", ""), symlink("a", target), hard_link("a/passwd", "x")]);
        assert!(matches!(unpack_error(&bytes), UnpackError::Parent { .. }), "{target}");
        let bytes = tar(&[symlink("a", target), dir("a/new")]);
        assert!(matches!(unpack_error(&bytes), UnpackError::Parent { .. }), "{target}");
    }

    let place = Place::new();
    let through = outside.path().join("passwd");
    let entries = [symlink("a", through.to_str().unwrap()), file("a", "mine")];
    let info = place.archive(&tar(&entries)).unwrap();
    assert_eq!(place.listing(&info), ["a = mine"], "the link is replaced, not followed");
    let entries = [symlink("a", target), dir("a"), file("a/passwd", "mine")];
    let info = place.archive(&tar(&entries)).unwrap();
    assert_eq!(place.listing(&info), ["a/", "a/passwd = mine"]);

    assert_eq!(fs::read_to_string(through).unwrap(), "untouched");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn names_that_are_no_paths_are_refused() {
    let deep = vec!["d"; 2049].join("/");
    let long = "n".repeat(256);
    for name in ["/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/./b", &deep, &long, ".//etc"]
    {
        let error = unpack_error(&tar(&[file(name, "")]));
        assert!(matches!(error, UnpackError::Name { .. }), "{name}: {error}");
        let error = unpack_error(&tar(&[dir(name)]));
        assert!(matches!(error, UnpackError::Name { .. }), "{name}: {error}");
    }
    let error = unpack_error(&tar(&[raw_name(b"caf\xe9")]));
    assert!(told(&error).contains("not UTF-8"), "{}", told(&error));
    assert!(matches!(unpack_error(&tar(&[raw_name(b"")])), UnpackError::Name { .. }));
    assert_eq!(unpack_error(&tar(&[file("..", "")])).class(), Class::User);
}

#[test]
fn links_need_targets_that_can_be() {
    let link = |target| [file("x", ""), dir("d"), symlink("s", "."), hard_link("l", target)];
    for target in ["nothing", "d", "s/x", "l"] {
        let error = unpack_error(&tar(&link(target)));
        assert!(matches!(error, UnpackError::HardLinkTarget { .. }), "{target}: {error}");
    }
    for target in ["/etc/passwd", "../x", ""] {
        let error = unpack_error(&tar(&link(target)));
        assert!(matches!(error, UnpackError::Name { .. }), "{target}: {error}");
    }
    let error = unpack_error(&tar(&[symlink("s", "")]));
    assert!(matches!(error, UnpackError::SymlinkTarget { .. }), "{error}");
}

#[test]
fn devices_and_fifos_are_left_out_and_told() {
    let place = Place::new();
    let entries =
        [special("dev/null", b'3'), special("dev/sda", b'4'), special("pipe", b'6'), file("x", "")];
    let reports = place.reports(&tar(&entries));
    let skipped = reports.iter().filter(|report| matches!(report, Progress::Skipped { .. }));
    assert_eq!(skipped.count(), 3);
    assert_eq!(place.listing(&place.images.list().unwrap()[0]), ["x = "]);
}

#[test]
fn the_later_of_two_entries_stands() {
    let place = Place::new();
    let entries = [
        file("a", "old"),
        file("a", "new"),
        file("b/c/d", "gone"),
        file("b", "file now"),
        symlink("b2", "x"),
        dir("b2"),
        dir("keep"),
        file("keep/x", "kept"),
        dir("keep"),
        file("h", "own"),
        hard_link("h", "h"),
    ];
    let info = place.archive(&tar(&entries)).unwrap();
    assert_eq!(
        place.listing(&info),
        ["a = new", "b = file now", "b2/", "h = own", "keep/", "keep/x = kept"]
    );
}

#[test]
fn a_cut_archive_is_never_taken_for_a_whole_one() {
    let whole = open_tar(&plain());
    for length in [1, 511, 512, 1000, whole.len() - 512, whole.len() - 505, whole.len()] {
        let error = unpack_error(&whole[..length]);
        assert!(matches!(error, UnpackError::Truncated), "{length}: {error}");
    }
    assert!(matches!(unpack_error(b""), UnpackError::Truncated));

    let big = tar(&[file("x", &"content of some length ".repeat(9000))]);
    for packed in [gzip(&big), xz(&big), zstd(&big)] {
        for length in [packed.len() / 2, packed.len() - 1] {
            let error = unpack_error(&packed[..length]);
            assert!(matches!(error, UnpackError::Truncated), "{length}: {}", told(&error));
        }
    }
}

#[test]
fn what_is_no_tar_is_refused() {
    let noise: Vec<u8> =
        (0..2048_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    assert!(matches!(unpack_error(&noise), UnpackError::Read(_)));
    let mut damaged = gzip(&tar(&plain()));
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    assert!(matches!(unpack_error(&damaged), UnpackError::Read(_) | UnpackError::Truncated));
    assert!(matches!(unpack_error(&tar(&[special("v", b'V')])), UnpackError::Kind { .. }));
    let sparse = tar(&[pax("GNU.sparse.major", "1"), file("x", "0\n")]);
    assert!(matches!(unpack_error(&sparse), UnpackError::Kind { .. }));
}

#[test]
fn bombs_stop_at_the_limits() {
    let error = |place: &Place, bytes: &[u8]| match place.archive(bytes).unwrap_err() {
        ImportError::Unpack { source, .. } => {
            assert!(place.is_empty());
            source
        }
        other => panic!("{}", told(&other)),
    };
    let zeros = tar(&[file("zeros", &"\0".repeat(4 << 20))]);
    let small = Place::limited(1 << 20, 1000);
    let got = error(&small, &gzip(&zeros));
    assert!(matches!(got, UnpackError::TooLarge { limit_b } if limit_b == 1 << 20), "{got}");
    let trailing = [tar(&[file("x", "")]), vec![0; 4 << 20]].concat();
    assert!(matches!(error(&small, &gzip(&trailing)), UnpackError::TooLarge { .. }));

    let many: Vec<Entry> = (0..50).map(|n| file(&n.to_string(), "")).collect();
    let few = Place::limited(1 << 20, 49);
    assert!(matches!(error(&few, &tar(&many)), UnpackError::TooManyEntries { limit: 49 }));

    let long_name = tar(&[raw_name(&vec![b'n'; 3 << 20])]);
    assert!(matches!(error(&Place::new(), &gzip(&long_name)), UnpackError::Read(_)));
}

#[test]
fn pax_records_name_long_and_foreign_paths() {
    let place = Place::new();
    let name = format!("{}/grüße", "d".repeat(200));
    let target = "t".repeat(300);
    let entries =
        [pax("path", &name), file("short", "1"), pax("linkpath", &target), symlink("link", "x")];
    let info = place.archive(&tar(&entries)).unwrap();
    let dir = "d".repeat(200);
    assert_eq!(
        place.listing(&info),
        [format!("{dir}/"), format!("{name} = 1"), format!("link -> {target}")]
    );
    place.images.verify(&info.digest).unwrap();
}

#[test]
fn a_path_may_be_as_long_as_paths_are() {
    let place = Place::new();
    let deep = vec!["d"; 2048].join("/");
    assert_eq!(deep.len(), 4095);
    let info = place.archive(&tar(&[file(&deep, "deep")])).unwrap();
    assert_eq!(info.size_b, 4);
    place.images.verify(&info.digest).unwrap();
    place.images.remove(&info.digest).unwrap();
    assert!(place.is_empty());
}

#[test]
fn another_image_than_expected_is_refused_and_not_kept() {
    let place = Place::new();
    let bytes = tar(&plain());
    let wanted = Digest::of(b"another");
    let error = place.expecting(&bytes, &wanted).unwrap_err();
    let right = match &error {
        ImportError::Mismatch { expected, found } => {
            assert_eq!(*expected, wanted);
            *found
        }
        other => panic!("{}", told(other)),
    };
    assert!(error.to_string().contains(&wanted.to_string()));
    assert!(place.is_empty());
    assert_eq!(place.expecting(&bytes, &right).unwrap().digest, right);
    assert!(place.expecting(&bytes, &wanted).is_err(), "also when it is here already");
}

#[test]
fn a_second_import_returns_the_first() {
    let place = Place::new();
    let first = place.archive(&tar(&plain())).unwrap();
    let mut bytes: &[u8] = &tar(&plain());
    let what = Import::Archive { name: "again", stream: &mut bytes, reference: None };
    assert_eq!(place.images.import(what, None, 99, &mut |_| {}).unwrap(), first);
    assert_eq!(place.images.list().unwrap().len(), 1);
}

#[test]
fn a_damaged_image_is_not_there_and_is_replaced() {
    let place = Place::new();
    let info = place.archive(&tar(&plain())).unwrap();
    let root = place.rootfs(&info);
    fs::write(root.join("usr/lib/libc"), "virus").unwrap();
    let error = place.images.verify(&info.digest).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");

    fs::write(root.parent().unwrap().join("config.json"), "{}").unwrap();
    assert_eq!(place.images.get(&info.digest), None);
    assert!(place.images.list().unwrap().is_empty());
    let again = place.archive(&tar(&plain())).unwrap();
    assert_eq!(again.digest, info.digest);
    place.images.verify(&info.digest).unwrap();
}

#[test]
fn no_bit_of_what_is_said_of_an_image_can_flip_unseen() {
    let place = Place::new();
    let info = place.archive(&tar(&plain())).unwrap();
    let dir = place.rootfs(&info).parent().unwrap().to_owned();
    for name in ["image.json", "manifest.json", "config.json"] {
        let path = dir.join(name);
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            let unsound = place.images.check(&info.digest).unwrap_err();
            assert_eq!(unsound.path, path, "bit {bit}: {}", unsound.problem);
        }
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(place.images.check(&info.digest), Ok(info.clone()));

    // As older versions wrote it.
    fs::write(dir.join("image.json"), serde_json::to_vec(&info).unwrap()).unwrap();
    assert_eq!(place.images.get(&info.digest), Some(info));
}

#[test]
fn a_removed_image_is_gone() {
    let place = Place::new();
    let info = place.archive(&tar(&plain())).unwrap();
    place.images.remove(&info.digest).unwrap();
    assert!(place.is_empty());
    let error = place.images.remove(&info.digest).unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
}

#[test]
fn a_root_file_system_has_no_references() {
    let place = Place::new();
    let mut bytes: &[u8] = &tar(&plain());
    let what = Import::Archive { name: "x", stream: &mut bytes, reference: Some("latest") };
    assert!(matches!(place.import(what), Err(ImportError::NoReferences { .. })));
    assert!(place.is_empty());
}
