//! Changes the owner of a file of the image, to the only one that there is.

use kbs_sandbox::Wall;

use crate::{
    attempt::{attempt, image},
    kit::as_each_user,
};

const SCRIPT: &str = r"
os.chown('/etc/file', 1000, 1000)
escaped('changed')
";

#[test]
fn the_owners_of_the_image_cannot_be_changed() {
    as_each_user(|kit| {
        image(kit);
        kit.make_file("image/etc/file", "");
        attempt(kit, SCRIPT).held_by(&[Wall::ReadOnly]);
    });
}
