//! Opens the memory, root and descriptors of the jail's first process, which was there before the
//! jail was shut.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
tried = {
    'mem': lambda path: open(path, 'rb'),
    'environ': lambda path: open(path).read(),
    'fd': os.listdir,
    'root': lambda path: os.listdir(path),
    'cwd': os.readlink,
    'exe': os.readlink,
    'ns/mnt': os.readlink,
    'maps': lambda path: open(path).read(),
}
for name, look in tried.items():
    try:
        look(f'/proc/1/{name}')
    except OSError:
        continue
    escaped(name)
held('shut')
";

#[test]
fn the_first_process_cannot_be_looked_into() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held_by(&[Wall::FirstUntraced]);
    });
}
