//! Makes a file that seems to be larger than the disk.

use kbs_sandbox::Scratch;

use crate::{appetite::fits, attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fd = os.open('/build/out/sparse', os.O_CREAT | os.O_RDWR)
os.ftruncate(fd, 10 << 30)
os.pwrite(fd, b'x', (10 << 30) - 1)
";

/// In memory only what is written counts; on disk no file is longer than all of them may be.
#[test]
fn a_sparse_file_is_as_large_as_what_was_written() {
    as_each_user(|kit| {
        fits(kit, SCRIPT, |spec| spec.limits.scratch_b = 20 << 20);
        let scratch = kit.make_dir("scratch");
        let script = format!("{SCRIPT}\nescaped('made')");
        let mut spec = attempt(kit, &script).spec(&[]);
        spec.limits.scratch_b = 20 << 20;
        spec.scratch = Scratch::Directory(scratch);
        assert_eq!(kit.run(&spec).log, "held: EFBIG\n");
    });
}
