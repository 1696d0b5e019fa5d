//! What is left of the machine for everybody.

use std::fs;

/// The part of the memory that stays free, and the most that does.
const MEMORY_SHARE: u64 = 50;
const MEMORY_MOST_KIB: u64 = 512 << 10;

/// Whether the machine has almost no memory left.
pub(crate) fn memory_is_low() -> bool {
    fs::read_to_string("/proc/meminfo").is_ok_and(|info| is_low(&info))
}

/// Whether `/proc/meminfo` (`proc_meminfo(5)`) tells of almost none.
fn is_low(info: &str) -> bool {
    let field = |name: &str| -> Option<u64> {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line?.split_ascii_whitespace().next()?.parse().ok()
    };
    let known = field("MemTotal").zip(field("MemAvailable"));
    known.is_some_and(|(all, left)| left < (all / MEMORY_SHARE).min(MEMORY_MOST_KIB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_low_when_a_fiftieth_is_left() {
        let info = |all: u64, left: u64| {
            is_low(&format!("MemTotal: {all} kB\nMemFree: 1 kB\nMemAvailable: {left} kB\n"))
        };
        assert!(info(1_000_000, 19_000) && !info(1_000_000, 21_000));
        assert!(info(1 << 30, 500 << 10) && !info(1 << 30, 600 << 10));
        assert!(!is_low("") && !is_low("MemTotal: x kB"));
    }
}
