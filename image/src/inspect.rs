//! What an unpacked root file system is good for: best effort, for people and for defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::host::dpkg::Packages;
use crate::host::elf;
use crate::rooted::Rooted;

const PROGRAM_DIRS: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/sbin"];
/// Programs that every root file system has one of, looked at for their machine.
const TELLTALES: [&str; 7] = [
    "/bin/sh",
    "/bin/busybox",
    "/usr/bin/env",
    "/usr/bin/make",
    "/usr/bin/gcc",
    "/usr/bin/python3",
    "/sbin/ldconfig",
];
const TOOLS: [&str; 18] = [
    "bison", "cc", "clang", "cmake", "cpio", "dtc", "flex", "g++", "gcc", "git", "go", "iasl",
    "ld.lld", "make", "ninja", "perl", "python3", "rustc",
];
const TOOL_ENDINGS: [&str; 5] = ["-gcc", "-g++", "-ld", "-as", "-objcopy"];
/// A `status` file of ten thousand packages has about 10 MiB.
const STATUS_MAX_B: u64 = 64 << 20;

/// The machine that the programs are for, in OCI's words; `unknown` where none is found.
///
/// A function of the files alone: it is part of what the digest covers.
pub(crate) fn architecture(rootfs: &Path) -> String {
    let rooted = Rooted::new(rootfs);
    TELLTALES
        .iter()
        .filter_map(|program| rooted.resolve(program).ok())
        .find_map(|found| elf::architecture(&rooted.full(&found.path)))
        .unwrap_or("unknown")
        .to_owned()
}

/// Compilers, interpreters and build programs, by file name.
pub(crate) fn programs(rootfs: &Path) -> Vec<String> {
    let rooted = Rooted::new(rootfs);
    let mut found = BTreeSet::new();
    for dir in PROGRAM_DIRS.iter().filter_map(|dir| rooted.resolve(dir).ok()) {
        let entries = fs::read_dir(rooted.full(&dir.path)).into_iter().flatten().flatten();
        found.extend(entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(
            |name| {
                TOOLS.contains(&name.as_str())
                    || TOOL_ENDINGS.iter().any(|ending| name.ends_with(ending))
            },
        ));
    }
    found.into_iter().collect()
}

/// The Debian packages that are installed in it, with their versions.
pub(crate) fn packages(rootfs: &Path) -> BTreeMap<String, String> {
    let rooted = Rooted::new(rootfs);
    let text = rooted.resolve("/var/lib/dpkg/status").and_then(|found| {
        let mut text = String::new();
        File::open(rooted.full(&found.path))?.take(STATUS_MAX_B).read_to_string(&mut text)?;
        Ok(text)
    });
    text.map(|text| Packages::parse(&text).versions()).unwrap_or_default()
}
