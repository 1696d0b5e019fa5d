//! Going on in what an earlier jail left.

use std::{collections::BTreeSet, fs};

use kbs_sandbox::{JailSpec, Scratch, Wall, remove_scratch};

use crate::kit::{as_each_user, step};

const CHANGES: &str = "echo changed > changed; rm gone; rm -r dir; mkdir dir; echo new > dir/new; \
                       mkdir shut; chmod 000 shut; echo out > /build/out/x; echo home > ~/x; \
                       echo tmp > /tmp/x";
/// Prints the first lines, and leaves more for the next.
const LOOK: &str = "cat changed; ls; ls dir; cat dir/new /build/out/x ~/x /tmp/x; \
                    cat more 2>/dev/null; \
                    echo more >> more; rm -rf dir; mkdir dir; echo new > dir/new";

#[test]
fn a_kept_scratch_shows_all_that_was_done_and_takes_more() {
    as_each_user(|kit| {
        for name in ["kept", "changed", "gone"] {
            kit.make_file(&format!("source/{name}"), "lower\n");
        }
        kit.make_dir("source/dir");
        kit.make_file("source/dir/inner", "lower\n");
        for without in [BTreeSet::new(), BTreeSet::from([Wall::Overlay])] {
            let scratch = kit.make_dir("scratch");
            let mut first = kit.spec(CHANGES);
            first.env.insert("HOME".to_owned(), "/build/home".to_owned());
            let first = JailSpec {
                scratch: Scratch::Directory(scratch.clone()),
                without: without.clone(),
                ..first
            };
            kit.run(&first).succeeded();
            for more in ["", "more\n", "more\nmore\n"] {
                let again = JailSpec {
                    scratch: Scratch::Kept(scratch.clone()),
                    steps: vec![step(&["sh", "-c", LOOK])],
                    ..first.clone()
                };
                let shown = kit.run(&again).succeeded();
                let listed = if more.is_empty() { "" } else { "more\n" };
                let expected = format!(
                    "changed\nchanged\ndir\nkept\n{listed}shut\nnew\nnew\nout\nhome\ntmp\n{more}"
                );
                assert_eq!(shown, expected, "without {without:?}");
            }
            assert_eq!(fs::read_to_string(kit.source().join("dir/inner")).unwrap(), "lower\n");
            remove_scratch(&scratch).unwrap();
        }
    });
}
