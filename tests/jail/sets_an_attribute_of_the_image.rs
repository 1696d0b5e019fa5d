//! Sets an extended attribute of a file of the image.

use kbs_sandbox::Wall;

use crate::{
    attempt::{attempt, image},
    kit::as_each_user,
};

const SCRIPT: &str = r"
os.setxattr('/etc/file', 'user.mark', b'')
escaped('set')
";

#[test]
fn attributes_of_the_image_cannot_be_set() {
    as_each_user(|kit| {
        image(kit);
        kit.make_file("image/etc/file", "");
        attempt(kit, SCRIPT).held_by(&[Wall::ReadOnly]);
    });
}
