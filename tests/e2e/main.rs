//! Spec in, firmware out: the `kbs` binary and the daemon that it starts, seen from outside.

#![expect(clippy::unwrap_used, reason = "all of this is tests, which end where they are surprised")]

mod checkout;
mod client;
mod collected;
mod config;
mod crash;
mod degraded;
mod deliver;
mod equal;
mod failed;
mod fulldisk;
mod heavy;
mod hostile;
mod kconfig;
mod killed;
mod klipper;
mod lab;
mod lifetime;
mod looked_up;
mod menuconfig;
mod operator;
mod past;
mod place;
mod plain;
mod processes;
mod refused;
mod reuse;
mod rooted;
mod same;
mod session;
mod shell;
mod together;
mod unrecorded;
mod usage;
mod verified;
mod version;

use std::io::Write as _;

/// Says, where nothing swallows it, that a promise could not be tried here.
pub(crate) fn skip(why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {why}").expect("stderr is open");
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
