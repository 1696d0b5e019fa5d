//! The same source built by hand: `make` at the constant path of every build, without kbs.

use std::path::Path;
use std::process::Command;

use crate::lab::answer;

/// Runs a script with `src` at `/build/src`, in a mount namespace of its own; only root may.
pub(crate) fn make_at_build_src(src: &Path, epoch: &str, script: &str) {
    let script = format!(
        "set -e; mkdir -p /build; mount -t tmpfs none /build; mkdir /build/src /build/home\n\
         mount --bind {} /build/src; cd /build/src; umask 022\n{script}",
        src.display()
    );
    let mut make = Command::new("unshare");
    make.args(["--mount", "--uts", "setarch", "-R", "sh", "-c", &script]).env_clear();
    make.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/build/home")
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .env("SOURCE_DATE_EPOCH", epoch)
        .env("KBUILD_BUILD_USER", "kbs")
        .env("KBUILD_BUILD_HOST", "kbs");
    answer(&mut make).done();
}

/// Compares artifacts of an output with those that make left.
#[track_caller]
pub(crate) fn equal(output: &Path, made: &Path, names: &[&str]) {
    for name in names {
        let [ours, theirs] = [output, made].map(|dir| {
            let path = dir.join(name);
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        });
        let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
        let (ours_b, theirs_b) = (ours.len(), theirs.len());
        assert!(ours == theirs, "{name}: {ours_b} and {theirs_b} bytes, equal up to {at}");
    }
}
