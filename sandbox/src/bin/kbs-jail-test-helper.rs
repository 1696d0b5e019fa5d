//! The helper process for this crate's tests and examples.

fn main() {
    kbs_sandbox::helper_main_if_asked();
}
