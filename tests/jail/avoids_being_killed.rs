//! Asks the kernel to kill others first when memory runs out.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
adjustment = open('/proc/self/oom_score_adj').read()
open('/proc/self/oom_score_adj', 'w').write(adjustment)
escaped('written')
";

#[test]
fn the_order_of_killing_cannot_be_changed() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held_even_without(&[Wall::ReadOnly, Wall::Landlock, Wall::Filter]);
    });
}
