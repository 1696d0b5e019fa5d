//! Makes system calls by the two other interfaces that an x86-64 kernel may have, whose numbers mean
//! other calls.
#![cfg(target_arch = "x86_64")]

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

/// Number 20 is `getpid` there; the bytes are `mov eax, 20; int 0x80; ret`.
const OLD: &str = r"
import mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b'\xb8\x14\x00\x00\x00\xcd\x80\xc3')
function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
child = os.fork()
if child == 0:
    os._exit(0 if function() == os.getpid() else 1)
_, status = os.waitpid(child, 0)
if os.WIFSIGNALED(status):
    held(os.WTERMSIG(status))
escaped(os.waitstatus_to_exitcode(status))
";

const X32: &str = r"
call(NR['getpid'] | 1 << 30)
escaped('called')
";

#[test]
fn there_is_one_interface_of_calls() {
    as_each_user(|kit| {
        for script in [OLD, X32] {
            let attempt = attempt(kit, script);
            attempt.held();
            if attempt.host_can() {
                attempt.held_by(&[Wall::Filter]);
            }
        }
    });
}
