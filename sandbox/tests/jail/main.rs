//! Jails on the running kernel, with the host's own root as the image.
//!
//! Every promise is kept for an ordinary user; when the tests run as root, for root as well.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod again;
mod kit;
mod layers;
mod life;
mod results;
mod view;
mod walls;
