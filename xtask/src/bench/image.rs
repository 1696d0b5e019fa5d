//! A root file system with one program in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;

/// Where the program is, on the host and in the image.
pub(crate) const TRUE: &str = "/usr/bin/true";

/// Makes `root` a root file system that can run [`TRUE`].
pub(crate) fn make(root: &Path) -> Result<(), Failure> {
    // Where sandboxes other than ours want to mount.
    for dir in ["dev", "etc", "proc", "run", "sys", "tmp"] {
        std::fs::create_dir_all(root.join(dir))?;
    }
    let listed = Command::new("ldd").arg(TRUE).output()?;
    let mut files = libraries(&String::from_utf8(listed.stdout)?);
    files.push(TRUE.into());
    for file in files {
        let copy = root.join(file.strip_prefix("/")?);
        std::fs::create_dir_all(copy.parent().ok_or("a file is in a directory")?)?;
        std::fs::copy(&file, copy)?;
    }
    Ok(())
}

/// The files that `ldd` names; none for a static program.
fn libraries(listed: &str) -> Vec<PathBuf> {
    let words = listed.lines().filter_map(|line| {
        line.split_ascii_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from)
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                      \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f00)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f11)\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(libraries(listed), expected.map(PathBuf::from));
        assert_eq!(libraries("\tnot a dynamic executable\n"), Vec::<PathBuf>::new());
    }
}
