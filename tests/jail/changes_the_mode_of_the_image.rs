//! Changes the mode of a file of the image.

use kbs_sandbox::Wall;

use crate::{
    attempt::{attempt, image},
    kit::as_each_user,
};

const SCRIPT: &str = r"
os.chmod('/etc/file', 0o777)
escaped('changed')
";

#[test]
fn the_modes_of_the_image_cannot_be_changed() {
    as_each_user(|kit| {
        image(kit);
        kit.make_file("image/etc/file", "");
        attempt(kit, SCRIPT).held_by(&[Wall::ReadOnly]);
    });
}
