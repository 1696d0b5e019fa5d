//! The source store against small repositories made by git, and against git's own answers.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail, and say what they skip")]

mod changes;
mod describe;
mod fixture;
mod history;
mod hostile;
mod klipper;
mod resolve;
mod select;
mod submodules;
mod sync;
