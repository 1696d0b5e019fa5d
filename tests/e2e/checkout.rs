//! `kbs config` on a source tree, without a daemon.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use crate::lab::{Answer, Lab, answer, names, read};

const KCONFIG: &str = r#"mainmenu "Board"
config EXTRA
    bool "Extra options"
choice
    prompt "Chip"
config MACH_A
    bool "The A chip"
config MACH_B
    bool "The B chip"
    select HAVE_USB
endchoice
config HAVE_USB
    bool
config CHIP
    string
    default "a" if MACH_A
    default "b"
config SPEED
    int "Speed of the serial port" if EXTRA
    depends on !HAVE_USB
    range 10 200
    default 100
source "more/Kconfig"
"#;

const MORE: &str = r#"config NAME
    string "Name"
    default "me"
    help
      Shown on the display.
"#;

/// A tree with Kconfig files, and a lab around it.
struct Checkout {
    lab: Lab,
}

impl Checkout {
    fn new() -> Self {
        Self::with(KCONFIG)
    }

    fn with(kconfig: &str) -> Self {
        let it = Self { lab: Lab::new() };
        std::fs::create_dir_all(it.tree().join("more")).unwrap();
        std::fs::write(it.tree().join("Kconfig"), kconfig).unwrap();
        std::fs::write(it.tree().join("more/Kconfig"), MORE).unwrap();
        it
    }

    fn tree(&self) -> PathBuf {
        self.lab.dir().join("tree")
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.lab.dir().join("my.config");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn config<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Answer {
        let mut kbs = self.lab.kbs();
        kbs.arg("config").args(args).current_dir(self.lab.dir());
        answer(kbs.args(["--tree", "tree", "--dialect", "kconfiglib"]))
    }
}

#[test]
fn a_configuration_is_normalised_and_what_came_to_nothing_is_told() {
    let it = Checkout::new();
    it.file("CONFIG_MACH_B=y\nCONFIG_SPEED=20\nCONFIG_NAMES=\"x\"\n$(shell id)\n");
    let answer = it.config(["normalise", "my.config"]).done();
    assert_eq!(
        answer.out,
        "# CONFIG_EXTRA is not set\n# CONFIG_MACH_A is not set\nCONFIG_MACH_B=y\n\
         CONFIG_HAVE_USB=y\nCONFIG_CHIP=\"b\"\nCONFIG_NAME=\"me\"\n"
    );
    answer.telling(&[
        "my.config, line 2: SPEED=20: it is not visible: EXTRA is n, not y, and HAVE_USB is y, not n",
        "my.config, line 3: NAMES=x: the project defines no such symbol; perhaps NAME (\"Name\")",
        "my.config, line 4 is no assignment",
    ]);
    let answer = it.config(["normalise", "my.config", "--json"]).done().json();
    let why: Vec<_> = answer["dropped"].as_array().unwrap().iter().map(|it| &it["why"]).collect();
    assert_eq!(why, ["hidden", "unknown", "unreadable"]);
    assert_eq!(answer["dropped"][1]["suggestions"][0]["symbol"], "NAME");
    assert!(answer["config"].as_str().unwrap().contains("CONFIG_MACH_B=y\n"));
    assert_eq!(names(it.lab.state()), [""; 0], "a daemon was asked");
}

#[test]
fn without_a_file_everything_has_its_default_and_little_is_left_to_say() {
    let it = Checkout::new();
    assert!(it.config(["normalise"]).done().out.contains("CONFIG_MACH_A=y\n"));
    assert_eq!(it.config(["min"]).done().out, "");
    it.file(
        &it.config(["normalise"]).done().out.replace("CONFIG_NAME=\"me\"", "CONFIG_NAME=\"x\""),
    );
    assert_eq!(it.config(["min", "my.config"]).done().out, "CONFIG_NAME=\"x\"\n");
    it.config(["min", "my.config", "-o", "least"]).done().telling(&["wrote least"]);
    assert_eq!(read(it.lab.dir().join("least")), "CONFIG_NAME=\"x\"\n");
}

#[test]
fn configurations_are_read_from_stdin() {
    let it = Checkout::new();
    let mut kbs = it.lab.kbs();
    kbs.args(["config", "get", "CONFIG_CHIP", "-", "--tree"]).arg(it.tree());
    let mut child = kbs
        .args(["--dialect", "conf"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"CONFIG_MACH_B=y\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "b\n");
}

#[test]
fn setting_writes_all_or_nothing() {
    let it = Checkout::new();
    let path = it.file("CONFIG_NAME=\"x\"\n");
    it.config(["set", "my.config", "MACH_B=y", "CONFIG_NAME=you and \"me\""])
        .done()
        .telling(&["HAVE_USB  n -> y", "NAME      \"x\" -> \"you and \\\"me\\\"\""]);
    assert!(read(&path).contains("CONFIG_CHIP=\"b\"\nCONFIG_NAME=\"you and \\\"me\\\"\"\n"));
    let before = read(&path);
    it.config(["set", "my.config", "EXTRA=y", "SPEED=20"]).left(2).telling(&[
        "cannot set SPEED to 20: it stays empty",
        "HAVE_USB is y, not n [selected by MACH_B] (Kconfig:20: depends on !HAVE_USB)",
    ]);
    it.config(["set", "my.config", "MACH_A=y", "SPEED=20"])
        .left(2)
        .telling(&["EXTRA is n, not y", "help: set EXTRA=y, too"]);
    it.config(["set", "my.config", "MACH_A=y", "EXTRA=y", "SPEED=fast"])
        .left(2)
        .telling(&["`fast`: that is no value of an int", "its range is 10 to 200"]);
    it.config(["set", "my.config", "MACH_A=y", "EXTRA=y", "SPEED=500"])
        .left(2)
        .telling(&["cannot set SPEED to 500: it stays 100", "its range is 10 to 200 (Kconfig:21)"]);
    it.config(["set", "my.config", "CHIP=c"]).left(2).telling(&["nobody is asked for it"]);
    it.config(["set", "my.config", "NAMED=c"]).left(2).telling(&["did you mean NAME"]);
    it.config(["set", "my.config", "NAME"]).left(2).telling(&["write SYMBOL=VALUE"]);
    assert_eq!(read(&path), before);
    // One that is not there begins with the defaults.
    it.config(["set", "new.config", "--minimal", "MACH_B=y"]).done();
    assert_eq!(read(it.lab.dir().join("new.config")), "CONFIG_MACH_B=y\n");
    let shown = it.config(["set", "new.config", "MACH_A=y", "-o", "-", "--minimal"]).done();
    assert_eq!((shown.out.as_str(), read(it.lab.dir().join("new.config")).len()), ("", 16));
}

#[test]
fn a_link_to_a_configuration_stays_one_and_modes_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let it = Checkout::new();
    let path = it.file("");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    symlink("my.config", it.lab.dir().join("link")).unwrap();
    it.config(["set", "link", "EXTRA=y"]).done();
    assert!(it.lab.dir().join("link").is_symlink());
    assert!(read(&path).contains("CONFIG_EXTRA=y\n"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn explanations_name_causes_obstacles_and_consequences() {
    let it = Checkout::new();
    it.file("# mine\nCONFIG_MACH_B=y\n");
    let answer = it.config(["explain", "HAVE_USB", "my.config"]).done();
    assert_eq!(
        answer.out,
        "HAVE_USB=y\n  what  bool, nobody is asked (Kconfig:12)\n  \
         why   selected by MACH_B (Kconfig:10), chosen in its choice\n"
    );
    let answer = it.config(["explain", "SPEED=20", "my.config"]).done();
    for line in [
        "SPEED= (not in the .config)\n",
        "  hidden  EXTRA is n, not y (Kconfig:19: prompt if EXTRA)\n",
        "          HAVE_USB is y, not n [selected by MACH_B] (Kconfig:20: depends on !HAVE_USB)\n",
        "\nset to 20, it would stay empty\n",
    ] {
        assert!(answer.out.contains(line), "{line} is not in {answer}");
    }
    let answer = it.config(["explain", "CONFIG_MACH_A=y", "my.config", "--json"]).done().json();
    assert_eq!(answer["cause"]["chosen"], "MACH_B");
    assert_eq!(answer["if_set"]["becomes"], "y");
    let changed: Vec<_> = answer["if_set"]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| format!("{} {} {}", change["symbol"], change["before"], change["after"]))
        .collect();
    assert!(changed.contains(&"\"CHIP\" \"b\" \"a\"".to_owned()), "{changed:?}");
    let answer = it.config(["explain", "NAME", "--with-help"]).done();
    assert!(answer.out.ends_with("\nShown on the display.\n"), "{answer}");
    it.config(["explain", "NOPE"]).left(2).telling(&["the project defines no symbol NOPE"]);
}

#[test]
fn differences_are_those_that_a_person_made_unless_all_are_wanted() {
    let it = Checkout::new();
    it.file("CONFIG_MACH_B=y\n");
    std::fs::write(it.lab.dir().join("other"), "CONFIG_NAME=\"x\"\n").unwrap();
    let answer = it.config(["diff", "my.config", "other"]).left(1);
    assert_eq!(answer.out, "  MACH_B  y -> n\n  NAME    \"me\" -> \"x\"\n");
    let answer = it.config(["diff", "--all", "my.config", "other"]).left(1);
    assert!(answer.out.contains("CHIP      \"b\" -> \"a\"\n"), "{answer}");
    assert_eq!(it.config(["diff", "my.config", "my.config"]).done().out, "");
}

#[test]
fn symbols_are_found_by_what_is_written_about_them() {
    let it = Checkout::new();
    let answer = it.config(["search", "serial", "speed"]).done();
    assert!(
        answer.out.contains("SPEED   (100)  Speed of the serial port  Kconfig:18\n"),
        "{answer}"
    );
    let answer = it.config(["search", "display", "--json"]).done().json();
    assert_eq!((&answer["symbol"], &answer["found"]), (&"NAME".into(), &"help".into()));
    it.config(["search", "nothing-like-this"]).done().telling(&["nothing found"]);
}

#[test]
fn mistakes_in_kconfig_files_are_listed_or_shown_with_their_line() {
    assert_eq!(Checkout::new().config(["lint"]).done().out, "");
    let it = Checkout::with(
        "config A\n\tint \"A\"\n\trange 1 5\n\tdefault 9\n\tdepends on GONE\nsource \"more/Kconfig\"\n",
    );
    let answer = it.config(["lint"]).left(1);
    assert_eq!(answer.out, "Kconfig:4: default-range: A has the default 9, its range is 1 to 5\n");
    answer.telling(&["undefined: 1, which may be meant; --all lists them"]);
    let kinds: Vec<_> = it
        .config(["lint", "--all", "--json"])
        .left(1)
        .events()
        .iter()
        .map(|it| it["kind"].clone())
        .collect();
    assert_eq!(kinds, ["never-shown", "default-range", "undefined"]);
    let it = Checkout::with("config A\n\tbool \"A\"\n\tdepends on (B\n");
    it.config(["lint"]).left(2).telling(&[
        "cannot read the Kconfig files of tree",
        "the line ends where `)` should be",
        "--> Kconfig:3:",
        "depends on (B",
    ]);
}

#[test]
fn nothing_outside_the_tree_is_read_and_nothing_is_run() {
    let it = Checkout::with("source \"link/Kconfig\"\n");
    let outside = it.lab.dir().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("Kconfig"), "config SECRET\n\tbool\n").unwrap();
    std::os::unix::fs::symlink("../outside", it.tree().join("link")).unwrap();
    it.config(["get", "SECRET"]).left(2).telling(&["cannot read link/Kconfig"]);
    let it = Checkout::with("source \"../outside/Kconfig\"\n");
    it.config(["get", "SECRET"]).left(2).telling(&["it is outside the tree"]);
    let it = Checkout::with("config A\n\tstring\n\tdefault \"$(shell,touch ran; echo yes)\"\n");
    it.config(["get", "A"]).left(2).telling(&["cannot run", "--run-shell"]);
    assert!(!it.tree().join("ran").exists());
    assert_eq!(it.config(["get", "A", "--run-shell"]).done().out, "yes\n");
    assert!(it.tree().join("ran").exists());
}

#[test]
fn recipes_say_how_a_tree_is_read_and_trees_that_are_known_need_none() {
    let lab = Lab::new();
    let tree = lab.dir().join("klipper");
    std::fs::create_dir_all(tree.join("src")).unwrap();
    std::fs::write(tree.join("src/Kconfig"), "config A\n\tbool \"A\"\n\tdefault y\n").unwrap();
    let get = |more: &[&str]| {
        let args = ["config", "get", "A", "--tree", tree.to_str().unwrap()];
        lab.run(args.iter().chain(more))
    };
    get(&[]).left(2).telling(&["cannot tell how", "give --recipe"]);
    assert_eq!(get(&["--recipe", "klipper"]).done().out, "y\n");
    get(&["--recipe", "make"]).left(2).telling(&["does not say where Kconfig files are"]);
    get(&["--recipe", "nope"]).left(2).telling(&["there is no recipe `nope`"]);
    get(&["--recipe", "klipper", "--root", "src/Nope"]).left(2).telling(&["no such file"]);
    std::fs::create_dir_all(tree.join("lib/kconfiglib")).unwrap();
    assert_eq!(get(&[]).done().out, "y\n");
    let recipe = lab.dir().join("mine.toml");
    let text = "name = 'x'\n[collect]\nrequired = ['x']\n[kconfig]\ndialect = 'conf'\n\
                root = 'src/Kconfig'\nprefix = 'MY_'\n";
    std::fs::write(&recipe, text).unwrap();
    let path = recipe.to_str().unwrap();
    assert_eq!(get(&["--recipe", path]).done().out, "y\n");
    let args = ["config", "normalise", "--recipe", path, "--tree", tree.to_str().unwrap()];
    assert!(lab.run(args).done().out.ends_with("\nMY_A=y\n"));
}

#[test]
fn what_files_say_cannot_steer_a_terminal() {
    let it = Checkout::with("config A\n\tbool \"\u{1b}[2JA\"\n\tdefault y\n");
    it.file("CONFIG_\u{1b}[2J=y\n");
    for args in [&["explain", "A"][..], &["search", "a"], &["normalise", "my.config"]] {
        it.config(args.iter().copied()).done().not_telling(&["\u{1b}"]);
    }
}

#[test]
fn large_and_foreign_files_are_refused() {
    let it = Checkout::new();
    it.config(["get", "A", "/dev/zero"]).left(2).telling(&["cannot read the configuration"]);
    std::fs::write(it.lab.dir().join("my.config"), b"\xff\xfe").unwrap();
    it.config(["get", "A", "my.config"]).left(2).telling(&["cannot read the configuration"]);
    it.config(["diff", "-", "-"]).left(2).telling(&["both configurations from stdin"]);
}
