//! The command line.

use std::path::PathBuf;

use clap::{ArgAction, Parser};

use crate::cmd::Command;
use crate::ui::Color;

/// Build firmware and kernels: the same bytes on every machine, built once
///
/// A spec names a project at a commit, a configuration and a toolchain image; `kbs realize` hands
/// out what they make, from the store where it is there already. Answers go to stdout, everything
/// else to stderr.
#[derive(Debug, Parser)]
#[command(name = "kbs", version, max_term_width = 100, after_long_help = EXIT_STATUS)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0   done
  1   the build failed
  2   the request is wrong, or names what does not exist
  3   the host, the network or the daemon
  4   cancelled
  70  a bug in kbs";

/// Options that every command takes
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[expect(clippy::doc_markdown, reason = "doc comments are the help texts")]
pub(crate) struct Global {
    /// Keep everything in this directory, and use the daemon that does [env: KBS_STATE]
    #[arg(long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// Use the daemon on this socket, and start none [env: KBS_SOCKET]
    #[arg(long, global = true, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
    /// Do the daemon's work in this process
    #[arg(long, global = true, conflicts_with = "socket")]
    pub(crate) no_daemon: bool,
    /// Answer with one JSON object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but answers, warnings and errors
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// When to use colours; `auto` heeds NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definition_is_sound() {
        Args::command().debug_assert();
    }

    /// The help page of `command` and of everything below it.
    fn pages(command: &mut clap::Command, path: &str, pages: &mut Vec<(String, String)>) {
        pages.push((path.to_owned(), command.render_long_help().to_string()));
        let names: Vec<_> =
            command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for name in names {
            let sub = command.find_subcommand_mut(&name).unwrap();
            self::pages(sub, &format!("{path} {name}"), pages);
        }
    }

    #[test]
    fn help_pages_read_as_recorded() {
        let mut command = Args::command().term_width(100);
        command.build();
        let mut all = Vec::new();
        pages(&mut command, "kbs", &mut all);
        // Every page ends with the same options; they are recorded once.
        let own = |(path, page): &(String, String)| {
            let own = page.split("\nGlobal options:\n").next().unwrap_or_default();
            format!("$ {path} --help\n{}", if path == "kbs" { page } else { own })
        };
        let recorded: Vec<_> = all.iter().map(own).collect();
        insta::assert_snapshot!("help", recorded.join("\n"));
    }

    #[test]
    fn first_help_lines_are_imperative_and_without_a_period() {
        fn check(command: &clap::Command) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && !about.ends_with('.'), "{}: {about}", command.get_name());
            assert!(about.starts_with(char::is_uppercase), "{}: {about}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Args::command());
    }
}
