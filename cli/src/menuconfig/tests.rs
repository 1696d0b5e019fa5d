//! The machine and what it draws, without a terminal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kbs_kconfig::{Dialect, FileMap, Kconfig, NoShell};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::style::Color;

use super::event::{Build, Effect, Event, Then, What, Writing};
use super::state::{Mode, Origin, State};
use super::view::{Theme, draw};
use crate::kconfig::{ConfigText, Form, Home};

const PROJECT: &str = r#"
mainmenu "Little project"
config MODULES
	bool "Modules"
	modules
	default y
config SLEEP
	int "Seconds to sleep"
	range 1 8
	default 3
	help
	  How long it sleeps before it does anything at all, in seconds, so that somebody can
	  attach a debugger.

	  If unsure, say 3.
menu "Drivers"
config NET
	bool "Network"
config WIFI
	tristate "Radio"
	depends on NET
	select FIRMWARE
config FIRMWARE
	bool "Firmware loader"
config NAME
	string "Name of the host"
	default "little"
endmenu
choice
	prompt "Speed"
config SLOW
	bool "Slow"
config FAST
	bool "Fast"
	depends on NET
endchoice
comment "That was all"
"#;

fn kconfig() -> Kconfig {
    let files: FileMap = [("Kconfig", PROJECT)].into_iter().collect();
    Kconfig::load("Kconfig", &files, Dialect::CONF, &BTreeMap::new(), &NoShell).unwrap()
}

fn origin(text: Option<&str>) -> Origin {
    Origin {
        home: Home { path: PathBuf::from(".config"), form: Form::Whole },
        text: text.map(|text| ConfigText {
            name: ".config".to_owned(),
            text: text.to_owned(),
            places: Vec::new(),
        }),
        note: None,
        label: ".config".to_owned(),
    }
}

fn begin(kconfig: &Kconfig) -> State<'_> {
    // As it would be written, so that nothing is stale.
    let text = kconfig.evaluate().to_dotconfig();
    State::new(kconfig, origin(Some(&text)))
}

/// Presses keys: characters as they are, others as `<Enter>` or `<C-c>`.
fn press(state: &mut State<'_>, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut rest = keys;
    while let Some(first) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|named| named.split_once('>'));
        let (code, modifiers, after) = match named {
            Some((name, after)) if name.len() > 1 => match name.strip_prefix("C-") {
                Some(letter) => {
                    let letter = letter.chars().next().unwrap();
                    (KeyCode::Char(letter), KeyModifiers::CONTROL, after)
                }
                None => (code(name), KeyModifiers::NONE, after),
            },
            _ => (KeyCode::Char(first), KeyModifiers::NONE, &rest[first.len_utf8()..]),
        };
        effects.extend(state.update(Event::Key(KeyEvent::new(code, modifiers))));
        rest = after;
    }
    effects
}

fn code(name: &str) -> KeyCode {
    match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Down" => KeyCode::Down,
        "Up" => KeyCode::Up,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "Tab" => KeyCode::Tab,
        "End" => KeyCode::End,
        "Home" => KeyCode::Home,
        "PgDn" => KeyCode::PageDown,
        "Space" => KeyCode::Char(' '),
        "F1" => KeyCode::F(1),
        name => panic!("no such key: {name}"),
    }
}

fn screen_of(state: &mut State<'_>, width: u16, height: u16) -> String {
    state.update(Event::Resize(width, height));
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(state, Theme::Plain, &mut buffer);
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn value(state: &State<'_>, symbol: &str) -> String {
    let line = |line: &&str| line.contains(&format!("CONFIG_{symbol}"));
    state.text().lines().find(line).unwrap_or("-").to_owned()
}

#[test]
fn the_first_screen_is_what_people_know() {
    let kconfig = kconfig();
    insta::assert_snapshot!(screen_of(&mut begin(&kconfig), 80, 24));
}

#[test]
fn a_wide_screen_has_the_pane_beside_the_menu() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "j<Tab><Tab>j<Enter>");
    insta::assert_snapshot!(screen_of(&mut state, 120, 16));
}

#[test]
fn what_is_set_wrongly_is_refused_with_what_is_possible() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "j<Enter><C-u>9<Enter>");
    let refused = screen_of(&mut state, 80, 24);
    assert!(refused.contains("`9` is not possible: from 1 to 8"), "{refused}");
    insta::assert_snapshot!(refused);
    press(&mut state, "<C-u>8<Enter>");
    assert!(matches!(state.mode, Mode::Browse));
    assert_eq!(value(&state, "SLEEP"), "CONFIG_SLEEP=8");
    assert!(state.is_changed());
}

#[test]
fn menus_are_entered_and_left_with_the_keys_of_both_tools() {
    let kconfig = kconfig();
    for (inwards, back) in [("<Enter>", "<Left>"), ("<Right>", "<Esc>"), ("l", "h"), (" ", "<Esc>")]
    {
        let mut state = begin(&kconfig);
        press(&mut state, "jj");
        press(&mut state, inwards);
        assert!(screen_of(&mut state, 80, 24).contains("top > Drivers"), "{inwards}");
        press(&mut state, back);
        let shown = screen_of(&mut state, 80, 24);
        assert!(shown.contains(">     Drivers"), "{back}: {shown}");
    }
}

#[test]
fn y_m_and_n_set_and_space_goes_round() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "jj<Enter>yj");
    for (key, expected) in [
        ("m", "CONFIG_WIFI=m"),
        ("y", "CONFIG_WIFI=y"),
        ("n", "# CONFIG_WIFI is not set"),
        (" ", "CONFIG_WIFI=m"),
        (" ", "CONFIG_WIFI=y"),
        (" ", "# CONFIG_WIFI is not set"),
    ] {
        press(&mut state, key);
        assert_eq!(value(&state, "WIFI"), expected, "{key}");
    }
    press(&mut state, "yjn");
    let shown = screen_of(&mut state, 80, 24);
    let refusal = "! FIRMWARE cannot be changed at the moment: other symbols select it";
    assert!(shown.contains(refusal), "{shown}");
    assert!(shown.contains(">~-*- Firmware loader"), "{shown}");
}

#[test]
fn picking_a_member_leaves_the_choice() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "jj<Enter>y<Left>j<Enter>");
    let inside = screen_of(&mut state, 80, 24);
    assert!(inside.contains("top > Speed") && inside.contains("> (X) Slow"), "{inside}");
    press(&mut state, "j<Enter>");
    let outside = screen_of(&mut state, 80, 24);
    assert!(outside.contains(">~    Speed (Fast)  --->"), "{outside}");
    press(&mut state, "x");
    assert!(screen_of(&mut state, 80, 24).contains("Speed (Slow)"));
}

#[test]
fn a_search_goes_to_what_it_finds_even_if_it_is_hidden() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "/radio");
    insta::assert_snapshot!(screen_of(&mut state, 80, 12));
    press(&mut state, "<Enter>");
    let shown = screen_of(&mut state, 80, 24);
    assert!(shown.contains("top > Drivers  (everything is listed)"), "{shown}");
    assert!(shown.contains(">   - - Radio (hidden)"), "{shown}");
    // A name as it stands in a configuration, with the wrong case.
    press(&mut state, "/config_sleep<Enter>");
    assert!(screen_of(&mut state, 80, 24).contains("> (3) Seconds to sleep"));
}

#[test]
fn the_effect_of_a_change_is_told_before_it_is_made() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "<Tab><Tab>jj<Enter>yj");
    let shown = screen_of(&mut state, 80, 24);
    assert!(shown.contains("WIFI: n → m"), "{shown}");
    assert!(shown.contains("1 more symbol changes:"), "{shown}");
    assert!(shown.contains("FIRMWARE: n → y"), "{shown}");
    assert_eq!(value(&state, "WIFI"), "# CONFIG_WIFI is not set");
}

#[test]
fn why_names_what_is_missing() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "<Tab>/wifi<Enter>");
    let shown = screen_of(&mut state, 80, 30);
    assert!(shown.contains("hidden  NET is n, not y (Kconfig:21: depends on NET)"), "{shown}");
}

#[test]
fn leaving_asks_only_if_something_is_lost() {
    let kconfig = kconfig();
    for leave in ["q", "<Esc>", "<C-c>"] {
        let mut state = begin(&kconfig);
        assert_eq!(press(&mut state, leave), [Effect::Leave], "{leave}");
        press(&mut state, "n");
        press(&mut state, "n");
        assert_eq!(press(&mut state, leave), [], "{leave}");
        assert!(matches!(state.mode, Mode::Leaving));
        assert_eq!(press(&mut state, "<Esc>"), []);
        assert!(matches!(state.mode, Mode::Browse));
        press(&mut state, leave);
        assert_eq!(press(&mut state, "n"), [Effect::Leave]);
    }
}

#[test]
fn saving_writes_what_the_tool_would_write() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "jj<Enter>y");
    let effects = press(&mut state, "s");
    let mut same = kconfig.evaluate();
    same.set("NET", "y").unwrap();
    let writing = Writing { path: ".config".into(), what: What::Whole, then: Then::Stay };
    assert_eq!(effects, [Effect::Write(writing.clone(), same.to_dotconfig())]);
    assert!(state.is_changed(), "nothing is written yet");
    state.update(Event::Written(writing.clone(), Err("no space".to_owned())));
    assert!(screen_of(&mut state, 80, 24).contains("! cannot save .config: no space"));
    assert!(state.is_changed());
    state.update(Event::Written(writing, Ok(())));
    assert!(!state.is_changed());
    // Another file is a copy: this one is as it was.
    press(&mut state, "n");
    let effects = press(&mut state, "w<C-u>other<Enter>");
    let Some(Effect::Write(writing, _)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(writing.path, Path::new("other"));
    state.update(Event::Written(writing.clone(), Ok(())));
    assert!(state.is_changed());
    let effects = press(&mut state, "d<Enter>");
    let Some(Effect::Write(writing, text)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!((writing.path.as_path(), writing.what), (Path::new("defconfig"), What::Minimal));
    assert!(!text.contains("CONFIG_SLEEP"), "{text}");
}

#[test]
fn saving_on_the_way_out_leaves_only_when_it_is_saved() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "nq");
    let effects = press(&mut state, "y");
    let [Effect::Write(writing, _)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(state.update(Event::Written(writing.clone(), Err("no".to_owned()))), []);
    assert!(matches!(state.mode, Mode::Browse));
    assert_eq!(state.update(Event::Written(writing.clone(), Ok(()))), [Effect::Leave]);
}

#[test]
fn a_file_of_another_kind_is_told_and_can_be_saved() {
    let kconfig = kconfig();
    let mut state = State::new(&kconfig, origin(Some("CONFIG_GONE=y\nCONFIG_SLEEP=5\n")));
    let shown = screen_of(&mut state, 80, 24);
    assert!(shown.contains("one line of .config sets nothing that the project knows"), "{shown}");
    assert!(shown.contains("[not as the project's tool writes it]"), "{shown}");
    assert!(!state.is_changed());
    assert_eq!(press(&mut state, "q"), []);
    assert!(screen_of(&mut state, 80, 24).contains("Save it?"));
    let mut new = State::new(&kconfig, origin(None));
    assert_eq!(press(&mut new, "q"), [Effect::Leave]);
}

#[test]
fn a_few_lines_of_a_spec_are_no_mistake() {
    let kconfig = kconfig();
    let mut few = origin(Some("CONFIG_SLEEP=5\n"));
    few.home.form = Form::Own("CONFIG_SLEEP=5\n".to_owned());
    let mut state = State::new(&kconfig, few);
    assert!(!screen_of(&mut state, 80, 24).contains("not as the project's tool"));
    assert_eq!(press(&mut state, "q"), [Effect::Leave]);
}

#[test]
fn loading_replaces_everything() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "jj<Enter>y");
    assert_eq!(press(&mut state, "L<C-u>x<Enter>"), [Effect::Read("x".into())]);
    state.update(Event::Read("x".into(), Err("gone".to_owned())));
    assert!(screen_of(&mut state, 80, 24).contains("! cannot load x: gone"));
    state.update(Event::Read("x".into(), Ok("CONFIG_SLEEP=7\n".to_owned())));
    assert_eq!(value(&state, "SLEEP"), "CONFIG_SLEEP=7");
    assert_eq!(value(&state, "NET"), "# CONFIG_NET is not set");
    assert!(state.is_changed(), "the file that is saved to has something else");
}

#[test]
fn names_help_and_keys_are_shown_on_demand() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "cj");
    assert!(screen_of(&mut state, 80, 24).contains("Seconds to sleep <SLEEP>"));
    press(&mut state, "?");
    insta::assert_snapshot!(screen_of(&mut state, 80, 24));
    press(&mut state, "<Esc><F1>");
    let keys = screen_of(&mut state, 80, 60);
    assert!(keys.contains("search names and prompts"), "{keys}");
    press(&mut state, "q");
    assert!(matches!(state.mode, Mode::Browse));
}

#[test]
fn no_size_and_no_key_is_too_much() {
    let kconfig = kconfig();
    let sizes = [(0, 0), (1, 1), (2, 3), (10, 4), (20, 7), (33, 12), (80, 24), (110, 3), (200, 60)];
    let keys = [
        "j", "k", "<PgDn>", "<Home>", "<End>", "<Enter>", " ", "y", "n", "m", "<Tab>", "?", "/",
        "s", "<Esc>", "<Left>", "a", "x", "c", "<F1>", "w", "L", "d", ">", "<C-u>", "é", "q", "<",
    ];
    let mut seed = 7_usize;
    let mut state = begin(&kconfig);
    for round in 0..4000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        press(&mut state, keys[(seed >> 33) % keys.len()]);
        let (width, height) = sizes[(seed >> 40) % sizes.len()];
        let shown = screen_of(&mut state, width, height);
        assert!(!shown.contains('\x1b'), "round {round}");
    }
}

#[test]
fn what_is_pasted_is_text_and_no_keys() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    state.update(Event::Paste("nyqs".to_owned()));
    assert!(!state.is_changed() && matches!(state.mode, Mode::Browse));
    press(&mut state, "/");
    state.update(Event::Paste("NET\n".to_owned()));
    assert!(screen_of(&mut state, 80, 24).contains("> NET = n — Network"));
}

#[test]
fn hostile_text_cannot_steer_the_terminal() {
    let text =
        "mainmenu \"a\x1b]0;x\x07b\"\nconfig A\n\tbool \"c\x1b[2Jd\"\n\thelp\n\t  e\x1b[5mf\n";
    let files: FileMap = [("Kconfig", text)].into_iter().collect();
    let kconfig =
        Kconfig::load("Kconfig", &files, Dialect::CONF, &BTreeMap::new(), &NoShell).unwrap();
    let mut state = State::new(&kconfig, origin(None));
    let shown = screen_of(&mut state, 80, 24);
    for part in ["ab — .config", "cd", "ef"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\x1b'));
}

#[test]
fn colours_say_nothing_that_is_not_said_without_them() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    press(&mut state, "jj<Enter>yjk");
    state.update(Event::Resize(80, 24));
    let draw_with = |theme| {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
        draw(&state, theme, &mut buffer);
        buffer
    };
    let (plain, coloured) = (draw_with(Theme::Plain), draw_with(Theme::Colours));
    let text = |buffer: &Buffer| {
        buffer.content.iter().map(|cell| cell.symbol().to_owned()).collect::<String>()
    };
    assert_eq!(text(&plain), text(&coloured));
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(coloured.content.iter().any(|cell| cell.fg != Color::Reset));
}

#[test]
fn what_is_known_of_the_build_is_about_the_configuration_on_the_screen() {
    let kconfig = kconfig();
    let mut state = begin(&kconfig);
    let first = state.look_up().unwrap();
    assert_eq!(state.look_up(), None, "once is enough");
    state.update(Event::LookedUp(first.clone(), Some(Build::Cached)));
    assert!(screen_of(&mut state, 80, 24).contains(" build cached"));
    press(&mut state, "jj<Enter>a");
    assert_eq!(state.look_up(), None, "nothing has changed");
    assert!(screen_of(&mut state, 80, 24).contains(" build cached"));
    press(&mut state, "y");
    let second = state.look_up().unwrap();
    assert!(second.contains("CONFIG_NET=y"));
    state.update(Event::LookedUp(first, Some(Build::Cached)));
    assert!(!screen_of(&mut state, 80, 24).contains("build cached"), "that is yesterday's news");
    state.update(Event::LookedUp(second.clone(), Some(Build::Open)));
    for (width, height) in [(80, 24), (20, 8)] {
        assert!(screen_of(&mut state, width, height).contains(" would be built"));
    }
    state.update(Event::LookedUp(second, None));
    assert!(!screen_of(&mut state, 80, 24).contains("built"));
}
