//! `kbs menuconfig` at a terminal of its own, which a person's keys arrive at.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod klipper;
mod little;
mod terminal;
mod unattended;
