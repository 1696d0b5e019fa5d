//! Copies memory of a process of the host that belongs to the same user, by the system call.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, victim::Victim};

const SCRIPT: &str = r"
import struct
place = ctypes.create_string_buffer(16)
here = struct.pack('QQ', ctypes.addressof(place), 16)
there = struct.pack('QQ', 0x1000, 16)
try:
    call(NR['process_vm_readv'], int(os.environ['PID']), here, 1, there, 1, 0)
except OSError as error:
    # Nothing is there, but it has looked.
    if error.errno != errno.EFAULT:
        raise
escaped('copied')
";

#[test]
fn the_memory_of_the_daemon_cannot_be_copied() {
    as_each_user(|kit| {
        let victim = Victim::start(kit);
        let attempt = attempt(kit, SCRIPT).env("PID", victim.pid());
        attempt.held_even_without(&[
            Wall::PidNamespace,
            Wall::Proc,
            Wall::Filter,
            Wall::Landlock,
            Wall::Capabilities,
        ]);
    });
}
