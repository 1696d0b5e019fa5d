//! What is done with an output besides printing its path; building again, and comparing.

use std::os::unix::fs::PermissionsExt as _;

use kbs_testkit::{FxSpec, fx};

use crate::lab::{Lab, edit, names, read, with_programs};

#[test]
fn an_output_is_read_only_and_the_same_wherever_it_is_handed_over() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    let link = lab.dir().join("result");
    let out = lab.dir().join("copy");
    let options = ["--out-link", link.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let path = lab.realize(&spec, &options).done().path();
    assert_eq!(std::fs::read_link(&link).unwrap(), path);
    assert_eq!(names(&out), ["fx.bin", "fx.txt"]);
    assert_eq!(names(&path), ["fx.bin", "fx.txt"]);
    for name in names(&path) {
        assert_eq!(read(out.join(&name)), read(path.join(&name)));
        let mode = std::fs::metadata(path.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o222, 0, "{name} can be written");
    }
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o222, 0);
    // The link is a name for the key, and follows the next output.
    let log = lab.run(["log", link.to_str().unwrap()]).done().out;
    assert!(log.contains("building fx"), "{log}");
    let other = spec.config("CONFIG_NAME=\"other\"");
    let path = lab.realize(&other, &options).done().path();
    assert_eq!(std::fs::read_link(&link).unwrap(), path);
    assert!(read(out.join("fx.txt")).contains("name: other"));
}

#[test]
fn nothing_but_a_link_is_replaced_by_a_link_and_nothing_is_built_before_that_is_known() {
    let (lab, repo) = (Lab::new(), fx());
    let file = lab.dir().join("mine");
    std::fs::write(&file, "mine").unwrap();
    let answer = lab.realize(&FxSpec::new(&repo), &["--out-link", file.to_str().unwrap()]);
    answer.left(2).telling(&[file.to_str().unwrap()]);
    assert_eq!(read(&file), "mine");
    assert!(lab.ls(&[]).is_empty());
}

#[test]
fn an_archive_is_the_same_bytes_whenever_and_wherever_it_is_written() {
    let repo = fx();
    let spec = FxSpec::new(&repo);
    let archive = |lab: &Lab, name: &str| {
        let file = lab.dir().join(name);
        lab.realize(&spec, &["--zip", file.to_str().unwrap()]).done();
        std::fs::read(file).unwrap()
    };
    let (here, there) = (Lab::new(), Lab::new());
    let first = archive(&here, "a.zip");
    assert!(first.starts_with(b"PK"));
    assert!(first == archive(&here, "b.zip"), "written twice");
    assert!(first == archive(&there, "a.zip"), "built twice");
    for name in ["build-meta.json", "build.log", "fx.bin", "fx.txt"] {
        assert!(first.windows(name.len()).any(|part| part == name.as_bytes()), "{name}");
    }
}

#[test]
fn a_reproducible_build_is_found_identical() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    lab.realize(&spec, &["--check"]).left(2).telling(&["no output", "without --check"]);
    let first = lab.realize(&spec, &["--json"]).done().output();
    lab.realize(&spec, &["--check"]).done().telling(&["identical"]);
    let answer = lab.realize(&spec, &["--check", "--json"]).done();
    assert_eq!(answer.events().last().unwrap()["check"]["identical"], true, "{answer}");
    assert!(answer.phases().contains(&"build".to_owned()));
    assert_eq!(lab.ls(&[])[0]["path"], first.path.to_str().unwrap());
}

#[test]
fn a_build_that_embeds_chance_is_found_out_with_file_and_offset() {
    let (lab, repo) = (Lab::new(), fx());
    let name = "@echo \"name: $(CONFIG_NAME)\" >$@\n";
    edit(&repo, "Makefile", name, "@printf 0123456789 >$@\n\t@date +%N >>$@\n");
    repo.commit("embeds chance");
    let spec = with_programs(&repo, &["date"]);
    let path = lab.realize(&spec, &[]).done().path();
    let before = read(path.join("fx.txt"));
    let answer = lab.realize(&spec, &["--check", "--json"]).left(1);
    let ended = answer.events().into_iter().find(|event| event["event"] == "ended").unwrap();
    let differences = ended["check"]["differences"].as_array().unwrap().clone();
    assert_eq!(differences.len(), 1, "{answer}");
    assert_eq!(differences[0]["path"], "fx.txt");
    let offset = differences[0]["offset"].as_u64().unwrap();
    // Two of them may begin alike.
    assert!((10..19).contains(&offset), "{offset}");
    let answer = lab.realize(&spec, &["--check"]).left(1);
    answer.telling(&["differs", "fx.txt", "from byte 1"]);
    assert_eq!(read(path.join("fx.txt")), before, "comparing changes nothing");

    let again = lab.realize(&spec, &["--rebuild"]).done();
    let again = again.telling(&["other bytes than the stored output"]);
    assert_eq!(read(again.path().join("fx.txt")), before, "who was given it may be using it");
}

#[test]
fn building_again_builds_and_keeps_one_output() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    let first = lab.realize(&spec, &["--json"]).done().output();
    let answer = lab.realize(&spec, &["--rebuild", "--json"]).done();
    let again = answer.output();
    assert!(again.built && answer.phases().contains(&"build".to_owned()));
    assert_eq!((again.key, again.tree, again.path), (first.key, first.tree, first.path));
    assert_eq!(lab.ls(&[]).len(), 1);
}

#[test]
fn an_output_that_was_tampered_with_is_never_handed_out() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    let path = lab.realize(&spec, &[]).done().path();
    let honest = read(path.join("fx.bin"));
    let file = path.join("fx.bin");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "evil").unwrap();
    let answer = lab.realize(&spec, &[]).done();
    assert_eq!(read(answer.path().join("fx.bin")), honest, "{answer}");
    assert_eq!(read(lab.realize(&spec, &[]).done().path().join("fx.bin")), honest);
}
