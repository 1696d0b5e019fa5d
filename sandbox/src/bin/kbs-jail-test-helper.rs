//! The helper process for this crate's tests.

fn main() {
    kbs_sandbox::helper_main_if_asked();
}
