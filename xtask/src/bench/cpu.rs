//! CPU time of processes.

use std::time::Duration;

use crate::Failure;

/// One clock tick of `/proc`, on every Linux there is.
const TICK: Duration = Duration::from_millis(10);

/// CPU time, in user mode and in the kernel, of all children that this process has waited for, and
/// of theirs.
pub(crate) fn of_children() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    children(&stat).ok_or_else(|| format!("/proc/self/stat has another form: {stat}").into())
}

/// Fields 16 and 17 of `proc_pid_stat(5)`; the second is a name in parentheses.
fn children(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(13);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user + TICK * system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_children_s_times_are_read_past_any_name() {
        let stat = "7 (a) 1 2) S 1 7 7 0 -1 4194304 100 200 0 0 150 25 50 75 20 0 3 0 1 2 3";
        assert_eq!(children(stat), Some(Duration::from_millis(1250)));
        assert_eq!(children("7 (a) S 1 2 3"), None);
        assert!(of_children().is_ok());
    }
}
