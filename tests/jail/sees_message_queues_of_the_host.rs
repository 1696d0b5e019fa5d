//! Opens message queues and semaphores of the host, of the older kind.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

/// Outside and inside it makes what only one may make.
const SCRIPT: &str = r"
EXCLUSIVE = 0o3600
try:
    arguments = (1,) if os.environ['KIND'] == 'semget' else ()
    call(NR[os.environ['KIND']], int(os.environ['KEY']), *arguments, EXCLUSIVE)
except FileExistsError:
    escaped('it is there already')
held('made anew')
";

#[test]
fn queues_and_semaphores_of_the_host_are_not_there() {
    as_each_user(|kit| {
        for (kind, flag) in [("msgget", "-Q"), ("semget", "-S")] {
            let key = i32::try_from(std::process::id()).unwrap();
            let attempt = attempt(kit, SCRIPT).env("KIND", kind).env("KEY", key);
            assert!(!attempt.host_can(), "it was there before");
            attempt.held_by(&[Wall::IpcNamespace]);
            let removed =
                std::process::Command::new("ipcrm").args([flag, &format!("0x{key:x}")]).status();
            assert!(removed.unwrap().success());
        }
    });
}
