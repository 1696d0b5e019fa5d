//! Changes a file of the host by the way up from the root.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
os.write(os.open('/..' + os.environ['FILE'], os.O_WRONLY), b'changed')
escaped('changed')
";

#[test]
fn the_hosts_files_cannot_be_changed() {
    as_each_user(|kit| {
        let file = kit.make_file("file", "as it was");
        attempt(kit, SCRIPT)
            .env_path("FILE", &file)
            .entry_by_entry()
            .held_by(&[Wall::OldRoot, Wall::Landlock]);
    });
}
