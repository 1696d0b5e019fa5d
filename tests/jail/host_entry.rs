//! An entry of the host's `/proc`, `/sys` or `/dev`.

use crate::{
    attempt::{Attempt, attempt},
    kit::Kit,
};

/// Looks for an entry at its place and above the root.
pub(crate) fn finds<'a>(kit: &'a Kit, path: &str) -> Attempt<'a> {
    const SCRIPT: &str = r"
for root in ('', '/..'):
    if os.path.exists(root + os.environ['ENTRY']):
        escaped(root)
held('not there')
";
    attempt(kit, SCRIPT).env("ENTRY", path).entry_by_entry()
}
