//! What the jail helper reads from a jail.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    kbs_sandbox::fuzz::from_jail(bytes);
});
