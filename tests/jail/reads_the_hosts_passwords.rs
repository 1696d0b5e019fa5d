//! Reads the passwords of the host.

use kbs_sandbox::Wall;

use crate::{kit::as_each_user, secret::reads};

#[test]
fn the_hosts_passwords_are_not_there() {
    as_each_user(|kit| {
        let attempt = reads(kit, "/etc/shadow");
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::OldRoot, Wall::Landlock]);
        }
    });
}
