//! `kbs menuconfig` on the Kconfig files of a commit, which a daemon hands out.

use kbs_testkit::{FxSpec, Repo, fx};

use crate::lab::{Answer, Lab, read};
use crate::session::Session;

/// The spec of `fx`, normalised by kbs.
fn by_kbs(repo: &Repo) -> FxSpec {
    FxSpec::new(repo).toml("[recipe.kconfig]\ndialect = 'kconfiglib'")
}

fn script(lab: &Lab, spec: &FxSpec, steps: &str) -> Answer {
    let path = lab.write(spec);
    lab.run(["menuconfig".as_ref(), path.as_os_str(), "--script".as_ref(), steps.as_ref()])
}

fn key(lab: &Lab, spec: &FxSpec) -> String {
    let path = lab.write(spec);
    let planned = lab.run(["plan".as_ref(), path.as_os_str(), "--json".as_ref()]).done();
    planned.events().last().unwrap()["key"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_saved_for_a_spec_goes_to_its_file_and_into_its_key() {
    let (lab, repo) = (Lab::new(), fx());
    let file = lab.dir().join("fx.config");
    std::fs::write(&file, "CONFIG_NAME=\"me\"\n").unwrap();
    let spec = by_kbs(&repo).config_table("file = 'fx.config'");
    let before = key(&lab, &spec);
    let saved = script(&lab, &spec, "set SLEEP=2; save").done();
    assert_eq!(saved.out, format!("{}\n", file.display()));
    let config = read(&file);
    assert!(config.contains("CONFIG_SLEEP=2\n") && config.contains("CONFIG_NAME=\"me\"\n"));
    let after = key(&lab, &spec);
    assert_ne!(after, before);
    // As it was: the key as well.
    script(&lab, &spec, "reset SLEEP; save").done();
    assert_eq!(key(&lab, &spec), before);
    // Only the files of the commit were read: no checkout was made for it.
    let stat = lab.run(["store", "stat", "--json"]).done().json();
    assert_eq!(stat["layers"], 0, "{stat}");
}

#[test]
fn a_spec_without_a_file_is_told_where_it_is_saved() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = by_kbs(&repo).config_table("inline = 'CONFIG_SLEEP=1'");
    let saved = script(&lab, &spec, "save").done();
    let saved = saved.telling(&["names no configuration file", "file = \"spec.config\""]);
    assert_eq!(saved.out, format!("{}\n", lab.dir().join("spec.config").display()));
    assert!(read(lab.dir().join("spec.config")).contains("CONFIG_SLEEP=1\n"));
    let more = by_kbs(&repo).config_table("file = 'spec.config'\nset = { SLEEP = 3 }");
    script(&lab, &more, "save").done().telling(&["the spec sets more on top of spec.config"]);
    script(&lab, &more, "set SLEEP=3601; save").left(2).telling(&["from 0 to 3600"]);
}

#[test]
fn a_source_at_a_ref_needs_no_spec() {
    let (lab, repo) = (Lab::new(), Repo::new());
    repo.write("src/Kconfig", "config SLEEP\n\tint \"s\"\n\trange 1 9\n\tdefault 1\n").commit("a");
    lab.run(["source", "add", "klipper", repo.url()]).done();
    let file = lab.dir().join("board.config");
    let mut kbs = lab.kbs();
    kbs.args(["menuconfig", "--project", "klipper", "--ref", "main"]).arg(&file);
    crate::lab::answer(kbs.args(["--script", "set SLEEP=2; save"])).done();
    assert_eq!(read(&file), "CONFIG_SLEEP=2\n");
}

#[test]
fn the_menu_of_a_spec_is_a_menu_like_any_other() {
    let (lab, repo) = (Lab::new(), fx());
    let file = lab.dir().join("fx.config");
    std::fs::write(&file, "CONFIG_SLEEP=1\n").unwrap();
    let path = lab.write(&by_kbs(&repo).config_table("file = 'fx.config'"));
    let mut kbs = lab.kbs();
    let mut menu = Session::start(kbs.arg("menuconfig").arg(path).arg("--quiet"));
    // As bytes: blanks that are there already are not sent again.
    menu.wait_for("sleeps");
    menu.type_in("/sleep\r\r\x152\rs");
    menu.wait_for("saved");
    menu.type_in("q");
    assert_eq!(menu.finish(), Some(0));
    assert!(read(&file).contains("CONFIG_SLEEP=2\n"));
    assert!(!lab.dir().join("fx.config.old").exists(), "a spec's directory stays tidy");
}

#[test]
fn the_menu_of_a_spec_tells_whether_the_build_is_in_the_store() {
    let (lab, repo) = (Lab::new(), fx());
    std::fs::write(lab.dir().join("fx.config"), "CONFIG_SLEEP=1\n").unwrap();
    let spec = by_kbs(&repo).config_table("file = 'fx.config'");
    lab.realize(&spec, &[]).done();
    for options in [&["--quiet"][..], &["--quiet", "--no-daemon"]] {
        let mut kbs = lab.kbs();
        let mut menu = Session::start(kbs.arg("menuconfig").arg(lab.write(&spec)).args(options));
        menu.wait_to_see("build cached");
        menu.type_in("/sleep\r\r\x152\r");
        menu.wait_to_see("would be built");
        menu.type_in("\r\x151\r");
        menu.wait_to_see("build cached");
        menu.type_in("q");
        assert_eq!(menu.finish(), Some(0));
        lab.run(["daemon", "stop"]);
    }
}

#[test]
fn what_the_daemon_cannot_plan_is_not_told() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = by_kbs(&repo).toolchain("image = 'gone'");
    let mut kbs = lab.kbs();
    let mut menu = Session::start(kbs.arg("menuconfig").arg(lab.write(&spec)).arg("--quiet"));
    menu.wait_to_see("Seconds");
    std::thread::sleep(std::time::Duration::from_secs(1));
    menu.type_in("?");
    menu.wait_to_see("MACH_A");
    let seen = menu.text();
    assert!(!seen.contains("cached") && !seen.contains("built"), "{seen}");
    menu.type_in("qq");
    assert_eq!(menu.finish(), Some(0));
}
