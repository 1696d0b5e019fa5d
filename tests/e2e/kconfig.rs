//! Configurations that kbs normalises itself, from the Kconfig files of the commit.

use kbs_testkit::{FxSpec, Repo, fx, fx_in};

use crate::lab::{Answer, Lab, edit, read};

/// The spec of `fx`, normalised by kbs; the project's own commands would fail.
fn by_kbs(repo: &Repo) -> FxSpec {
    let spec =
        FxSpec::new(repo).edit("[\"make\", \"olddefconfig\"]", "[\"sh\", \"-c\", \"exit 9\"]");
    spec.toml("[recipe.kconfig]\ndialect = 'kconfiglib'")
}

fn plan(lab: &Lab, spec: &FxSpec) -> Answer {
    let path = lab.write(spec);
    lab.run(["plan".as_ref(), path.as_os_str(), "--json".as_ref(), "--show-config".as_ref()])
}

/// The normalised configuration.
fn config(lab: &Lab, spec: &FxSpec) -> String {
    let planned = plan(lab, spec).done();
    let events = planned.events();
    let last = events.last().expect("something was planned");
    last["config"].as_str().expect("with a configuration").to_owned()
}

#[test]
fn kbs_and_the_project_make_the_same_of_a_configuration() {
    let (lab, repo) = (Lab::new(), fx());
    for table in [
        "inline = ''",
        "inline = '''\nCONFIG_MACH_B=y\nCONFIG_SLEEP=3\n'''",
        "defconfig = 'a'",
        "defconfig = 'a'\nset = { NAME = 'me', FAIL = true }",
        "set = { SLEEP = 5000, GONE = true }",
    ] {
        let own = FxSpec::new(&repo).config_table(table);
        assert_eq!(config(&lab, &by_kbs(&repo).config_table(table)), config(&lab, &own), "{table}");
    }
    let (own, kbs) = (FxSpec::new(&repo), by_kbs(&repo));
    let built = lab.realize(&own, &["--json"]).done().output();
    let found = lab.realize(&kbs, &["--json"]).done().output();
    assert_eq!((found.key, found.built), (built.key, false));
}

#[test]
fn nothing_is_run_and_nothing_is_checked_out_to_normalise() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = by_kbs(&repo).config("CONFIG_NAME=\"me\"");
    assert!(config(&lab, &spec).contains("CONFIG_NAME=\"me\"\n"));
    let stat = lab.run(["store", "stat", "--json"]).done().json();
    assert_eq!(stat["layers"], 0, "{stat}");
    // A recipe without commands will do.
    let spec = by_kbs(&repo).edit("commands = [[\"sh\", \"-c\", \"exit 9\"]]\n", "");
    assert!(read(lab.realize(&spec, &[]).done().path().join("fx.txt")).contains("name: fx\n"));
}

#[test]
fn what_kbs_made_is_remembered_and_what_the_project_made_is_another_thing() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = by_kbs(&repo).edit("dialect =", "paths = ['Kconfig']\ndialect =");
    let configures = |spec: &FxSpec| {
        plan(&lab, spec).done().phases().iter().filter(|name| *name == "configure").count()
    };
    assert_eq!((configures(&spec), configures(&spec)), (1, 0));
    lab.run(["daemon", "stop"]).done();
    assert_eq!(configures(&spec), 0);
    // A file that no Kconfig file is, and then one that is.
    repo.write("message.txt", "another").commit("no Kconfig file");
    assert_eq!(configures(&spec), 0);
    edit(&repo, "Kconfig", "default \"fx\"", "default \"xf\"");
    repo.commit("another default");
    assert_eq!(configures(&spec), 1);
    assert!(config(&lab, &spec).contains("CONFIG_NAME=\"xf\"\n"));
    let own = FxSpec::new(&repo).toml("[recipe.kconfig]\ndialect = 'conf'\nconfigure = 'project'");
    assert_eq!((configures(&own), configures(&own)), (1, 0));
}

#[test]
fn a_broken_kconfig_file_is_told_with_its_line_and_a_way_out() {
    let (lab, repo) = (Lab::new(), fx());
    repo.write("sub/Kconfig", "config X\n\tnonsense\n");
    edit(&repo, "Kconfig", "mainmenu \"fx\"\n", "mainmenu \"fx\"\nsource \"sub/Kconfig\"\n");
    repo.commit("broken Kconfig");
    let answer = lab.realize(&by_kbs(&repo), &[]).left(1);
    let answer = answer.telling(&["the Kconfig files of fx cannot be used", "sub/Kconfig:2:"]);
    answer
        .telling(&["help: let the project's own tool", "[recipe.kconfig] configure = \"project\""]);
    let without = by_kbs(&repo).edit("commands = [[\"sh\", \"-c\", \"exit 9\"]]\n", "");
    lab.realize(&without, &[]).left(1).telling(&["sub/Kconfig:2:"]).not_telling(&["own tool"]);
}

#[test]
fn files_that_are_not_there_and_commands_are_refused() {
    let (lab, repo) = (Lab::new(), fx());
    let root = by_kbs(&repo).edit("dialect =", "root = 'src/Kconfig'\ndialect =");
    lab.realize(&root, &[]).left(2).telling(&["src/Kconfig", "no such file"]);
    let narrow = by_kbs(&repo).edit("dialect =", "paths = ['message.txt']\ndialect =");
    lab.realize(&narrow, &[]).left(2).telling(&["Kconfig", "no such file"]);
    let kconfig = read(repo.path().join("Kconfig"));
    repo.write("Kconfig", format!("{kconfig}\nX := $(shell,touch /tmp/x)\n")).commit("a command");
    let answer = lab.realize(&by_kbs(&repo), &[]).left(2);
    answer.telling(&[
        "Kconfig:",
        "touch /tmp/x",
        "may not run programs",
        "help: let the project's",
    ]);
    repo.write("Kconfig", format!("{kconfig}\nsource \"/etc/passwd\"\n")).commit("the host's");
    lab.realize(&by_kbs(&repo), &[]).left(1).telling(&["Kconfig:", "outside the tree"]);
    repo.write("Kconfig", format!("{kconfig}\nsource \"link\"\n"));
    std::os::unix::fs::symlink("/etc/passwd", repo.path().join("link")).unwrap();
    repo.commit("a link");
    lab.realize(&by_kbs(&repo), &[]).left(2).telling(&["link", "symbolic link"]);
}

/// `fx` with two versions, between which machine A got another symbol.
fn fx_that_moved_on() -> Repo {
    let repo = fx();
    edit(&repo, "Kconfig", "MACH_A", "MACH_FX1000");
    repo.commit("machine A is one of a kind");
    repo.tag("v2.0");
    edit(&repo, "Kconfig", "MACH_FX1000", "MACH_FX1XXX");
    edit(&repo, "Kconfig", "\tdefault MACH_FX1XXX\n", "\tdefault MACH_B\n");
    repo.commit("machine A is one of a family");
    repo
}

#[test]
fn drift_is_refused_whoever_normalises() {
    let (lab, repo) = (Lab::new(), fx_that_moved_on());
    let old = by_kbs(&repo).config("CONFIG_MACH_FX1000=y").config("CONFIG_MCU=\"a\"");
    lab.realize(&old.clone().rev("v2.0"), &[]).done();
    let told = [
        "another device",
        "CONFIG_MACH_FX1000: asked y, is not there",
        "CONFIG_MCU: asked \"a\", is \"b\"",
        "set CONFIG_MACH_FX1XXX",
        "--accept-drift MACH_FX1000 --accept-drift MCU",
    ];
    lab.realize(&old, &[]).left(2).telling(&told);
    let lesser = by_kbs(&repo).config("CONFIG_SLEEP=5000").config("CONFIG_GONE=y");
    for _ in 0..2 {
        let answer = lab.realize(&lesser, &[]).done();
        answer.telling(&["CONFIG_SLEEP: asked 5000, is 0", "CONFIG_GONE: asked y, is not there"]);
    }
}

#[test]
fn a_project_below_a_directory_with_generated_files_and_a_prefix_of_its_own() {
    let (lab, repo) = (Lab::new(), Repo::new());
    fx_in(&repo, "fw/");
    let kconfig = read(repo.path().join("fw/Kconfig"));
    repo.write("fw/Kconfig", format!("{kconfig}\nsource \"made/Kconfig\"\n"));
    repo.write("fw/more/a/Kconfig", "config MORE_A\n\tbool\n\tdefault $(ASKED)\n");
    repo.commit("fx below a directory");
    let spec = by_kbs(&repo).config("FX_NAME=\"me\"").config("CONFIG_NAME=\"you\"").toml(
        "generated = { 'made/Kconfig' = 'source \"more/*/Kconfig\"' }\nprefix = 'FX_'\n\
         env = { ASKED = 'y' }\n[recipe.build]\nsubdir = 'fw'",
    );
    let spec = spec.edit("[recipe.build]\nenv-allowed = [\"FX_*\", \"KCFLAGS\"]\n", "");
    let text = config(&lab, &spec);
    assert!(text.contains("FX_NAME=\"me\"\n") && text.contains("FX_MORE_A=y\n"), "{text}");
    assert!(text.lines().all(|line| line.contains("FX_") && !line.contains("CONFIG_")), "{text}");
    let other = spec.clone().edit("ASKED = 'y'", "ASKED = 'n'");
    assert!(!config(&lab, &other).contains("FX_MORE_A=y\n"));
    let wrong = spec.config("FX_SLEEP=5000");
    lab.run(["plan".as_ref(), lab.write(&wrong).as_os_str()])
        .done()
        .telling(&["FX_SLEEP: asked 5000, is 0"]);
}
