//! Gives files names that are no text, or that look like several.

use std::fs;

use kbs_sandbox::{Scratch, remove_scratch};

use crate::{appetite::fits, kit::as_each_user};

const SCRIPT: &str = r"
os.chdir('/build/out')
names = [b'\n', b'a\nb', b'\xff\xfe', b'-rf', b' ', b'\x1b[2J', b'x' * 255, b'..a', b'\\', b'*', b'\x01']
for name in names:
    os.mkdir(name)
    open(name + b'/' + name, 'w')
assert sorted(os.listdir(b'.')) == sorted(names)
";

#[test]
fn strange_names_are_names() {
    as_each_user(|kit| {
        fits(kit, SCRIPT, |_| ());
        let scratch = kit.make_dir("scratch");
        fits(kit, SCRIPT, |spec| spec.scratch = Scratch::Directory(scratch.clone()));
        assert_eq!(fs::read_dir(scratch.join("out")).unwrap().count(), 11);
        remove_scratch(&scratch).unwrap();
        assert!(!fs::exists(scratch).unwrap());
    });
}
