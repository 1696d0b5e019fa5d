//! Links, copies and archives of outputs.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use crate::fake::{Fake, KEY, Script, output, run};

fn script(files: Vec<(&'static str, &'static [u8], bool)>) -> Script {
    Script {
        events: vec![output("/state/outputs/00-klipper-v1")],
        files,
        links: vec![("latest.bin", "out/klipper.bin")],
        ..Script::default()
    }
}

const FILES: [(&str, &[u8], bool); 3] = [
    ("out/klipper.elf", b"\x7fELF and more", true),
    ("out/klipper.bin", b"firmware", false),
    ("empty", b"", false),
];

#[test]
fn archives_of_one_output_are_equal_bytes() {
    let fake = Fake::start(script(FILES.to_vec()));
    let mut reversed = FILES;
    reversed.reverse();
    let other = Fake::start(script(reversed.to_vec()));
    let mut archives = Vec::new();
    for (fake, name) in [(&fake, "a.zip"), (&fake, "b.zip"), (&other, "c.zip")] {
        let path = fake.dir.path().join(name);
        let shown = run(&mut fake.realize(&["--zip", path.to_str().unwrap()]));
        assert_eq!(shown.status, Some(0), "{}", shown.stderr);
        archives.push(std::fs::read(path).unwrap());
    }
    assert_eq!(archives[0], archives[1], "at another time");
    assert_eq!(archives[0], archives[2], "sent in another order");

    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&archives[0])).unwrap();
    let mut seen = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(file.last_modified().unwrap().to_string(), "1980-01-01 00:00:00");
        seen.push((file.name().to_owned(), file.unix_mode().unwrap() & 0o777, text));
    }
    let expected = [
        ("build-meta.json", 0o644, "{\"key\":\"00\"}\n"),
        ("build.log", 0o644, "CC main.o\nLD klipper.elf\n"),
        ("empty", 0o644, ""),
        ("latest.bin", 0o777, "out/klipper.bin"),
        ("out/klipper.bin", 0o644, "firmware"),
        ("out/klipper.elf", 0o755, "\x7fELF and more"),
    ];
    assert_eq!(seen, expected.map(|(name, mode, text)| (name.to_owned(), mode, text.to_owned())));
    assert!(fake.seen.lock().unwrap().keys.iter().all(|key| key == KEY));
}

#[test]
fn an_artifact_cannot_pose_as_the_log() {
    let fake = Fake::start(script(vec![("build.log", b"all is well", false)]));
    let path = fake.dir.path().join("a.zip");
    let shown = run(&mut fake.realize(&["--zip", path.to_str().unwrap()]));
    assert_eq!(shown.status, Some(2), "{}", shown.stderr);
    assert!(!path.exists());
    assert_eq!(shown.stdout, "");
}

#[test]
fn copies_replace_files_and_leave_nothing_else() {
    let fake = Fake::start(script(FILES.to_vec()));
    let out = fake.dir.path().join("firmware");
    std::fs::create_dir_all(out.join("out")).unwrap();
    std::fs::write(out.join("out/klipper.bin"), "older and longer").unwrap();
    for _ in 0..2 {
        let shown = run(&mut fake.realize(&["--out", out.to_str().unwrap()]));
        assert_eq!(shown.status, Some(0), "{}", shown.stderr);
    }
    assert_eq!(std::fs::read(out.join("latest.bin")).unwrap(), b"firmware");
    let mode = |name: &str| std::fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o100;
    assert_eq!((mode("out/klipper.elf"), mode("out/klipper.bin")), (0o100, 0));
    let names: BTreeSet<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["empty", "latest.bin", "out"]);
}

#[test]
fn copies_follow_no_link_out_of_their_directory() {
    let fake = Fake::start(script(FILES.to_vec()));
    let (out, elsewhere) = (fake.dir.path().join("firmware"), fake.dir.path().join("elsewhere"));
    std::fs::create_dir(&out).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, out.join("out")).unwrap();
    let shown = run(&mut fake.realize(&["--out", out.to_str().unwrap()]));
    assert_eq!(shown.status, Some(2), "{}", shown.stderr);
    assert_eq!(std::fs::read_dir(elsewhere).unwrap().count(), 0);
}

#[test]
fn a_link_that_cannot_be_made_is_told_before_the_build() {
    let fake = Fake::start(script(FILES.to_vec()));
    let precious = fake.dir.path().join("precious");
    std::fs::write(&precious, "data").unwrap();
    let shown = run(&mut fake.realize(&["--out-link", precious.to_str().unwrap()]));
    assert_eq!(shown.status, Some(2), "{}", shown.stderr);
    assert_eq!(std::fs::read(&precious).unwrap(), b"data");
    assert!(fake.seen.lock().unwrap().realize.is_empty());

    let link = fake.dir.path().join("result");
    let shown = run(&mut fake.realize(&["--out-link", link.to_str().unwrap()]));
    assert_eq!(shown.status, Some(0), "{}", shown.stderr);
    assert_eq!(std::fs::read_link(link).unwrap().to_str(), Some("/state/outputs/00-klipper-v1"));
}
