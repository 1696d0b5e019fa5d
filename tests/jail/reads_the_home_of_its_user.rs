//! Reads a file in the home of the user that the jail belongs to.

use kbs_sandbox::Wall;

use crate::{kit::as_each_user, secret::reads_beside_the_image};

#[test]
fn the_users_own_files_are_not_there() {
    as_each_user(|kit| {
        kit.make_dir("home");
        reads_beside_the_image(kit, "home/key").held_by(&[Wall::OldRoot, Wall::Landlock]);
    });
}
