//! `kbs menuconfig`: the menu of a project on the terminal.
//!
//! A pure machine takes keys and tells what to draw and what to do ([`update`], [`state`]); a thin
//! shell around it has the terminal and the files ([`screen`], [`disk`]).

mod disk;
mod edit;
mod event;
mod lookup;
mod screen;
mod script;
mod search;
mod state;
mod update;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use disk::Disk;
pub(crate) use lookup::LookUp;
pub(crate) use screen::{Left, Mouse, sit};
pub(crate) use script::{Script, run as run_script};
pub(crate) use state::{Origin, State};
pub(crate) use view::Theme;
