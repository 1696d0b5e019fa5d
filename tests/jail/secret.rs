//! A file of the host that no jail was given.

use crate::{
    attempt::{Attempt, attempt},
    kit::Kit,
};

/// Reads the file named by `SECRET` at its place, and above the root, where the host's root lies as
/// long as it is not taken away.
const READ: &str = r"
try:
    escaped(open(os.environ['SECRET']).read())
except FileNotFoundError:
    escaped(open('/..' + os.environ['SECRET']).read())
";

/// Reads a file of this name, which lies beside the image.
pub(crate) fn reads_beside_the_image<'a>(kit: &'a Kit, name: &str) -> Attempt<'a> {
    let file = kit.make_file(name, "secret");
    attempt(kit, READ).env_path("SECRET", &file).entry_by_entry()
}

/// Reads a file of the host.
pub(crate) fn reads<'a>(kit: &'a Kit, path: &str) -> Attempt<'a> {
    attempt(kit, READ).env("SECRET", path).only_this_image().entry_by_entry()
}
