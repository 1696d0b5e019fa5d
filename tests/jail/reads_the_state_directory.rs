//! Reads the database that lies next to the images.

use kbs_sandbox::Wall;

use crate::{kit::as_each_user, secret::reads_beside_the_image};

#[test]
fn what_lies_next_to_the_image_is_not_there() {
    as_each_user(|kit| {
        reads_beside_the_image(kit, "kbs.redb").held_by(&[Wall::OldRoot, Wall::Landlock]);
    });
}
