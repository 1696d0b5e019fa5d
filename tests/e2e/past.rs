//! Symbols that a project has no more: what its history tells of them.

use kbs_testkit::{FxSpec, Repo, fx};

use crate::lab::{Lab, edit};

/// `fx` in whose past a member of the choice is renamed, a symbol outside of it, one twice, and one
/// goes for good.
fn fx_with_a_past() -> (Repo, [String; 4]) {
    let repo = fx();
    let more = "config WANT_LED\n\tbool \"Light strips\"\nconfig TICKS\n\tint \"Ticks per second\"\n\
                config PRINTS\n\tbool \"Talk on paper\"\n";
    edit(&repo, "Kconfig", "config FAIL", &format!("{more}config FAIL"));
    edit(&repo, "Kconfig", "MACH_A", "MACH_FX1000");
    repo.commit("the beginning");
    repo.tag("v2.0");
    let step = |old: &str, new: &str, subject: &str| {
        edit(&repo, "Kconfig", old, new);
        repo.commit(subject)
    };
    let commits = [
        step("config TICKS\n", "config TICK_RATE\n", "ticks have a rate"),
        step("config TICK_RATE\n", "config CLOCK_RATE\n", "it is a clock"),
        step("config PRINTS\n\tbool \"Talk on paper\"\n", "", "no paper"),
        step("WANT_LED", "WITH_NEOPIXELS", "lights have a new name"),
    ];
    edit(&repo, "Kconfig", "\tdefault MACH_FX1000\n", "\tdefault MACH_B\n");
    edit(&repo, "Kconfig", "MACH_FX1000", "MACH_FX1XXX");
    repo.commit("machine A is one of a family");
    repo.write("message.txt", "later").commit("no Kconfig file");
    (repo, commits.map(|commit| commit[..12].to_owned()))
}

fn spec(repo: &Repo) -> FxSpec {
    let symbols = "MACH_FX1000 = true\nWANT_LED = true\nTICKS = 5\nPRINTS = true\nNEVER_WAS = true";
    FxSpec::new(repo)
        .config_table(&format!("[config.set]\n{symbols}"))
        .toml("[recipe.kconfig]\ndialect = 'kconfiglib'")
}

#[test]
fn lines_of_a_spec_are_told_what_became_of_their_symbols() {
    let (lab, (repo, [ticks, clock, paper, lights])) = (Lab::new(), fx_with_a_past());
    let path = lab.write(&spec(&repo));
    let path = path.to_str().unwrap();
    let answer = lab.run(["config", "normalise", path]).done();
    let answer = answer.telling(&[
        "MACH_FX1000=y: the project defines no such symbol; MACH_FX1000 was removed by ",
        ", machine A is one of a family); it was \"Machine A\" of the choice \"Machine\"; \
         MACH_FX1XXX took its place\n",
        &format!(
            "WANT_LED was removed by {lights} (2023-11-14, lights have a new name); it was \
             \"Light strips\"; WITH_NEOPIXELS took its place\n"
        ),
        &format!(
            "TICKS was removed by {ticks} (2023-11-14, ticks have a rate); it was \"Ticks per \
             second\"; TICK_RATE took its place; TICK_RATE was removed by {clock} (2023-11-14, it \
             is a clock); it was \"Ticks per second\"; CLOCK_RATE took its place\n"
        ),
        &format!(
            "PRINTS was removed by {paper} (2023-11-14, no paper); it was \"Talk on paper\"\n"
        ),
        "NEVER_WAS=y: the project defines no such symbol\n",
    ]);
    assert!(!answer.err.contains("NEVER_WAS was"), "{answer}");
    let answer = lab.run(["config", "normalise", path, "--json"]).done().json();
    let dropped = answer["dropped"].as_array().unwrap();
    let of = |symbol: &str| {
        let mut all = dropped.iter().filter(|it| it["symbol"] == symbol);
        all.next().unwrap_or_else(|| panic!("{symbol} is not in {answer}"))["past"].clone()
    };
    assert_eq!(of("MACH_FX1000")[0]["successor"]["symbol"], "MACH_FX1XXX");
    assert_eq!(of("MACH_FX1000")[0]["choice"], "Machine");
    let ticks = of("TICKS");
    assert_eq!(
        (&ticks[0]["fate"], &ticks[1]["subject"]),
        (&"removed".into(), &"it is a clock".into())
    );
    assert!(of("PRINTS")[0]["successor"].is_null());
    assert_eq!(of("NEVER_WAS"), serde_json::json!([]));
}

#[test]
fn who_asks_for_a_symbol_that_is_gone_hears_of_its_successor() {
    let (lab, (repo, [.., paper, _])) = (Lab::new(), fx_with_a_past());
    let path = lab.write(&spec(&repo));
    let path = path.to_str().unwrap();
    let ask = |words: &[&str]| lab.run([&["config"], words].concat());
    for words in
        [&["explain", path, "TICKS"][..], &["get", path, "TICKS"], &["set", path, "TICKS=1"]]
    {
        ask(words).left(2).telling(&[
            "no symbol TICKS\n  caused by: TICKS was removed by",
            "help: did you mean CLOCK_RATE (\"Ticks per second\")",
        ]);
    }
    let answer = ask(&["explain", path, "PRINTS", "--json"]).left(2);
    let told = &answer.events()[0];
    assert!(told["past"][0]["commit"].as_str().unwrap().starts_with(&paper), "{answer}");
    let never = ask(&["explain", path, "NEVER_WAS"]).left(2);
    assert!(!never.err.contains("caused by"), "{never}");
    // At the tag nothing is missing, and nothing is told.
    lab.run(["source", "add", "mine", repo.url()]).done();
    let old = lab.write(&spec(&repo).rev("v2.0"));
    assert_eq!(ask(&["get", old.to_str().unwrap(), "TICKS"]).done().out, "5\n");
}

#[test]
fn a_refusal_tells_the_same_and_advises_the_successor() {
    let (lab, (repo, _)) = (Lab::new(), fx_with_a_past());
    let kbs = spec(&repo);
    let own = FxSpec::new(&repo).config("CONFIG_MACH_FX1000=y");
    for spec in [kbs, own] {
        lab.realize(&spec, &[]).left(2).telling(&[
            "CONFIG_MACH_FX1000: asked y, is not there",
            "MACH_FX1000 was removed by ",
            "; it was \"Machine A\" of the choice \"Machine\"; MACH_FX1XXX took its place",
            "help: set CONFIG_MACH_FX1XXX (Machine A);",
        ]);
    }
}

#[test]
fn what_is_too_large_to_be_read_hides_nothing_else() {
    let (lab, repo) = (Lab::new(), fx());
    repo.write("Kconfig.large", vec![b'x'; (16 << 20) + 1]).commit("large");
    edit(&repo, "Kconfig", "MACH_A", "MACH_FX1000");
    repo.remove("Kconfig.large").commit("machine A has a number");
    repo.write("Kconfig.large", vec![b'y'; (16 << 20) + 1]).commit("large again");
    let set = |symbol: &str| format!("[config.set]\n{symbol} = true");
    let spec = FxSpec::new(&repo).config_table(&set("MACH_A"));
    let spec = spec.toml("[recipe.kconfig]\ndialect = 'kconfiglib'");
    let told = ["MACH_A was removed by ", "; MACH_FX1000 took its place"];
    lab.run(["config", "normalise", lab.write(&spec).to_str().unwrap()]).done().telling(&told);
}

#[test]
fn a_plain_tree_has_no_history() {
    let (lab, (repo, _)) = (Lab::new(), fx_with_a_past());
    let tree = ["--tree", repo.url(), "--dialect", "kconfiglib"];
    let answer = lab.run([&["config", "explain", "TICKS"], &tree[..]].concat()).left(2);
    assert!(!answer.err.contains("was removed"), "{answer}");
}

#[test]
fn a_member_that_went_below_another_one_leads_to_that() {
    let (lab, repo) = (Lab::new(), fx());
    edit(&repo, "Kconfig", "\tdefault MACH_A\n", "\tdefault MACH_B\n");
    edit(&repo, "Kconfig", "config MACH_A\n", "config MACH_AXX\n");
    let below = "if MACH_AXX\nconfig MACH_A\n\tbool \"a\"\nendif\nconfig FAIL";
    edit(&repo, "Kconfig", "config FAIL", below);
    repo.commit("machine A is one of a family");
    let spec = FxSpec::new(&repo).config_table("[config.set]\nMACH_A = true");
    let path = lab.write(&spec.toml("[recipe.kconfig]\ndialect = 'kconfiglib'"));
    let path = path.to_str().unwrap();
    let [was, heir] = ["MACH_A was moved elsewhere by ", "; MACH_AXX took its place"];
    lab.run(["config", "normalise", path]).done().telling(&["it is not visible", was, heir]);
    let explained = lab.run(["config", "explain", path, "MACH_A"]).done();
    assert!(explained.out.contains(was) && explained.out.contains(heir), "{explained}");
    let explained = lab.run(["config", "explain", path, "MACH_A", "--json"]).done().json();
    assert_eq!(explained["past"][0]["fate"], "moved");
}
