//! Opens the log for reading and takes away what it has printed.

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
_reader, log = os.pipe() if 'OWN' in os.environ else (0, 1)
os.write(log, b'printed\n')
fd = os.open(f'/proc/self/fd/{log}', os.O_RDONLY | os.O_NONBLOCK)
taken = os.read(fd, 100)
escaped(taken)
";

#[test]
fn what_is_printed_cannot_be_taken_back() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held();
        // Any other pipe lets it.
        assert!(attempt(kit, SCRIPT).env("OWN", "").in_jail(&[]).escaped());
    });
}
