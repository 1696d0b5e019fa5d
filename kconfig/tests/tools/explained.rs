//! Explanations of all symbols of large projects, acted upon.

use crate::acted::{symbols, untrue};
use crate::linux::linux;
use crate::{Dir, klipper, say, tree};

/// How many of the symbols of Linux are asked for: one of so many.
const LINUX_STEP: usize = 5;

#[test]
fn what_klipper_is_told_to_need_is_what_it_needs() {
    let Some(given) = tree("KBS_TEST_KLIPPER") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let root = klipper::checkout(&given, "HEAD", scratch.path());
    let kconfig = klipper::load(&root);
    let symbols = symbols(&Dir(root.clone()), kconfig.files());
    let mut tried = 0;
    let mut configuration = kconfig.evaluate();
    for entry in std::fs::read_dir(root.join("test/configs")).unwrap() {
        let path = entry.unwrap().path();
        configuration.load(&std::fs::read_to_string(&path).unwrap());
        let untrue = untrue(&configuration, &symbols, &mut tried);
        assert!(untrue.is_empty(), "{}: {}", path.display(), untrue[0]);
    }
    say(&format!("{tried} explanations of Klipper were acted upon"));
    assert!(tried > 1000, "only {tried}");
}

#[test]
fn what_linux_is_told_to_need_is_what_it_needs() {
    let Some(linux) = linux("x86") else { return };
    let kconfig = linux.load();
    let all = symbols(&Dir(linux.root.clone()), kconfig.files());
    let some = all.into_iter().step_by(LINUX_STEP).collect();
    let mut tried = 0;
    let mut configuration = kconfig.evaluate();
    for name in ["x86_64_defconfig", "i386_defconfig"] {
        let path = linux.root.join("arch/x86/configs").join(name);
        configuration.load(&std::fs::read_to_string(path).unwrap());
        let untrue = untrue(&configuration, &some, &mut tried);
        assert!(untrue.is_empty(), "{name}: {} of them: {}", untrue.len(), untrue[0]);
    }
    say(&format!("{tried} explanations of Linux were acted upon"));
    assert!(tried > 100, "only {tried}");
}
