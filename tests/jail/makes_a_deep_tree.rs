//! Makes directories in directories, deeper than any path reaches.

use crate::{appetite::fits, kit::as_each_user};

const SCRIPT: &str = r"
os.chdir('/build/out')
for _ in range(3000):
    os.mkdir('d')
    os.chdir('d')
open('file', 'w').write('deep')
";

/// On disk it must be removed as well, which is another test's promise.
#[test]
fn a_deep_tree_is_as_good_as_a_flat_one() {
    as_each_user(|kit| fits(kit, SCRIPT, |_| ()));
}
