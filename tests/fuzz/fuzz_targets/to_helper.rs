//! What the jail helper reads from the daemon.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    kbs_sandbox::fuzz::to_helper(bytes);
});
