//! Opens a file of the host by its handle, which no path and no mount restricts.

use std::os::unix::fs::MetadataExt;

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import struct
def handle_of(path):
    handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
    mount = ctypes.c_int()
    call(NR['name_to_handle_at'], -100, path.encode(), handle, ctypes.byref(mount), 0)
    return handle
handle = handle_of(os.environ['FILE'])
place = os.open(os.path.dirname(os.environ['FILE']), os.O_RDONLY)
fd = call(NR['open_by_handle_at'], place, handle, os.O_RDONLY)
escaped(os.read(fd, 100))
";

const NAME: &str = r"
import struct
handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
mount = ctypes.c_int()
call(NR['name_to_handle_at'], -100, b'/build/in/file', handle, ctypes.byref(mount), 0)
escaped('a handle')
";

#[test]
fn no_file_has_a_handle() {
    as_each_user(|kit| {
        let dir = kit.make_dir("input");
        let file = kit.make_file("input/file", "");
        assert!(file.metadata().unwrap().ino() > 0);
        attempt(kit, NAME).input(&file, "/build/in/file").held_by(&[Wall::Filter]);
        // The kernel asks for a capability over the whole file system besides.
        let open = attempt(kit, SCRIPT).env_path("FILE", &file).input(&dir, "/build/in");
        if kit.uid() == 0 {
            open.held_even_without(&[]);
        }
        open.env("FILE", "/build/in/file").held();
    });
}
