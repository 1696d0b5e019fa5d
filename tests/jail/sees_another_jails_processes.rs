//! Looks for the processes of another jail that runs meanwhile.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, neighbour::Neighbour};

const SCRIPT: &str = r"
for root in ('', '/..'):
    for name in os.listdir(root + '/proc') if os.path.isdir(root + '/proc') else []:
        if name.isdigit():
            try:
                line = open(f'{root}/proc/{name}/cmdline').read()
            except OSError:
                continue
            if '/tmp/secret' in line and int(name) != os.getpid() and '-ISB' not in line:
                escaped(line)
held('not seen')
";

#[test]
fn the_processes_of_another_jail_are_not_there() {
    as_each_user(|kit| {
        let _neighbour = Neighbour::start(kit);
        attempt(kit, SCRIPT).entry_by_entry().held_by(&[Wall::OldRoot, Wall::Landlock]);
    });
}
