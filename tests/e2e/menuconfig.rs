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

/// The spec after the menu did `steps`, and the configuration that it asks for then.
#[track_caller]
fn after(lab: &Lab, spec: &FxSpec, steps: &str) -> (String, String) {
    let path = lab.write(spec);
    let path = path.to_str().unwrap();
    let saved = lab.run(["menuconfig", path, "--script", &format!("{steps}; save")]).done();
    let text = read(path);
    let table = text.split("[config]\n").nth(1).unwrap().split("\n\n[toolchain]").next().unwrap();
    assert_eq!(text.replace(table, ""), spec.text().replace(config_of(spec).as_str(), ""));
    assert_eq!(saved.out, format!("{path}\n"));
    (table.to_owned(), lab.run(["config", "min", "--spec", path]).done().out)
}

/// The inside of the table `[config]`.
fn config_of(spec: &FxSpec) -> String {
    let text = spec.text();
    let table = text.split("[config]\n").nth(1).unwrap();
    table.split("\n\n[toolchain]").next().unwrap().to_owned()
}

#[test]
fn what_is_saved_for_a_spec_with_inline_text_goes_there_and_stays_short() {
    let (lab, repo) = (Lab::new(), fx());
    let inline = |text: &str| by_kbs(&repo).config_table(text);
    for (before, steps, table, config) in [
        (
            "inline = 'CONFIG_SLEEP=1' # short",
            "set SLEEP=2",
            "inline = 'CONFIG_SLEEP=2' # short",
            "CONFIG_SLEEP=2\n",
        ),
        (
            "inline = 'CONFIG_SLEEP=1'\naccept-drift = ['MCU']",
            "set NAME=\"it's me\"; set MACH_B=y",
            "inline = '''\nCONFIG_SLEEP=1\nCONFIG_MACH_B=y\nCONFIG_NAME=\"it's me\"\n'''\n\
             accept-drift = ['MCU']",
            "CONFIG_MACH_B=y\nCONFIG_NAME=\"it's me\"\nCONFIG_SLEEP=1\n",
        ),
        (
            "inline = '''\n# Why not\nCONFIG_MACH_A=y\n\n# It is slow\nCONFIG_SLEEP=9\n'''",
            "set SLEEP=8",
            "inline = '''\n# Why not\nCONFIG_MACH_A=y\n\n# It is slow\nCONFIG_SLEEP=8\n'''",
            "CONFIG_SLEEP=8\n",
        ),
        ("inline = 'CONFIG_SLEEP=1'", "reset SLEEP", "inline = ''", ""),
    ] {
        let (text, minimal) = after(&lab, &inline(before), steps);
        assert_eq!((text.as_str(), minimal.as_str()), (table, config), "{before}");
    }
}

#[test]
fn what_is_saved_for_a_spec_that_sets_symbols_goes_there() {
    let (lab, repo) = (Lab::new(), fx());
    std::fs::write(lab.dir().join("a.config"), "CONFIG_NAME=\"a\"\nCONFIG_SLEEP=4\n").unwrap();
    for (before, steps, table, config) in [
        (
            "set = { SLEEP = 1, CONFIG_NAME = 'x' } # both",
            "set SLEEP=2; set MACH_B=y",
            "set = { SLEEP = 2, CONFIG_NAME = 'x', MACH_B = true } # both",
            "CONFIG_MACH_B=y\nCONFIG_NAME=\"x\"\nCONFIG_SLEEP=2\n",
        ),
        ("set = { SLEEP = 1, MACH_B = true }", "reset SLEEP; set MACH_A=y", "set = {}", ""),
        (
            "[config.set]\n# Who\nNAME = 'x' # me\nFAIL = true",
            "set NAME=y; reset FAIL; set SLEEP=3",
            "[config.set]\n# Who\nNAME = '\"y\"' # me\nSLEEP = 3",
            "CONFIG_NAME=\"y\"\nCONFIG_SLEEP=3\n",
        ),
        (
            "defconfig = 'a'",
            "set FAIL=y; set NAME=fx",
            "defconfig = 'a'\nset = { FAIL = true, NAME = \"fx\" }",
            "CONFIG_FAIL=y\n",
        ),
        (
            "file = 'a.config'\nset.SLEEP = 3600",
            "set SLEEP=5; set MACH_B=y",
            "file = 'a.config'\nset.SLEEP = 5\nset.MACH_B = true",
            "CONFIG_MACH_B=y\nCONFIG_NAME=\"a\"\nCONFIG_SLEEP=5\n",
        ),
        (
            "fragments = ['a.config']",
            "reset NAME",
            "fragments = ['a.config']\nset = { NAME = \"fx\" }",
            "CONFIG_SLEEP=4\n",
        ),
    ] {
        let (text, minimal) = after(&lab, &by_kbs(&repo).config_table(before), steps);
        assert_eq!((text.as_str(), minimal.as_str()), (table, config), "{before}");
    }
    let spec = by_kbs(&repo).config_table("defconfig = 'a'");
    script(&lab, &spec, "set SLEEP=3601; save").left(2).telling(&["from 0 to 3600"]);
    script(&lab, &spec, "save").done().telling(&["`set` of the spec, which wins over the rest"]);
    assert_eq!(read(lab.dir().join("spec.toml")), spec.text(), "nothing was changed");
}

#[test]
fn a_short_file_of_a_spec_stays_short_and_a_whole_one_whole() {
    let (lab, repo) = (Lab::new(), fx());
    let file = lab.dir().join("fx.config");
    let spec = by_kbs(&repo).config_table("file = 'fx.config'");
    let path = lab.write(&spec);
    let set = |steps: &str| {
        script(&lab, &spec, &format!("{steps}; save")).done();
        assert_eq!(read(&path), spec.text());
        read(&file)
    };
    std::fs::write(&file, "# mine\nCONFIG_SLEEP=1\n").unwrap();
    assert_eq!(set("set NAME=me"), "# mine\nCONFIG_SLEEP=1\nCONFIG_NAME=\"me\"\n");
    assert_eq!(set("reset SLEEP"), "# mine\nCONFIG_NAME=\"me\"\n");
    let path = path.to_str().unwrap();
    let whole = lab.run(["config", "normalise", "--spec", path]).done().out;
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(set("set SLEEP=7"), whole.replace("CONFIG_SLEEP=0", "CONFIG_SLEEP=7"));
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
fn no_image_is_imported_to_tell_that_nothing_is_built() {
    let (lab, repo) = (Lab::new(), Repo::new());
    repo.write("src/Kconfig", "config SLEEP\n\tint \"Seconds\"\n").commit("a");
    lab.run(["source", "add", "klipper", repo.url()]).done();
    let board = fx();
    let path = lab.write(&by_kbs(&board));
    let project = ["--project", "klipper", "--ref", "main"];
    for args in [&[path.to_str().unwrap()][..], &project] {
        let mut kbs = lab.kbs();
        let mut menu = Session::start(kbs.arg("menuconfig").args(args).arg("--quiet"));
        menu.wait_to_see("would be built");
        menu.type_in("q");
        assert_eq!(menu.finish(), Some(0));
    }
    assert_eq!(lab.run(["store", "stat", "--json"]).done().json()["images"], 0);
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

#[test]
fn a_spec_that_somebody_changes_meanwhile_is_not_overwritten() {
    let (lab, repo) = (Lab::new(), fx());
    let path = lab.write(&by_kbs(&repo).config_table("set = { SLEEP = 1 }"));
    let mut kbs = lab.kbs();
    let mut menu = Session::start(kbs.arg("menuconfig").arg(&path).arg("--quiet"));
    menu.wait_to_see("(1) Seconds");
    menu.type_in("/sleep\r\r\x152\rs");
    menu.wait_to_see("- saved");
    menu.type_in("\r\x153\rs");
    menu.wait_to_see("(3) Seconds");
    menu.wait_to_see("- saved");
    let changed = format!("# Mine\n{}", read(&path));
    assert!(changed.contains("set = { SLEEP = 3 }"), "{changed}");
    std::fs::write(&path, &changed).unwrap();
    menu.type_in("\r\x154\rs");
    menu.wait_to_see("somebody has changed it meanwhile");
    assert_eq!(read(&path), changed);
    menu.signal(rustix::process::Signal::TERM);
    assert_eq!(menu.finish(), Some(4));
    let kept = read(lab.dir().join("spec.config.unsaved"));
    assert!(kept.contains("CONFIG_SLEEP=4\n"), "{kept}");
}
