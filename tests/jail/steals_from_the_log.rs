//! Opens the log for reading and takes away what it has printed.

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
os.write(1, b'printed\n')
fd = os.open('/proc/self/fd/1', os.O_RDONLY | os.O_NONBLOCK)
taken = os.read(fd, 100)
escaped(taken)
";

#[test]
fn what_is_printed_cannot_be_taken_back() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held();
        // A plain pipe, as the script's output is outside, lets it.
        assert!(attempt(kit, SCRIPT).host_can() || kit.uid() != 0);
    });
}
