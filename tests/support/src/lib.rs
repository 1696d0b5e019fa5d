//! Small git repositories, a small firmware project and scratch state for the tests of other rooms.
//!
//! Layer: tests. Everything here panics with a message where a product would return an error.

mod corpus;
mod fx;
mod repo;
mod state;

pub use corpus::corpus;
pub use fx::{FxSpec, fx, fx_in};
pub use repo::Repo;
pub use state::TempState;
