//! Configurations that kbs normalises itself, from the Kconfig files of the commit.

use kbs_testkit::{FxSpec, Repo, fx, fx_in};

use crate::lab::{Answer, Lab, answer, edit, read};

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
}

#[test]
fn links_within_a_commit_are_followed_and_none_leads_outside() {
    let (lab, repo) = (Lab::new(), Repo::new());
    fx_in(&repo, "fw/");
    let link = |path: &str, target: &str| {
        std::os::unix::fs::symlink(target, repo.path().join(path)).unwrap();
    };
    let kconfig = read(repo.path().join("fw/Kconfig"));
    let source = |paths: &[&str]| {
        let lines: Vec<_> = paths.iter().map(|path| format!("source \"{path}\"\n")).collect();
        repo.write("fw/Kconfig", format!("{kconfig}\n{}", lines.concat()));
        repo.commit("other sources");
    };
    let symbol = |name: &str| format!("config {name}\n\tbool\n\tdefault y\n");
    repo.write("shared/parts/a/Kconfig", symbol("PART_A"));
    repo.write("shared/parts/b/Kconfig", symbol("PART_B"));
    repo.write("shared/one", symbol("ONE"));
    link("shared/here", "./one");
    link("fw/one", "../shared/../shared/here");
    link("fw/parts", "../shared/parts");
    link("fw/round", "rounds");
    link("fw/rounds", "round");
    link("fw/up", "../../../../etc/passwd");
    link("fw/root", "/etc/passwd");
    link("fw/gone", "nowhere");
    let spec = by_kbs(&repo)
        .toml("[recipe.build]\nsubdir = 'fw'")
        .edit("[recipe.build]\nenv-allowed = [\"FX_*\", \"KCFLAGS\"]\n", "");
    source(&["one", "parts/*/Kconfig"]);
    let text = config(&lab, &spec);
    for name in ["ONE", "PART_A", "PART_B"] {
        assert!(text.contains(&format!("CONFIG_{name}=y\n")), "{name}: {text}");
    }
    assert_eq!(kbs_config(&lab, &spec, &["get", "PART_B"]).done().out, "y\n");
    for (path, told) in [
        ("round", "too many symbolic links"),
        ("up", "outside of the commit"),
        ("root", "fw/root leads outside of the commit"),
    ] {
        source(&[path]);
        lab.run(["plan".as_ref(), lab.write(&spec).as_os_str()]).left(2).telling(&[told]);
    }
    source(&["gone"]);
    lab.realize(&spec, &[]).left(1).telling(&["no such file in the tree"]);
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
fn a_project_whose_own_tool_decides_otherwise_is_told_of_with_the_symbols() {
    let (lab, repo) = (Lab::new(), fx());
    let script = read(repo.path().join("scripts/olddefconfig"));
    repo.write("scripts/olddefconfig", format!("{script}\necho CONFIG_SLEEP=7 >>\"$config\"\n"));
    let makefile = read(repo.path().join("Makefile"));
    repo.write(
        "Makefile",
        format!("{makefile}\nall: again\nagain: out/fx.txt\n\tsh scripts/olddefconfig\n"),
    );
    repo.commit("a tool with a mind of its own");
    let answer = lab.realize(&by_kbs(&repo), &["--json", "--log"]).done();
    let told = answer.notices("config-differs");
    assert_eq!(told[0], "CONFIG_SLEEP: kbs decided 0, the build's own .config says 7", "{told:?}");
    assert!(told[1].contains("[recipe.kconfig] configure = \"project\""), "{told:?}");
    let events = answer.events();
    let notice = events.iter().find(|event| event["kind"] == "config-differs").unwrap();
    assert_eq!(notice["symbols"], serde_json::json!(["SLEEP"]));
    let key = answer.output().key;
    let shown = lab.run(["show", &key, "--json"]).done().json();
    let difference = serde_json::json!([{ "symbol": "SLEEP", "given": "0", "built": "7" }]);
    assert_eq!(shown["config_differences"], difference, "{shown}");
    let shown = lab.run(["show", &key]).done().out;
    assert!(shown.contains("CONFIG_SLEEP: kbs decided 0"), "{shown}");
    let line = "kbs: CONFIG_SLEEP: kbs decided 0";
    assert!(lab.run(["log", &key]).done().out.contains(line) && answer.log().contains(line));
    // Where its own tool normalises, it is the build that changes nothing.
    let own = lab.realize(&FxSpec::new(&repo), &["--json"]).done();
    assert!(own.notices("config-differs").is_empty() && own.notices("dirty-config").is_empty());
    let shown = lab.run(["show", &own.output().key, "--json"]).done().json();
    assert!(shown["config_differences"].is_null(), "{shown}");
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

/// Runs `kbs config` on the Kconfig files of a spec.
fn kbs_config(lab: &Lab, spec: &FxSpec, words: &[&str]) -> Answer {
    let path = lab.write(spec);
    lab.run([&["config"], words, &["--spec", path.to_str().unwrap()]].concat())
}

#[test]
fn a_client_works_on_the_configuration_of_a_spec_as_the_daemon_would() {
    let (lab, repo) = (Lab::new(), fx_that_moved_on());
    let old = by_kbs(&repo)
        .rev("v2.0")
        .config_table("inline = 'CONFIG_MACH_FX1000=y'\nset = { NAME = 'me' }");
    let normalised = kbs_config(&lab, &old, &["normalise"]).done();
    assert_eq!(kbs_config(&lab, &old, &["get", "NAME"]).done().out, "me\n");
    assert_eq!(kbs_config(&lab, &old, &["min"]).done().out, "CONFIG_NAME=\"me\"\n");
    // The files are those of the commit; a file of one's own takes the place of the spec's text.
    kbs_config(&lab, &old.clone().rev("main"), &["get", "MACH_FX1000"]).left(2);
    let own = lab.dir().join("own.config");
    std::fs::write(&own, "CONFIG_NAME=\"own\"\n").unwrap();
    let got = kbs_config(&lab, &old, &["get", "NAME", own.to_str().unwrap()]).done();
    assert_eq!(got.out, "own\n");
    // No toolchain was needed for any of this.
    assert_eq!(lab.run(["store", "stat", "--json"]).done().json()["images"], 0);
    let lines = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("CONFIG_") || line.ends_with(" is not set"))
            .map(|line| format!("{line}\n"))
            .collect::<Vec<_>>()
            .concat()
    };
    assert_eq!(lines(&normalised.out), config(&lab, &old));
}

#[test]
fn generated_files_a_directory_and_a_defconfig_reach_the_client() {
    let (lab, repo) = (Lab::new(), Repo::new());
    fx_in(&repo, "fw/");
    let kconfig = read(repo.path().join("fw/Kconfig"));
    repo.write("fw/Kconfig", format!("{kconfig}\nsource \"made/Kconfig\"\n"));
    repo.write("fw/more/a/Kconfig", "config MORE_A\n\tbool\n\tdefault $(ASKED)\n");
    repo.commit("fx below a directory");
    let spec = by_kbs(&repo).config_table("defconfig = 'a'\nset = { SLEEP = 2 }").toml(
        "generated = { 'made/Kconfig' = 'source \"more/*/Kconfig\"' }\n\
         [recipe.build]\nsubdir = 'fw'\n[env]\nASKED = 'y'",
    );
    let spec = spec
        .edit("[recipe.build]\nenv-allowed = [\"FX_*\", \"KCFLAGS\"]\n", "")
        .edit("subdir = 'fw'", "subdir = 'fw'\nenv-allowed = ['ASKED']")
        .edit("[\"configs/{}\", ", "[\"fw/configs/{}\", \"fw/configs/{}_defconfig\", ");
    let get = |symbol: &str| kbs_config(&lab, &spec, &["get", symbol]).done().out;
    assert_eq!([get("NAME"), get("SLEEP"), get("CONFIG_MORE_A")], ["a\n", "2\n", "y\n"]);
}

#[test]
fn a_client_reads_the_files_of_a_source_at_a_ref() {
    let (lab, repo) = (Lab::new(), Repo::new());
    repo.write("src/Kconfig", "config A\n\tint \"A\"\n\tdefault 1\n").commit("one");
    repo.tag("v1");
    repo.write("src/Kconfig", "config A\n\tint \"A\"\n\tdefault 2\n").commit("two");
    lab.run(["source", "add", "klipper", repo.url()]).done();
    lab.run(["source", "add", "mine", repo.url()]).done();
    let get = |more: &[&str]| lab.run([&["config", "get", "A"], more].concat());
    assert_eq!(get(&["--project", "klipper", "--ref", "v1"]).done().out, "1\n");
    assert_eq!(get(&["--project", "klipper", "--ref", "main"]).done().out, "2\n");
    let kalico = ["--project", "klipper", "--ref", "main", "--recipe", "kalico"];
    assert_eq!(get(&kalico).done().out, "2\n");
    get(&["--project", "mine", "--ref", "v1"]).left(2).telling(&["--recipe"]);
    get(&["--project", "klipper", "--ref", "v9"]).left(2).telling(&["v9"]);
    get(&["--project", "klipper"]).left(2);
    let make = ["--project", "klipper", "--ref", "v1", "--recipe", "make"];
    get(&make).left(2).telling(&["make", "[recipe.kconfig]"]);
    repo.write("src/Kconfig", "config A\n\tnonsense\n").commit("three");
    let broken = get(&["--project", "klipper", "--ref", "main"]).left(1);
    broken.telling(&["src/Kconfig:2:"]);
}

/// `fx` whose Kconfig files run `command` for the default of the name.
fn fx_that_asks(command: &str) -> Repo {
    let repo = fx();
    edit(&repo, "Kconfig", "default \"fx\"", &format!("default \"$(shell,{command})\""));
    repo.write("name.txt", "from a file\n").commit("a command");
    repo
}

#[test]
fn commands_of_kconfig_files_run_in_the_sandbox_where_the_recipe_lets_them() {
    let command = "cat name.txt; echo more; echo no >&2; ls /tmp /root 2>&1; touch x; exit 3";
    let (lab, repo) = (Lab::new(), fx_that_asks(command));
    let asks = |spec: FxSpec| spec.edit("\"rm\"]", "\"rm\", \"ls\", \"touch\"]");
    lab.realize(&asks(by_kbs(&repo)), &[]).left(2).telling(&["Kconfig:", "cat name.txt"]);
    let spec = asks(by_kbs(&repo)).edit("dialect =", "shell = 'run'\ndialect =");
    let text = config(&lab, &spec);
    let name = text.lines().find_map(|line| line.strip_prefix("CONFIG_NAME=\"")).unwrap();
    assert!(name.starts_with("from a file more") && !name.contains("no "), "{name}");
    // Nothing of the host is seen there, not even who is home.
    assert!(name.contains("/root"), "{name}");
    let home = std::fs::read_dir("/tmp").unwrap().flatten().map(|entry| entry.file_name());
    let mut home = home.filter_map(|entry| entry.into_string().ok());
    assert!(!home.any(|entry| entry.len() > 6 && name.contains(&entry)), "{name}");
    let client = kbs_config(&lab, &spec, &["get", "NAME"]).done().out;
    assert_eq!(client, format!("{}\n", name.trim_end_matches('"')));
}

#[test]
fn a_command_is_run_once_for_the_files_and_the_image_it_sees() {
    let (lab, repo) = (Lab::new(), fx_that_asks("date +%s%N"));
    let spec = by_kbs(&repo)
        .edit("\"rm\"]", "\"rm\", \"date\"]")
        .edit("dialect =", "shell = 'run'\npaths = ['Kconfig', 'name.txt']\ndialect =");
    let first = config(&lab, &spec);
    assert!(first.lines().any(|line| line.starts_with("CONFIG_NAME=\"1") && line.len() > 30));
    lab.run(["daemon", "stop"]).done();
    let other = spec.clone().config("CONFIG_SLEEP=1");
    assert_eq!(config(&lab, &other), first.replace("CONFIG_SLEEP=0", "CONFIG_SLEEP=1"));
    repo.write("message.txt", "another").commit("a file that no command sees");
    assert_eq!(config(&lab, &spec), first);
    repo.write("name.txt", "another").commit("a file that commands see");
    assert_ne!(config(&lab, &spec), first);
}

/// Runs `kbs config` with these words, in the directory of the lab.
fn config_in(lab: &Lab, words: &[&str]) -> Answer {
    let mut kbs = lab.kbs();
    answer(kbs.arg("config").args(words).current_dir(lab.dir()))
}

#[test]
fn a_name_that_ends_in_toml_is_a_spec_wherever_it_stands() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = by_kbs(&repo).config_table("set = { NAME = 'me', SLEEP = 2 }");
    lab.write(&spec);
    std::fs::write(lab.dir().join("own.config"), "CONFIG_NAME=\"own\"\n").unwrap();
    let config = |words: &[&str]| config_in(&lab, words);
    let normalised = config(&["normalise", "spec.toml"]).done().out;
    assert_eq!(normalised, config(&["normalise", "--spec", "spec.toml"]).done().out);
    assert!(normalised.contains("CONFIG_NAME=\"me\"\nCONFIG_SLEEP=2\n"), "{normalised}");
    assert_eq!(config(&["min", "spec.toml", "own.config"]).done().out, "CONFIG_NAME=\"own\"\n");
    for words in [["get", "spec.toml", "NAME"], ["get", "NAME", "spec.toml"]] {
        assert_eq!(config(&words).done().out, "me\n");
    }
    assert_eq!(config(&["get", "spec.toml", "NAME", "own.config"]).done().out, "own\n");
    let explained = config(&["explain", "spec.toml", "SLEEP=3"]).done().out;
    assert!(explained.starts_with("SLEEP=2\n") && explained.contains("set to 3"), "{explained}");
    let found = config(&["search", "spec.toml", "seconds"]).done().out;
    assert!(found.contains("SLEEP") && found.contains(" 2 "), "{found}");
    config(&["lint", "spec.toml"]).done();
    let differs = config(&["diff", "spec.toml", "own.config"]).left(1).out;
    assert!(differs.contains("NAME") && differs.contains("own"), "{differs}");
    let differs = config(&["diff", "own.config", "own.config", "spec.toml"]).done();
    assert_eq!(differs.out, "");
}

#[test]
fn symbols_are_set_in_a_spec_where_it_has_its_configuration() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = by_kbs(&repo).config_table("inline = 'CONFIG_SLEEP=1'");
    let path = lab.write(&spec);
    let config = |words: &[&str]| config_in(&lab, words);
    let set = config(&["set", "spec.toml", "SLEEP=2", "NAME=a.toml"]).done();
    assert_eq!(set.out, "");
    let changed = read(&path);
    let inline = "inline = '''\nCONFIG_SLEEP=2\nCONFIG_NAME=\"a.toml\"\n'''";
    assert_eq!(changed, spec.text().replace("inline = 'CONFIG_SLEEP=1'", inline));
    let set = config(&["set", "--spec", "spec.toml", "NAME=b", "--minimal"]).done();
    set.telling(&["NAME  \"a.toml\" -> \"b\""]);
    assert_eq!(read(&path), changed.replace("a.toml", "b"));
    config(&["set", "spec.toml", "SLEEP=9999"]).left(2).telling(&["0 to 3600"]);
    // With a file behind it, that is made; with an output, that.
    config(&["set", "spec.toml", "new.config", "SLEEP=3", "--minimal"]).done();
    assert_eq!(read(lab.dir().join("new.config")), "CONFIG_SLEEP=3\n");
    let out = config(&["set", "spec.toml", "SLEEP=4", "--minimal", "-o", "-"]).done().out;
    assert_eq!(out, "CONFIG_NAME=\"b\"\nCONFIG_SLEEP=4\n");
    assert_eq!(read(&path), changed.replace("a.toml", "b"));
}

#[test]
fn operands_that_make_no_sense_together_are_refused() {
    let (lab, repo) = (Lab::new(), fx());
    lab.write(&by_kbs(&repo));
    for (words, told) in [
        (&["normalise", "spec.toml", "--tree", "."][..], "spec.toml together with --tree"),
        (&["normalise", "spec.toml", "--spec", "spec.toml"], "together with --spec"),
        (&["get", "spec.toml", "SLEEP", "--env", "A=b"], "together with --env"),
        (&["normalise", "a.toml", "b.toml"], "two specs, a.toml and b.toml"),
        (&["normalise", "a", "b"], "`b` is one too many"),
        (&["get", "spec.toml"], "SYMBOL is missing"),
        (&["search", "spec.toml"], "WORD is missing"),
        (&["set", "spec.toml"], "SYMBOL=VALUE"),
        (&["set", "x.config"], "SYMBOL=VALUE"),
        (&["diff", "x.config"], "nothing to compare"),
    ] {
        config_in(&lab, words).left(2).telling(&[told]);
    }
    assert!(!lab.state().join("kbsd.sock").exists(), "no daemon was needed for that");
}

#[test]
fn what_a_spec_sets_is_told_with_its_line_in_the_spec() {
    let (lab, repo) = (Lab::new(), fx());
    std::fs::write(lab.dir().join("part.config"), "# a part\nCONFIG_FAIL=y\n").unwrap();
    let spec = by_kbs(&repo).config_table(
        "inline = '''\nCONFIG_SLEEP=1\nCONFIG_NAME=\"me\"\nCONFIG_GONE=1\n'''\n\
         fragments = ['part.config']\nset = { SLEEP = 9999 }",
    );
    let text = spec.text();
    let line_of = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    lab.write(&spec);
    let config = |words: &[&str]| config_in(&lab, words);
    let by = |place: &str, words: &[&str]| {
        let told = config(words).done().out;
        assert!(told.contains(&format!("by {place}\n")), "{place}: {told}");
    };
    let line = |part: &str| format!("spec.toml, line {}", line_of(part));
    by(&line("CONFIG_NAME"), &["explain", "spec.toml", "NAME"]);
    by("part.config, line 2", &["explain", "spec.toml", "FAIL"]);
    let name = format!("./spec.toml, line {}", line_of("CONFIG_NAME"));
    by(&name, &["explain", "NAME", "--spec", "."]);
    let told = config(&["normalise", "spec.toml"]).done();
    let told = told.telling(&[&format!("{}: SLEEP=9999", line("set = "))]);
    told.telling(&[&format!("{}: GONE=1", line("CONFIG_GONE"))]).not_telling(&["the spec"]);
    let seen = config(&["explain", "spec.toml", "NAME", "--json"]).done().json();
    assert_eq!(seen["asked"]["place"], line("CONFIG_NAME"), "{seen}");
    let seen = config(&["normalise", "spec.toml", "--json"]).done().json();
    assert_eq!(seen["dropped"][0]["place"], line("CONFIG_GONE"), "{seen}");
    lab.write(&by_kbs(&repo).config_table("defconfig = 'a'"));
    by("configs/a_defconfig of the project, line 1", &["explain", "spec.toml", "NAME"]);
}

#[test]
fn strings_are_written_as_the_project_writes_them() {
    let (lab, repo) = (Lab::new(), fx());
    for (dialect, written) in [("u-boot", r#""a "b" \c""#), ("conf", r#""a \"b\" \\c""#)] {
        let by = |table: &str| {
            FxSpec::new(&repo)
                .edit("[\"make\", \"olddefconfig\"]", "[\"sh\", \"-c\", \"exit 9\"]")
                .config_table(table)
                .toml(&format!("[recipe.kconfig]\ndialect = '{dialect}'"))
        };
        let line = format!("CONFIG_NAME={written}\n");
        let set = by(r#"set = { NAME = 'a "b" \c' }"#);
        for spec in [by(&format!("inline = '''\n{line}'''")), set.clone()] {
            let text = config(&lab, &spec);
            assert!(text.contains(&line), "{dialect}: {text}");
            assert_eq!(kbs_config(&lab, &spec, &["get", "NAME"]).done().out, "a \"b\" \\c\n");
            plan(&lab, &spec).done().not_telling(&["without effect", "asked"]);
        }
        let built = lab.realize(&set, &["--json"]).done();
        assert!(read(built.output().path.join("fx.bin")).contains(&line), "{dialect}");
        assert_eq!(built.notices("config-differs"), [""; 0]);
    }
}
