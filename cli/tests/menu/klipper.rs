//! Klipper in the menu, where `KBS_TEST_KLIPPER` names a checkout of it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::terminal::{Terminal, kbs};

fn checkout() -> Option<PathBuf> {
    let found = std::env::var_os("KBS_TEST_KLIPPER").map(PathBuf::from);
    if found.is_none() {
        let told = "SKIPPED: KBS_TEST_KLIPPER names no checkout, so nothing was tried\n";
        std::io::stderr().write_all(told.as_bytes()).unwrap();
    }
    found
}

#[test]
fn a_board_is_picked_with_keys_and_its_tool_agrees() {
    let Some(tree) = checkout() else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("board.config");
    let mut command = kbs(dir.path());
    command.args(["menuconfig", "--recipe=klipper", "--tree"]).arg(&tree).arg(&config);
    let start = Instant::now();
    let mut menu = Terminal::start(&command, (80, 24));
    menu.wait_for("Micro-controller Architecture (Atmega AVR)");
    let first = start.elapsed();
    menu.press("j\r");
    menu.wait_for("(X) Atmega AVR");
    menu.press("/mach_rpxxxx\r");
    menu.wait_for("> ( ) Raspberry Pi RP2040");
    menu.press("\r");
    menu.wait_for("Micro-controller Architecture (Raspberry Pi RP2040");
    // What is hidden is set by going to what it needs; here there is a range of words to choose.
    menu.press("g\r");
    menu.wait_for("[*] Enable extra low-level");
    menu.press("/bootloader\r");
    menu.wait_for("Bootloader offset");
    menu.press("s");
    menu.wait_for("saved ");
    menu.press("q");
    assert_eq!(menu.finish().code(), Some(0));
    let ours = std::fs::read_to_string(&config).unwrap();
    assert!(ours.contains("CONFIG_MACH_RPXXXX=y\n") && ours.contains("CONFIG_MCU=\"rp2"), "{ours}");
    let status = Command::new("python3")
        .arg(tree.join("lib/kconfiglib/olddefconfig.py"))
        .arg("src/Kconfig")
        .current_dir(&tree)
        .env("KCONFIG_CONFIG", &config)
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(std::fs::read_to_string(&config).unwrap(), ours, "its own tool changes nothing");
    let told = format!("first screen after {} ms\n", first.as_millis());
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}
