//! Requests that cannot be right: what is said, and that nothing comes of them.

use std::fmt::Write as _;

use kbs_testkit::{FxSpec, Repo, fx};

use crate::lab::{Answer, Lab};

/// Realizes, expects "the request is wrong" and these words, and that nothing was kept.
#[track_caller]
fn refused(lab: &Lab, spec: &FxSpec, fragments: &[&str]) -> Answer {
    let answer = lab.realize(spec, &[]).left(2).telling(&["error: "]).telling(fragments);
    assert_eq!(answer.out, "");
    assert!(lab.ls(&[]).is_empty() && lab.ls(&["--failed"]).is_empty());
    answer
}

/// As [`refused`], for any text.
#[track_caller]
fn text_refused(lab: &Lab, text: &str, fragments: &[&str]) {
    let path = lab.write_text(text);
    let answer = lab.run([std::ffi::OsStr::new("realize"), path.as_os_str()]);
    let answer = answer.left(2).telling(&["error: "]).telling(fragments);
    assert_eq!(answer.out, "");
}

#[test]
fn a_spec_that_says_what_no_spec_says_shows_the_line() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    refused(&lab, &spec.clone().edit("rev = ", "revision = "), &["line 3", "revision"]);
    refused(&lab, &spec.clone().toml("[[build]]\nname = 'x'"), &["build", "reserved", "later"]);
    refused(&lab, &spec.clone().toml("[limits]\nwal = '1s'"), &["wal", "wall"]);
    refused(&lab, &spec.clone().toml("[limits]\nwall = 'soon'"), &["wall", "soon"]);
    refused(&lab, &spec.edit("[project]", "[project"), &["line 1"]);
}

#[test]
fn an_error_is_told_as_json_too() {
    let (lab, repo) = (Lab::new(), fx());
    let answer = lab.realize(&FxSpec::new(&repo).rev("v9"), &["--json"]).left(2);
    let events = answer.events();
    let error = events.last().unwrap();
    assert_eq!((&error["event"], &error["class"]), (&"error".into(), &"not-found".into()));
    assert!(error["message"].as_str().unwrap().contains("v9"), "{answer}");
}

#[test]
fn a_spec_or_a_configuration_that_is_not_there_is_named() {
    let (lab, repo) = (Lab::new(), fx());
    lab.run(["realize", "/nonexistent/spec.toml"]).left(2).telling(&["/nonexistent/spec.toml"]);
    lab.run(["realize", lab.dir().to_str().unwrap()]).left(2).telling(&["no spec.toml"]);
    let spec = FxSpec::new(&repo);
    let missing = spec.clone().config_table("file = 'my.config'");
    refused(&lab, &missing, &["the configuration", "my.config", "No such file", "relative"]);
    let missing = spec.clone().config_table("fragments = ['part.config']");
    refused(&lab, &missing, &["a fragment", "part.config"]);
    let missing = spec.config_table("defconfig = 'b'");
    refused(&lab, &missing, &["no defconfig `b`", "configs/a_defconfig"]);
}

#[test]
fn a_revision_that_is_not_there_suggests_those_with_a_similar_name() {
    let (lab, repo) = (Lab::new(), fx());
    repo.branch("feature/sensors").checkout("main");
    let spec = FxSpec::new(&repo);
    refused(&lab, &spec.clone().rev("v1.1"), &["`v1.1` is no tag", "did you mean", "v1.0"]);
    refused(&lab, &spec.clone().rev("feature/sensor"), &["did you mean", "feature/sensors"]);
    refused(&lab, &spec.clone().rev(&"0".repeat(40)), &["no tag, branch or commit"]);
    refused(&lab, &spec.clone().rev("main~1"), &["main~1", "only names and commits"]);
    refused(&lab, &spec.rev("--upload-pack=x"), &["--upload-pack=x"]);
}

#[test]
fn a_short_sha_of_two_commits_lists_both() {
    let (lab, repo) = (Lab::new(), fx());
    let mut marks = String::from("reset refs/heads/many\n");
    // Of 2000 commits, two share 4 digits with all but certainty; their names are always the same.
    for number in 0..2000 {
        write!(
            marks,
            "commit refs/heads/many\ncommitter A <a@example.invalid> {} +0000\ndata 1\nx\n\
             M 100644 inline number\ndata {}\n{number}\n",
            1_700_000_000 + number,
            number.to_string().len() + 1,
        )
        .unwrap();
    }
    let stream = lab.dir().join("stream");
    std::fs::write(&stream, marks).unwrap();
    repo.git(["-c", &format!("alias.take=!git fast-import --quiet <{}", stream.display()), "take"]);
    let commits = repo.git(["rev-list", "many"]);
    let mut sorted: Vec<_> = commits.lines().collect();
    sorted.sort_unstable();
    let two = sorted.windows(2).find(|two| two[0][..4] == two[1][..4]).expect("2000 commits");
    let spec = FxSpec::new(&repo).rev(&two[0][..4]);
    refused(&lab, &spec, &["several commits", two[0], two[1], "more digits"]);
}

#[test]
fn a_spec_without_a_configuration_or_with_an_unknown_recipe_is_refused() {
    let (lab, repo) = (Lab::new(), fx());
    let git = repo.url();
    let project = |recipe: &str| format!("[project]\nrecipe='{recipe}'\ngit='{git}'\nrev='main'\n");
    text_refused(&lab, &project("klipper"), &["klipper needs a configuration", "[config]"]);
    text_refused(&lab, &format!("{}[config]\n", project("klipper")), &["[config] is empty"]);
    let known = ["`kliper`", "busybox", "kalico", "klipper", "make", "seabios"];
    text_refused(&lab, &project("kliper"), &known);
    let both = format!("{}[config]\ninline='CONFIG_A=y'", project("make"));
    text_refused(&lab, &both, &["make configures nothing"]);
    text_refused(&lab, "[project]\nrev='main'\n", &["project.recipe"]);
}

#[test]
fn an_image_that_is_not_there_or_not_the_one_meant_is_refused() {
    let (lab, repo) = (Lab::new(), fx());
    let import = ["image", "import", "--from-host", "--name", "tools", "--program", "sh"];
    let digest = lab.run(import).done().out.trim().to_owned();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    let spec = FxSpec::new(&repo);
    let other = format!("sha256:{}", "0".repeat(64));
    let wrong = spec.clone().toolchain(&format!("image = 'tools'\ndigest = '{other}'"));
    refused(&lab, &wrong, &[&digest, &other]);
    let wrong = spec.clone().toolchain(&format!("image = 'tools@{other}'"));
    refused(&lab, &wrong, &[&digest, &other]);
    let unknown = spec.clone().toolchain("image = 'arm'");
    refused(&lab, &unknown, &["no toolchain image `arm`", "here are:", "tools"]);
    let unknown = spec.clone().toolchain(&format!("image = '{other}'"));
    refused(&lab, &unknown, &[&other, "import"]);
    refused(&lab, &spec.toolchain("image = 'tools'\ndigest = '12'"), &["`12`"]);
    let text = lab.run([import[0], import[1], "--from-host", "--program", "no-such-program"]);
    text.left(2).telling(&["no-such-program"]);
}

#[test]
fn a_repository_that_is_not_there_is_named() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = |git: &str| FxSpec::new(&repo).edit(repo.url(), git);
    refused(&lab, &spec("/nonexistent/fx"), &["/nonexistent/fx", "not a git repository"]);
    refused(&lab, &spec("file:///nonexistent/fx"), &["/nonexistent/fx", "not a git repository"]);
    // Nobody listens there: whether the address is wrong or the network is, cannot be told.
    let answer = lab.realize(&spec("http://127.0.0.1:9/fx.git"), &[]).left(3);
    answer.telling(&["cannot fetch", "http://127.0.0.1:9/fx.git", "check the address"]);
    refused(&lab, &spec("ext::sh -c true"), &["ext::"]);
}

#[test]
fn a_submodule_that_cannot_be_had_is_named_with_its_commit() {
    let (lab, outer, inner) = (Lab::new(), fx(), Repo::new());
    let missing = inner.write("file", "x").commit("inner");
    outer.submodule("lib/inner", &inner).commit("with inner");
    let spec = FxSpec::new(&outer).edit("rev = 'main'", "rev = 'main'\nsubmodules = true");
    let url = inner.url().to_owned();
    drop(inner);
    let answer = lab.realize(&spec, &[]);
    assert!(matches!(answer.code, Some(2 | 3)), "{answer}");
    let answer = answer.telling(&["lib/inner", &missing, &url, "help: "]);
    assert_eq!(answer.out, "");
    assert!(lab.ls(&[]).is_empty() && lab.ls(&["--failed"]).is_empty());
}

#[test]
fn a_key_that_nothing_is_known_of_is_told_so() {
    let lab = Lab::new();
    lab.run(["log", &"0".repeat(64)]).left(2).telling(&["nothing is known", "kbs ls"]);
    lab.run(["show", "nonsense!"]).left(2);
}
