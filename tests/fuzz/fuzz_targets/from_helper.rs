//! What the daemon reads from the jail helper.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    kbs_sandbox::fuzz::from_helper(bytes);
});
