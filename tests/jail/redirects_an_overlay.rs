//! Tells the overlay of the source, by its own attributes, to show other files.

use std::fs;

use kbs_sandbox::{Outcome, Scratch};

use crate::{attempt::attempt, kit::as_each_user, kit::step};

const SCRIPT: &str = r"
os.mkdir('new')
for name, value in {
    'redirect': b'/private', 'opaque': b'y', 'metacopy': b'', 'origin': b'', 'whiteout': b'',
    'impure': b'y', 'protattr': b'', 'upper': b'', 'nlink': b'U+100',
}.items():
    for path in ('new', 'shown', '.'):
        try:
            os.setxattr(path, 'user.overlay.' + name, value)
        except OSError:
            continue
if os.listdir('new') or 'inner' not in os.listdir('shown'):
    escaped('the overlay believed it')
held('the overlay did not believe it')
";

/// Such an attribute set on a plain directory is what an overlay would believe; so it counts what
/// gets to the directory below, and what the next jail of it shows.
#[test]
fn a_build_cannot_redirect_its_overlay() {
    as_each_user(|kit| {
        kit.make_dir("source/shown");
        kit.make_file("source/shown/inner", "");
        kit.make_dir("source/private");
        kit.make_file("source/private/secret", "");
        let scratch = kit.make_dir("scratch");
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        let attempt = attempt.jail(|spec| spec.scratch = Scratch::Directory(scratch.clone()));
        assert!(!attempt.in_jail(&[]).escaped());
        let upper = scratch.join("upper");
        let mut value = [0; 64];
        for name in ["redirect", "metacopy"] {
            for path in [upper.join("new"), upper.clone()] {
                let found =
                    rustix::fs::lgetxattr(&path, format!("user.overlay.{name}"), &mut value);
                assert!(found.is_err(), "{name} of {} got below", path.display());
            }
        }
        assert!(fs::exists(upper.join("new")).unwrap());
        let mut again = attempt.spec(&[]);
        again.scratch = Scratch::Kept(scratch.clone());
        again.steps = vec![step(&["sh", "-c", "ls new shown"])];
        let ran = kit.run(&again);
        assert_eq!(ran.finished.outcome, Outcome::Succeeded, "{}", ran.log);
        assert_eq!(ran.log, "new:\n\nshown:\ninner\n");
    });
}
