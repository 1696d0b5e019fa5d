//! Goes up from the root, and from every open directory and working directory.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
secret = os.environ['SECRET']
for start in ['/', '.', '/build/src', '/build/out', '/tmp', '/proc', '/proc/self/cwd', '/proc/self/root']:
    for up in range(1, 6):
        path = start + '/..' * up
        if os.path.exists(path + secret):
            escaped(path)
held('there is nothing above')
";

#[test]
fn there_is_nothing_above_the_root() {
    as_each_user(|kit| {
        let file = kit.make_file("secret", "");
        attempt(kit, SCRIPT).env_path("SECRET", &file).entry_by_entry().held_by(&[Wall::OldRoot]);
    });
}
