//! `kbsd`: the build daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    kbs_daemon::helper_main_if_asked();
    kbs_daemon::command(std::env::args_os().collect())
}
