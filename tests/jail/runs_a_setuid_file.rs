//! Runs a program of the image that runs as its owner, root.

use std::{fs, os::unix::fs::PermissionsExt};

use kbs_sandbox::Wall;
use rustix::fs::chown;

use crate::{
    attempt::{attempt, image},
    kit::as_each_user,
};

const SCRIPT: &str = r"
import subprocess
found = subprocess.run([os.environ['ID'], '-u'], capture_output=True, text=True)
if int(found.stdout) == 0:
    escaped('root')
held(found.stdout.strip())
";

/// Only root can make the file.
#[test]
fn programs_of_the_image_do_not_run_as_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    as_each_user(|kit| {
        let id = image(kit).join("etc/id");
        fs::copy("/usr/bin/id", &id).unwrap();
        chown(&id, Some(rustix::process::Uid::ROOT), None).unwrap();
        fs::set_permissions(&id, fs::Permissions::from_mode(0o4755)).unwrap();
        let attempt = attempt(kit, SCRIPT);
        let inside = attempt.only_this_image().env("ID", "/etc/id");
        inside.held();
        // There is no root in a jail, so this is as far as leaving out gets.
        let walls = [Wall::SafeMounts, Wall::Capabilities, Wall::Filter, Wall::Landlock];
        assert!(!inside.in_jail(&walls).escaped());
        assert!(inside.env_path("ID", &id).host_can());
    });
}
