//! The `kbs` command.
//!
//! Layer: shell. Asks a daemon, shows what it answers; answers go to stdout, all else to stderr.

mod args;
mod cmd;
mod connect;
mod deliver;
mod env;
mod error;
mod exit;
mod follow;
mod kconfig;
mod key;
mod menuconfig;
mod place;
mod render;
mod spec;
mod start;
mod terminal;
mod ui;
mod upload;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::env::Env;
use crate::exit::Exit;
use crate::ui::Ui;

fn main() -> ExitCode {
    kbs_daemon::helper_main_if_asked();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return told_by_clap(&error),
    };
    let env = Env::read();
    let mut ui = Ui::new(&args.global, &env);
    match cmd::run(args, &env, &mut ui) {
        Ok(code) => code,
        Err(error) => {
            let exit = error.exit();
            ui.error(&error);
            exit.into()
        }
    }
}

/// Help and version are answers, everything else is a wrong request.
fn told_by_clap(error: &clap::Error) -> ExitCode {
    // A reader that went away is nobody's mistake.
    error.print().ok();
    if error.use_stderr() { Exit::Request.into() } else { Exit::Done.into() }
}
