//! Reads the files of another jail that runs meanwhile.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, neighbour::Neighbour};

const SCRIPT: &str = r"
process = '/proc/' + os.environ['PID']
for root in ('', '/..'):
    for place in ('/tmp', '/build/out', process + '/root/tmp', process + '/cwd'):
        try:
            if 'secret' in os.listdir(root + place):
                escaped(root + place)
        except OSError:
            pass
held('not found')
";

/// The scratch of a jail is in its own mounts alone, so nothing can be left out that would show it.
#[test]
fn the_files_of_another_jail_are_not_there() {
    as_each_user(|kit| {
        let neighbour = Neighbour::start(kit);
        let attempt = attempt(kit, SCRIPT).env("PID", neighbour.pid());
        attempt.held();
        assert!(!attempt.in_jail(&[Wall::OldRoot]).escaped(), "its mounts alone do not hold");
        assert!(attempt.host_can());
    });
}
