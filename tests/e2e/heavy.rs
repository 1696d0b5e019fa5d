//! Real projects of the distribution: built, and equal to what a plain make of the same tree makes.

use std::path::Path;
use std::process::Command;

use kbs_testkit::Repo;

use crate::lab::{Lab, answer, names};
use crate::plain::{equal, make_at_build_src};
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

/// Runs a script in a copy of the tree at `v1`, and returns the directory of the copy, `s` inside.
fn plainly(repo: &Repo, script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("s");
    let epoch = repo.git(["show", "--no-patch", "--format=%ct", "v1^{commit}"]);
    repo.git(["clone", "--quiet", ".", src.to_str().unwrap()]);
    make_at_build_src(&src, &epoch, script);
    dir
}

/// Without it, this firmware embeds time and host name, as in every build that is no release.
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
        &format!(
            "cp {}/config .config; make PYTHON=python3 out/autoconf.h; \
             make PYTHON=python3 {EXTRA} -j2",
            lab.dir().display()
        ),
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
    let plain = plainly(&repo, &script);
    equal(&path, &plain.path().join("s"), &["busybox"]);
}
