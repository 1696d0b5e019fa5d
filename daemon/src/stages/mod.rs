//! What is done for a request, one verb per file, in the order it is done.

mod asked;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod collect;
mod commit_files;
mod compared;
pub(crate) mod configure;
pub(crate) mod drift;
pub(crate) mod garbage;
pub(crate) mod handed;
pub(crate) mod image;
pub(crate) mod ingest;
pub(crate) mod jail;
pub(crate) mod kconfig;
pub(crate) mod kconfig_shell;
pub(crate) mod kept;
mod left_out;
mod own_tool;
pub(crate) mod past;
pub(crate) mod pin;
pub(crate) mod realize;
pub(crate) mod shell;
pub(crate) mod streams;
pub(crate) mod sync;
pub(crate) mod verdict;
