//! Real projects of the distribution: built, and equal to what a plain make of the same tree makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use kbs_testkit::Repo;

use crate::lab::{Lab, answer, names};
use crate::{is_root, skip};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A source package of Debian as a repository with the tag `v1`; `None`, and said loudly, where it
/// cannot be had.
fn package(name: &str) -> Option<Repo> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian");
    let mut fetch = Command::new(format!("{ROOT}/scripts/debian-sources"));
    let fetched = answer(fetch.arg(name).arg(&place));
    match fetched.code {
        Some(0) => {}
        Some(3) => {
            skip(&format!("the source of {name} is not to be had here\n{}", fetched.err));
            return None;
        }
        _ => panic!("{fetched}"),
    }
    let repo = Repo::new();
    repo.copy_from(Path::new(fetched.out.trim()));
    // What a package ignores for its own repository is still part of its source.
    repo.git(["add", "--all", "--force"]);
    repo.commit(name);
    repo.tag("v1");
    Some(repo)
}

/// Runs a script in a copy of the tree at `/build/src`, the constant path of every build, and
/// returns the directory of the copy.
fn plainly(repo: &Repo, rev: &str, script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (epoch, src) =
        (repo.git(["show", "--no-patch", "--format=%ct", rev]), dir.path().join("s"));
    repo.git(["clone", "--quiet", ".", src.to_str().unwrap()]);
    answer(Command::new("git").arg("-C").arg(&src).args(["checkout", "--quiet", rev])).done();
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
        .env("SOURCE_DATE_EPOCH", epoch.lines().last().unwrap())
        .env("KBUILD_BUILD_USER", "kbs")
        .env("KBUILD_BUILD_HOST", "kbs");
    answer(&mut make).done();
    dir
}

/// Compares artifacts of an output with those of a plain make.
#[track_caller]
fn equal(output: &Path, plain: &Path, names: &[&str]) {
    for name in names {
        let [ours, theirs] = [output, plain].map(|dir| {
            let path: PathBuf = dir.join(name);
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        });
        let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
        assert!(
            ours == theirs,
            "{name}: {} and {} bytes, equal up to {at}",
            ours.len(),
            theirs.len()
        );
    }
}

/// Without it, SeaBIOS embeds time and host name, as in every build that is no release.
const EXTRA: &str = "EXTRAVERSION=-kbs";

#[test]
fn heavy_seabios_is_built_as_a_plain_make_builds_it() {
    let Some(repo) = package("seabios") else { return };
    let lab = Lab::new();
    let spec = lab.write_text(&format!(
        "[project]\nrecipe = 'seabios'\ngit = '{}'\nrev = 'v1'\n\
         [config]\nset = {{ QEMU = true, DEBUG_LEVEL = 1 }}\n\
         [make]\nargs = ['PYTHON=python3', '{EXTRA}']\n",
        repo.url()
    ));
    let path = lab.run(["realize".as_ref(), spec.as_os_str()]).done().path();
    assert!(names(&path).contains(&"bios.bin".to_owned()), "{:?}", names(&path));
    if !is_root() {
        return skip("only root can run a plain make at /build/src to compare with");
    }
    let config = lab.run(["plan".as_ref(), spec.as_os_str(), "--show-config".as_ref()]).done().out;
    std::fs::write(lab.dir().join("config"), config).unwrap();
    let plain = plainly(
        &repo,
        "v1",
        &format!("cp {}/config .config; make PYTHON=python3 {EXTRA} -j2", lab.dir().display()),
    );
    equal(&path, &plain.path().join("s/out"), &["bios.bin"]);
}

#[test]
fn heavy_a_small_busybox_is_built_as_a_plain_make_builds_it() {
    let Some(repo) = package("busybox") else { return };
    let lab = Lab::new();
    let config = answer(
        Command::new("sh")
            .args([
                "-c",
                "cp -a . \"$0\" && make -C \"$0\" -s allnoconfig >&2 && cat \"$0/.config\"",
            ])
            .arg(lab.dir().join("all-no"))
            .current_dir(repo.path())
            .env_remove("MAKEFLAGS"),
    );
    std::fs::write(lab.dir().join("none.config"), config.done().out).unwrap();
    let spec = lab.write_text(&format!(
        "[project]\nrecipe = 'busybox'\ngit = '{}'\nrev = 'v1'\n\
         [config]\nfile = 'none.config'\nset = {{ ECHO = true, CAT = true, TRUE = true }}\n",
        repo.url()
    ));
    let path = lab.run(["realize".as_ref(), spec.as_os_str()]).done().path();
    let said = answer(Command::new(path.join("busybox")).args(["echo", "it runs"])).done();
    assert_eq!(said.out, "it runs\n");
    if !is_root() {
        return skip("only root can run a plain make at /build/src to compare with");
    }
    let config = lab.run(["plan".as_ref(), spec.as_os_str(), "--show-config".as_ref()]).done().out;
    std::fs::write(lab.dir().join("config"), config).unwrap();
    let script = format!(
        "cp {}/config .config; export KCONFIG_NOTIMESTAMP=1; make -j2",
        lab.dir().display()
    );
    let plain = plainly(&repo, "v1", &script);
    equal(&path, &plain.path().join("s"), &["busybox"]);
}
