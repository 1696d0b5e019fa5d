//! The project `fx` in the menu.

use std::path::Path;

use rustix::process::Signal;

use crate::terminal::{Terminal, kbs};

const ENTER: &str = "\r";
const DOWN: &str = "\x1b[B";
const UP: &str = "\x1b[A";
const END: &str = "\x1b[F";
const ESC: &str = "\x1b";
const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

/// A directory with the project and, unless it is empty, a configuration.
pub(crate) fn project(config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let kconfig = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/support/src/fx/Kconfig");
    std::fs::copy(kconfig, dir.path().join("Kconfig")).unwrap();
    if !config.is_empty() {
        std::fs::write(dir.path().join(".config"), config).unwrap();
    }
    dir
}

fn menu(dir: &Path, size: (u16, u16)) -> Terminal {
    let mut command = kbs(dir);
    command.args(["menuconfig", "--dialect=kconfiglib", "--tree=."]);
    Terminal::start(&command, size)
}

fn config(dir: &Path) -> String {
    std::fs::read_to_string(dir.join(".config")).unwrap()
}

#[test]
fn screens_of_all_sizes_are_as_recorded() {
    let dir = project("");
    for (name, size) in
        [("usual", (80, 24)), ("wide", (130, 20)), ("tiny", (24, 6)), ("tiniest", (9, 2))]
    {
        let mut menu = menu(dir.path(), size);
        menu.wait_for(if size.0 < 10 { "> " } else { "Seconds" });
        insta::assert_snapshot!(name, menu.screen());
        menu.press("q");
        assert_eq!(menu.finish().code(), Some(0));
    }
}

#[test]
fn keys_change_a_value_and_save_it() {
    let dir = project("CONFIG_SLEEP=1\n");
    let mut menu = menu(dir.path(), (80, 24));
    menu.wait_for("(1) Seconds");
    menu.press("/sleep");
    menu.wait_for("one entry");
    menu.press(ENTER);
    menu.wait_for("> (1) Seconds");
    menu.press(ENTER);
    menu.wait_for("Enter take it");
    menu.press("\x15");
    menu.press("2");
    menu.wait_for("> 2");
    menu.press(ENTER);
    menu.wait_for(">~(2) Seconds");
    menu.press("s");
    menu.wait_for("saved ./.config");
    menu.press("q");
    assert_eq!(menu.finish().code(), Some(0));
    assert!(config(dir.path()).contains("CONFIG_SLEEP=2\n"), "{}", config(dir.path()));
    // As the project's own tool leaves what was there before.
    let old = std::fs::read_to_string(dir.path().join(".config.old")).unwrap();
    assert_eq!(old, "CONFIG_SLEEP=1\n");
}

#[test]
fn who_leaves_with_changes_is_asked() {
    let dir = project("");
    let mut menu = menu(dir.path(), (80, 24));
    menu.wait_for("Seconds");
    menu.press(&format!("/sleep{ENTER}{ENTER}\x152{ENTER}"));
    menu.wait_for(">~(2) Seconds");
    menu.press(ESC);
    menu.wait_for("Save the changes to ./.config?");
    menu.press(ESC);
    menu.wait_until("no question", |screen| !screen.contains("Save the changes"));
    menu.press("q");
    menu.wait_for("Save the changes");
    menu.press("n");
    assert_eq!(menu.finish().code(), Some(0));
    assert!(!dir.path().join(".config").exists());
    assert!(menu.screen().contains("changes were not saved"), "{}", menu.screen());
}

#[test]
fn a_window_that_changes_its_size_is_drawn_again() {
    let dir = project("");
    let mut menu = menu(dir.path(), (80, 24));
    menu.wait_for("── Help");
    menu.resize(130, 20);
    menu.wait_for("│─ Help");
    menu.resize(24, 6);
    menu.wait_until("no pane", |screen| !screen.contains("Help") && screen.contains("Seconds"));
    menu.resize(1, 1);
    menu.press(DOWN);
    menu.resize(80, 24);
    menu.wait_for("── Help");
    menu.press(&format!("{END}{UP}{DOWN}q"));
    assert_eq!(menu.finish().code(), Some(0));
}

#[test]
fn a_line_that_knows_no_size_gets_a_menu_all_the_same() {
    let dir = project("");
    let mut menu = menu(dir.path(), (0, 0));
    menu.resize_screen(80, 24);
    menu.wait_for("Seconds");
    menu.press("q");
    assert_eq!(menu.finish().code(), Some(0));
}

#[test]
fn no_color_means_no_colours() {
    let dir = project("");
    let colours = |more: &[(&str, &str)], args: &[&str]| {
        let mut command = kbs(dir.path());
        command.args(["menuconfig", "--dialect=kconfiglib", "--tree=."]).args(args);
        command.envs(more.iter().copied());
        let mut menu = Terminal::start(&command, (80, 24));
        menu.wait_for("Seconds");
        menu.press("q");
        menu.finish();
        let bytes = menu.bytes();
        let sequences = bytes.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m'));
        let mut parameters = sequences.map(|(parameters, _)| parameters).flat_map(|p| p.split(';'));
        parameters.any(|one| {
            matches!(one, "38" | "48") || one.len() == 2 && one.starts_with('3') && one != "39"
        })
    };
    assert!(colours(&[], &[]));
    assert!(!colours(&[("NO_COLOR", "1")], &[]));
    assert!(!colours(&[], &["--color=never"]));
}

#[test]
fn drawing_is_one_update_and_only_of_what_is_different() {
    let dir = project("");
    let mut menu = menu(dir.path(), (80, 24));
    menu.wait_for("Seconds");
    let begins = |menu: &Terminal| menu.bytes().matches("\x1b[?2026h").count();
    let (before_b, before) = (menu.bytes().len(), begins(&menu));
    menu.press(END);
    menu.wait_for("> [ ] Fail");
    menu.press("q");
    menu.finish();
    assert!(begins(&menu) > before);
    let told = menu.bytes();
    assert_eq!(told.matches("\x1b[?2026h").count() + 1, told.matches("\x1b[?2026l").count());
    assert!(told.len() - before_b < 1500, "{} bytes", told.len() - before_b);
}

#[test]
fn a_signal_gives_the_terminal_back_and_loses_nothing() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let dir = project("CONFIG_SLEEP=1\n");
        let mut menu = menu(dir.path(), (80, 24));
        menu.wait_for("Seconds");
        menu.press(&format!("/sleep{ENTER}{ENTER}\x152{ENTER}"));
        menu.wait_for(">~(2) Seconds");
        assert!(menu.is_taken());
        menu.signal(signal);
        assert_eq!(menu.finish().code(), Some(4), "{signal:?}");
        assert_eq!(config(dir.path()), "CONFIG_SLEEP=1\n");
        let kept = std::fs::read_to_string(dir.path().join(".config.unsaved")).unwrap();
        assert!(kept.contains("CONFIG_SLEEP=2\n"), "{kept}");
        menu.wait_for("what was not saved is in ./.config.unsaved");
    }
}

#[test]
fn a_lost_connection_loses_nothing() {
    let dir = project("CONFIG_SLEEP=1\n");
    let mut menu = menu(dir.path(), (80, 24));
    menu.wait_for("Seconds");
    menu.press(&format!("/sleep{ENTER}{ENTER}\x152{ENTER}"));
    menu.wait_for(">~(2) Seconds");
    assert_eq!(menu.hang_up(), Some(4));
    let kept = std::fs::read_to_string(dir.path().join(".config.unsaved")).unwrap();
    assert!(kept.contains("CONFIG_SLEEP=2\n"), "{kept}");
}

#[test]
fn a_signal_without_changes_leaves_no_file() {
    let dir = project("CONFIG_SLEEP=1\n");
    let mut menu = menu(dir.path(), (80, 24));
    menu.wait_for("Seconds");
    menu.signal(Signal::TERM);
    assert_eq!(menu.finish().code(), Some(4));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn who_comes_back_to_a_stopped_menu_finds_it_as_it_was() {
    let dir = project("");
    let mut menu = menu(dir.path(), (80, 24));
    for stop in [CTRL_Z, ""] {
        let before = menu.wait_for("Seconds");
        if stop.is_empty() {
            menu.signal(Signal::TSTP);
        } else {
            menu.press(stop);
        }
        menu.wait_for_stop();
        menu.assert_given_back();
        menu.signal(Signal::CONT);
        menu.wait_until("the menu", |screen| screen == before);
        assert!(menu.is_taken());
    }
    menu.press(CTRL_C);
    assert_eq!(menu.finish().code(), Some(0));
}
