//! Changes the mode of a file of the host by the way up from the root; Landlock has no word on modes.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
os.chmod('/..' + os.environ['FILE'], 0o666)
escaped('changed')
";

#[test]
fn the_modes_of_the_hosts_files_cannot_be_changed() {
    as_each_user(|kit| {
        let file = kit.make_file("file", "");
        attempt(kit, SCRIPT).env_path("FILE", &file).entry_by_entry().held_by(&[Wall::OldRoot]);
    });
}
