//! Man pages and shell completions, as packages ship them.

use std::process::Command;

use crate::{Failure, binaries};

const SHELLS: &[(&str, &str)] = &[("bash", "kbs.bash"), ("fish", "kbs.fish"), ("zsh", "_kbs")];

/// Writes them beside the release binaries and returns the two directories, one per line.
pub(crate) fn run() -> Result<String, Failure> {
    let kbs = binaries::release()?;
    let into = kbs.parent().ok_or("a program is in a directory")?.join("share");
    let (pages, completions) = (into.join("man/man1"), into.join("completions"));
    std::fs::create_dir_all(&pages)?;
    std::fs::create_dir_all(&completions)?;

    print(Command::new(&kbs).args(["man", "--dir"]).arg(&pages))?;
    for (shell, name) in SHELLS {
        let script = print(Command::new(&kbs).args(["completion", shell]))?;
        std::fs::write(completions.join(name), script)?;
    }
    Ok(format!("{}\n{}\n", pages.display(), completions.display()))
}

/// What a command prints.
fn print(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let output = command.output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{command:?} failed: {why}").into())
    }
}
