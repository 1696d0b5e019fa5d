//! Puts pages into a pipe, where they stay when the process has let them go.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
reader, writer = os.pipe()
page = ctypes.create_string_buffer(4096)
class Vector(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
vector = Vector(ctypes.addressof(page), 4096)
call(NR['vmsplice'], writer, ctypes.byref(vector), 1, 0)
escaped('pinned')
";

#[test]
fn no_page_stays_when_its_process_is_gone() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter]));
}
