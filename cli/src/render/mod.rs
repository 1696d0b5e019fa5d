//! From messages to text and JSON.

pub(crate) mod explain;
pub(crate) mod explain_json;
pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod table;
pub(crate) mod text;
