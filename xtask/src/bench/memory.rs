//! What a process keeps in memory.

use std::path::Path;

use crate::Failure;

/// Resident bytes of a process that are its own or files' (`RssAnon` + `RssFile`), shared memory not
/// counted.
pub(crate) fn resident_b(pid: u32) -> Result<u64, Failure> {
    let path = Path::new("/proc").join(pid.to_string()).join("status");
    let status = std::fs::read_to_string(path)?;
    Ok(kib(&status, "RssAnon:")? * 1024 + kib(&status, "RssFile:")? * 1024)
}

/// A number of a `status` file, in KiB.
pub(crate) fn kib(status: &str, field: &str) -> Result<u64, Failure> {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("the kernel shows no {field}"))?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_some_memory() {
        let taken = resident_b(std::process::id()).unwrap();
        assert!((100 << 10..1 << 32).contains(&taken), "{taken}");
    }
}
