//! Fills message queues of the newer kind, whose memory belongs to no process.

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import struct
held_bytes = 0
try:
    for number in range(1000):
        attributes = struct.pack('8q', 0, 10, 8192, 0, 0, 0, 0, 0)
        call(NR['mq_open'], f'q{number}'.encode(), os.O_CREAT | os.O_RDWR, 0o600, attributes)
        held_bytes += 10 * 8192
except OSError as error:
    if held_bytes <= 1 << 20:
        held(held_bytes)
escaped(held_bytes)
";

/// The limit is what kernels begin with, so leaving it out changes nothing.
#[test]
fn message_queues_are_limited() {
    as_each_user(|kit| attempt(kit, SCRIPT).held());
}
