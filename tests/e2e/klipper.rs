//! Klipper itself, where `KBS_TEST_KLIPPER` names a clone of it.

use std::process::Command;

use crate::lab::{Lab, answer, names, read};
use crate::plain::{equal, make_at_build_src};
use crate::{is_root, skip};

/// The clone, with enough history for the tags of its releases.
fn clone() -> Option<String> {
    let path = std::env::var_os("KBS_TEST_KLIPPER").filter(|path| !path.is_empty());
    let Some(path) = path else {
        skip("KBS_TEST_KLIPPER is not set: Klipper was not built");
        return None;
    };
    Some(path.into_string().expect("KBS_TEST_KLIPPER is a path of plain text"))
}

fn has(program: &str) -> bool {
    let found = answer(Command::new("sh").args(["-c", "command -v \"$0\"", program]));
    if found.code != Some(0) {
        skip(&format!("{program} is not installed"));
    }
    found.code == Some(0)
}

/// Realizes a configuration of Klipper's own tests at v0.13.0, and compares every artifact that a
/// plain make of a full clone makes, too, at the same path.
fn is_built_as_make_builds_it(config: &str, artifacts: &[&str]) {
    let Some(git) = clone() else { return };
    let lab = Lab::new();
    let spec = lab.write_text(&format!(
        "[project]\nrecipe = 'klipper'\ngit = '{git}'\nrev = 'v0.13.0'\n\
         [config]\ndefconfig = '{config}'\n"
    ));
    let path = lab.run(["realize".as_ref(), spec.as_os_str()]).done().path();
    for name in artifacts {
        assert!(names(&path).contains(&(*name).to_owned()), "{name} in {:?}", names(&path));
    }
    assert!(read(path.join("klipper.dict")).contains("v0.13.0-0-g61c0c8d2e"));
    if !is_root() {
        return skip("only root can run a plain make at /build/src to compare with");
    }
    let plain = plain(
        &git,
        &format!("cp test/configs/{config}.config .config; make olddefconfig; make -j2"),
    );
    equal(&path, &plain.path().join("s/out"), artifacts);
}

fn plain(git: &str, script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("s");
    let git_in = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "safe.directory=*"]).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null");
        answer(&mut command).done();
    };
    let into = src.to_str().unwrap();
    git_in(&["clone", "--quiet", "--no-checkout", git, into]);
    git_in(&["-C", into, "checkout", "--quiet", "v0.13.0"]);
    make_at_build_src(&src, "0", script);
    dir
}

#[test]
fn heavy_klipper_for_linux_is_built_as_a_plain_make_builds_it() {
    is_built_as_make_builds_it("linuxprocess", &["klipper.elf", "klipper.dict"]);
}

#[test]
fn heavy_klipper_for_a_board_is_built_as_a_plain_make_builds_it() {
    if has("arm-none-eabi-gcc") {
        is_built_as_make_builds_it("stm32f407", &["klipper.bin", "klipper.elf", "klipper.dict"]);
    }
}

/// What `make menuconfig` saved for a Raspberry Pi Pico at v0.12.
const PICO_OF_V0_12: &str = "CONFIG_LOW_LEVEL_OPTIONS=y\n# CONFIG_MACH_AVR is not set\n\
    CONFIG_MACH_RP2040=y\nCONFIG_BOARD_DIRECTORY=\"rp2040\"\nCONFIG_MCU=\"rp2040\"\n\
    CONFIG_CLOCK_FREQ=12000000\nCONFIG_USBSERIAL=y\n";

#[test]
fn heavy_a_configuration_of_an_older_klipper_for_a_pico_does_not_become_another_chip() {
    let Some(git) = clone() else { return };
    let lab = Lab::new();
    std::fs::write(lab.dir().join("pico.config"), PICO_OF_V0_12).unwrap();
    let spec = lab.write_text(&format!(
        "[project]\nrecipe = 'klipper'\ngit = '{git}'\nrev = 'HEAD'\n\
         [config]\nfile = 'pico.config'\n"
    ));
    let answer = lab.run(["realize".as_ref(), spec.as_os_str()]).left(2);
    answer.telling(&[
        "another device",
        "CONFIG_MACH_RP2040: asked y",
        "CONFIG_MCU: asked \"rp2040\", is \"atmega2560\"",
        "MACH_RPXXXX",
    ]);
    assert!(lab.ls(&[]).is_empty());
}

#[test]
fn heavy_kbs_and_klipper_make_the_same_of_every_configuration_of_its_tests() {
    let Some(git) = clone() else { return };
    let lab = Lab::new();
    let mut listing = Command::new("git");
    listing.args(["-c", "safe.directory=*", "-C", &git]).args(["ls-tree", "--name-only"]);
    let listed = answer(listing.args(["HEAD", "test/configs/"])).done().out;
    let names: Vec<_> = listed
        .lines()
        .filter_map(|path| path.strip_prefix("test/configs/")?.strip_suffix(".config"))
        .collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let normalised = |by: &str| {
            let spec = lab.write_text(&format!(
                "[project]\nrecipe = 'klipper'\ngit = '{git}'\nrev = 'HEAD'\n\
                 [config]\ndefconfig = '{name}'\n[recipe.kconfig]\nconfigure = '{by}'\n"
            ));
            lab.run(["plan".as_ref(), spec.as_os_str(), "--show-config".as_ref()]).done().out
        };
        let kbs = normalised("kbs");
        assert!(kbs.contains("CONFIG_BOARD_DIRECTORY="), "{name}: {kbs}");
        assert_eq!(kbs, normalised("project"), "{name}");
    }
}
