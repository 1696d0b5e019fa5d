//! Kconfig files: preprocessor and parser.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    kbs_kconfig::fuzz::files(bytes);
});
