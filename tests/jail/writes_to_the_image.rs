//! Changes a file of the image.

use kbs_sandbox::Wall;

use crate::{
    attempt::{attempt, image},
    kit::as_each_user,
};

const SCRIPT: &str = r"
os.write(os.open('/etc/file', os.O_WRONLY), b'changed')
escaped('changed')
";

#[test]
fn the_image_cannot_be_changed() {
    as_each_user(|kit| {
        image(kit);
        kit.make_file("image/etc/file", "as it was");
        attempt(kit, SCRIPT).held_by(&[Wall::ReadOnly, Wall::Landlock]);
    });
}
