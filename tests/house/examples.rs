//! The example firmware: its spec is one that kbs reads, and it builds without kbs, too.

use std::path::Path;
use std::process::{Command, Output};

use kbs_plan::spec::Spec;
use kbs_testkit::Repo;

use crate::{read, root};

const FIRMWARE: &str = "examples/hello/firmware";

fn spec() -> Spec {
    let no_files = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    Spec::read(&read("examples/hello/spec.toml"), &no_files, &str::to_owned)
        .expect("it names no files and is whole")
}

/// A copy of the firmware in a repository of its own, with this configuration.
fn firmware(config: &str) -> Repo {
    let repo = Repo::new();
    repo.copy_from(&root().join(FIRMWARE));
    for made in ["out", ".config"] {
        drop(Command::new("rm").args(["-rf", made]).current_dir(repo.path()).status());
    }
    repo.commit("firmware");
    repo.write(".config", config);
    repo
}

fn run(dir: &Path, argv: &[&str]) -> Output {
    let output = Command::new(argv[0])
        .args(&argv[1..])
        .current_dir(dir)
        .env_remove("KCONFIG_CONFIG")
        .env_remove("MAKEFLAGS")
        .env_remove("GIT_DIR")
        .output()
        .unwrap_or_else(|error| panic!("{argv:?}: {error}"));
    assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn normalised(config: &str) -> String {
    let repo = firmware(config);
    let normalise = || {
        run(repo.path(), &["sh", "scripts/olddefconfig"]);
        std::fs::read_to_string(repo.path().join(".config")).expect("it was just written")
    };
    let once = normalise();
    assert_eq!(once, normalise(), "a second time changes something");
    once
}

#[test]
fn its_recipe_names_what_is_there() {
    let recipe = spec().resolve_recipe().unwrap();
    let configure = recipe.configure.unwrap();
    for path in recipe.source.paths.iter().chain(&configure.paths).chain(&recipe.build.subdir) {
        assert!(root().join(path).exists(), "{path}");
    }
    assert_eq!(recipe.collect.root, format!("src/{FIRMWARE}/out"));
    let defined = read(format!("{FIRMWARE}/Kconfig"));
    for symbol in spec().config.unwrap().set.keys() {
        assert!(defined.contains(&format!("config {symbol}\n")), "{symbol}");
    }
}

#[test]
fn it_builds_by_hand_with_the_same_bytes_anywhere() {
    let config = "CONFIG_BOARD_BEACON=y\nCONFIG_BUZZER=y\nCONFIG_GREETING=\"here I am\"\n";
    let build = || {
        let repo = firmware(config);
        run(repo.path(), &["make", "olddefconfig"]);
        run(repo.path(), &["make"]);
        ["hello.elf", "hello.bin", "hello.map"]
            .map(|name| std::fs::read(repo.path().join("out").join(name)).unwrap())
    };
    let first = build();
    assert!(first == build(), "two builds in two directories differ");
    let image = String::from_utf8_lossy(&first[1]);
    assert!(image.contains("here I am") && image.contains("beacon"), "{image}");
}

#[test]
fn a_configuration_may_be_empty_or_name_what_is_unknown() {
    let default = normalised("");
    assert!(default.starts_with("CONFIG_BOARD_LANTERN=y\n# CONFIG_BOARD_BEACON is not set\n"));
    assert_eq!(normalised("CONFIG_NOPE=y\n# CONFIG_NADA is not set\nnonsense\n"), default);
}

#[test]
fn a_choice_has_one_member_and_the_last_one_named_wins() {
    let config = normalised("CONFIG_BOARD_LANTERN=y\nCONFIG_BOARD_BEACON=y\n");
    assert!(config.starts_with("# CONFIG_BOARD_LANTERN is not set\nCONFIG_BOARD_BEACON=y\n"));
    assert!(config.contains("CONFIG_BOARD_NAME=\"beacon\"\n"), "{config}");
}

#[test]
fn values_that_no_symbol_may_have_become_defaults() {
    let default = normalised("");
    for line in [
        "CONFIG_BLINK_PERIOD_MS=9",
        "CONFIG_BLINK_PERIOD_MS=10001",
        "CONFIG_BLINK_PERIOD_MS=0x20",
        "CONFIG_LOAD_ADDRESS=0xfff",
        "CONFIG_LOAD_ADDRESS=0x80000000",
        "CONFIG_LOAD_ADDRESS=4096",
        "CONFIG_BLINK=maybe",
        "CONFIG_GREETING=unquoted",
        "CONFIG_BOARD_NAME=\"mine\"",
        "CONFIG_BUZZER=y",
    ] {
        assert_eq!(normalised(line), default, "{line}");
    }
    for line in ["CONFIG_BLINK_PERIOD_MS=10", "CONFIG_LOAD_ADDRESS=0x7FFFFFFF"] {
        assert!(normalised(line).contains(line), "{line}");
    }
}

#[test]
fn a_symbol_without_its_dependency_is_not_there() {
    let config = normalised("# CONFIG_BLINK is not set\nCONFIG_BLINK_PERIOD_MS=50\n");
    assert!(config.contains("# CONFIG_BLINK is not set\n"), "{config}");
    assert!(!config.contains("BLINK_PERIOD_MS"), "{config}");
}
