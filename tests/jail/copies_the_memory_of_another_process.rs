//! Copies memory of another process of the same jail.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import struct
r, w = os.pipe()
secret = ctypes.create_string_buffer(b'secret')
child = os.fork()
if child == 0:
    os.close(w)
    os.read(r, 1)
    os._exit(0)
place = ctypes.create_string_buffer(6)
iovec = lambda buffer: struct.pack('QQ', ctypes.addressof(buffer), 6)
call(NR['process_vm_' + os.environ['HOW']], child, iovec(place), 1, iovec(secret), 1, 0)
escaped('copied')
";

#[test]
fn no_process_copies_anothers_memory() {
    as_each_user(|kit| {
        for how in ["readv", "writev"] {
            attempt(kit, SCRIPT).env("HOW", how).held_by(&[Wall::Filter]);
        }
    });
}
