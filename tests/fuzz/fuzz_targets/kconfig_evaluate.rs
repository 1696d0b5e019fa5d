//! Kconfig files and what follows from them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    kbs_kconfig::fuzz::evaluate(bytes);
});
