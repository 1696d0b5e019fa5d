//! A memory segment of the host.

use std::process::Command;

use crate::{attempt::attempt, kit::Kit};

pub(crate) struct Segment {
    key: i32,
}

impl Segment {
    /// Makes one that belongs to the jail's user.
    pub(crate) fn new(kit: &Kit, key: i32) -> Self {
        let script = format!("call(NR['shmget'], {key}, 4096, 0o1600); escaped('made')");
        assert!(attempt(kit, &script).host_can());
        Self { key }
    }

    pub(crate) fn key(&self) -> i32 {
        self.key
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let key = format!("0x{:x}", self.key);
        let removed = Command::new("ipcrm").args(["-M", &key]).status();
        assert!(removed.is_ok_and(|status| status.success()), "the segment {key} is left");
    }
}
