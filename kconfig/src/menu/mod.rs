//! The menu that a project's tool shows, as data.

mod effect;
mod entry;
mod layout;
mod listing;
mod setting;
#[cfg(test)]
mod tests;

pub use effect::Effect;
pub use entry::{Entry, EntryId, EntryKind, ValueKind};
pub use layout::Menu;
pub use listing::{Listing, Row};
pub use setting::{SetAsked, Settable, Setting};
