//! The build daemon: owns every effect.
//!
//! Layer: shell. Async at the sockets; every request runs sync on a thread of its own.

mod command;
mod config;
mod contract;
mod engine;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod problem;
mod serve;
mod service;
mod stages;

pub use command::{Arguments, command};
pub use config::{Config, ConfigError, Index, Upkeep};
pub use kbs_sandbox::helper_main_if_asked;
pub use problem::Problem;
pub use serve::{InProcess, StartError, in_process};
