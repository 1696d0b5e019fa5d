//! The project `fx`: as small as a project with Kconfig can be, and a spec for it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::Repo;

/// Makes the project `fx`: one commit, tagged `v1.0`, on `main`.
///
/// `make` needs sh, make, awk, cat and sleep. It writes `out/fx.bin` (version, `message.txt`,
/// configuration) and `out/fx.txt` (name and version). Symbols: `MACH_A` or `MACH_B`, `MCU`
/// (follows from them), `NAME` (text), `SLEEP` (seconds), `FAIL` (exit status 3 of the recipe's
/// shell, which make turns into its own 2). `configs/a_defconfig` names it `a`.
pub fn fx() -> Repo {
    let repo = Repo::new();
    fx_in(&repo, "");
    repo.commit("fx");
    repo.tag("v1.0");
    repo
}

/// Writes the files of `fx` into a directory of a repository (`""` or ending in `/`); commits nothing.
pub fn fx_in(repo: &Repo, dir: &str) {
    let files = [
        ("Kconfig", include_str!("Kconfig")),
        ("Makefile", include_str!("Makefile")),
        ("message.txt", include_str!("message.txt")),
        ("configs/a_defconfig", include_str!("a_defconfig")),
        // The example firmware's: one program for the whole repository.
        (
            "scripts/olddefconfig",
            include_str!("../../../../examples/hello/firmware/scripts/olddefconfig"),
        ),
    ];
    for (name, text) in files {
        repo.write(&format!("{dir}{name}"), text);
    }
}

/// A spec for `fx`, made to be changed one thing at a time.
#[derive(Debug, Clone)]
pub struct FxSpec {
    git: String,
    rev: String,
    config: Config,
    toolchain: String,
    extra: String,
    edits: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
enum Config {
    Lines(Vec<String>),
    Table(String),
}

impl FxSpec {
    /// The head of `main` with every symbol at its default, in the image `host`.
    pub fn new(repo: &Repo) -> Self {
        Self {
            git: repo.url().to_owned(),
            rev: "main".to_owned(),
            config: Config::Lines(Vec::new()),
            toolchain: "image = \"host\"".to_owned(),
            extra: String::new(),
            edits: Vec::new(),
        }
    }

    /// Asks for another tag, branch or commit.
    #[must_use]
    pub fn rev(mut self, rev: &str) -> Self {
        rev.clone_into(&mut self.rev);
        self
    }

    /// Adds a line of configuration, `CONFIG_FAIL=y`.
    #[must_use]
    pub fn config(mut self, line: &str) -> Self {
        match &mut self.config {
            Config::Lines(lines) => lines.push(line.to_owned()),
            Config::Table(_) => panic!("the configuration is a table already"),
        }
        self
    }

    /// Replaces the inside of the `[config]` table: `defconfig = "a"`.
    #[must_use]
    pub fn config_table(mut self, toml: &str) -> Self {
        self.config = Config::Table(toml.to_owned());
        self
    }

    /// Replaces the inside of the `[toolchain]` table: `image = "arm"`.
    #[must_use]
    pub fn toolchain(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.toolchain);
        self
    }

    /// Adds TOML at the end: whole tables, `[limits]` or `[recipe.source]`.
    #[must_use]
    pub fn toml(mut self, tables: &str) -> Self {
        self.extra.push_str(tables);
        self.extra.push('\n');
        self
    }

    /// Replaces text of `spec.toml` that no other method reaches.
    ///
    /// Panics in [`FxSpec::text`] when `from` is not there once.
    #[must_use]
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.to_owned(), to.to_owned()));
        self
    }

    /// The text of `spec.toml`.
    pub fn text(&self) -> String {
        let Self { git, rev, config, toolchain, extra, edits } = self;
        let mut text = format!("[project]\ngit = '{git}'\nrev = '{rev}'\n\n[config]\n");
        match config {
            Config::Lines(lines) => {
                text.push_str("inline = '''\n");
                for line in lines {
                    text.push_str(line);
                    text.push('\n');
                }
                text.push_str("'''\n");
            }
            Config::Table(toml) => {
                text.push_str(toml);
                text.push('\n');
            }
        }
        write!(text, "\n[toolchain]\n{toolchain}\n\n{}\n{extra}", include_str!("recipe.toml"))
            .expect("writing to a string cannot fail");
        for (from, to) in edits {
            assert_eq!(text.matches(from).count(), 1, "`{from}` in\n{text}");
            text = text.replace(from, to);
        }
        text
    }

    /// Writes `NAME.toml` into a directory and returns its path.
    pub fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(name).with_extension("toml");
        std::fs::write(&path, self.text())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Output};

    fn make(repo: &Repo, config: &str) -> Output {
        repo.write(".config", config);
        let in_repo = |args: &[&str]| {
            Command::new(args[0])
                .args(&args[1..])
                .current_dir(repo.path())
                .env_clear()
                .env("PATH", "/usr/local/bin:/usr/bin:/bin")
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .output()
                .unwrap()
        };
        let configured = in_repo(&["make", "olddefconfig"]);
        assert!(configured.status.success(), "{configured:?}");
        in_repo(&["make"])
    }

    fn read(repo: &Repo, path: &str) -> String {
        std::fs::read_to_string(repo.path().join(path)).unwrap()
    }

    #[test]
    fn it_builds_by_hand_and_carries_its_version() {
        let repo = fx();
        let made = make(&repo, "CONFIG_NAME=\"me\"\nCONFIG_NOPE=y\n");
        assert!(made.status.success(), "{made:?}");
        let version = repo.describe();
        assert_eq!(read(&repo, "out/fx.txt"), format!("name: me\nversion: {version}\n"));
        let normalised = "CONFIG_MACH_A=y\n# CONFIG_MACH_B is not set\nCONFIG_MCU=\"a\"\n\
                          CONFIG_NAME=\"me\"\nCONFIG_SLEEP=0\n# CONFIG_FAIL is not set\n";
        assert_eq!(
            read(&repo, "out/fx.bin"),
            format!("{version}\nThe message of fx.\n{normalised}")
        );
    }

    #[test]
    fn it_fails_when_asked() {
        let repo = fx();
        let made = make(&repo, "CONFIG_FAIL=y\n");
        assert!(!made.status.success());
        let log = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(log.contains("failing as asked") && log.contains("Error 3"), "{log}");
        assert!(!repo.path().join("out/fx.bin").exists());
    }

    #[test]
    fn its_spec_is_one_that_kbs_reads() {
        let repo = fx();
        let read_none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let parse = |spec: &FxSpec| {
            kbs_plan::spec::Spec::read(&spec.text(), &read_none, &str::to_owned).unwrap()
        };
        let spec = FxSpec::new(&repo).rev("v1.0").config("CONFIG_SLEEP=2");
        let read = parse(&spec);
        assert_eq!(read.rev, "v1.0");
        assert_eq!(read.config.unwrap().base.unwrap().text, "CONFIG_SLEEP=2\n");
        let by_name = FxSpec::new(&repo).config_table("defconfig = 'a'").toml("[limits]");
        assert_eq!(parse(&by_name).config.unwrap().defconfig.as_deref(), Some("a"));
        assert_eq!(parse(&by_name).resolve_recipe().unwrap().name, "fx");
    }
}
