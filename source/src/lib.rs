//! Git through gix: a ref becomes a commit, a version and a tree.
//!
//! Layer: shell. One bare repository holds every project; what a project's refs were at its last
//! sync is read from its record, so that a fetch under way is never seen half done. The `git`
//! program is run to fetch and to pack, never to read for a build.

mod changes;
mod count;
mod describe;
mod git;
mod history;
mod layers;
mod lock;
mod mirror;
mod objects;
mod oid;
mod patterns;
mod project;
mod record;
mod refs;
mod resolve;
mod select;
mod submodules;
mod sync;
mod url;

pub use changes::{Change, ChangedFile, Reach};
pub use describe::Abbrev;
pub use git::GitFailure;
pub use history::HistoryError;
pub use layers::{LAYERS_MAX, Layer, LayerId, LayerKind};
pub use mirror::{Existing, Mirror, MirrorError};
pub use objects::ReadError;
pub use oid::{AnyOid, BlobOid, CommitId, OidError};
pub use patterns::{PathPatterns, PatternError};
pub use project::{ProjectName, ProjectNameError};
pub use record::{ProjectRecord, RefEntry, RefKind};
pub use resolve::{ResolveError, Resolved, RevKind};
pub use select::{Item, ItemKind, SelectError, Selected, Selection, SelectionId, Submodules};
pub use submodules::SubmodulesSynced;
pub use sync::{Staleness, SyncError, Synced};
pub use url::{SourceUrl, UrlError};
