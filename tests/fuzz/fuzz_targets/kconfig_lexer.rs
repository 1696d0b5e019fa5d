//! Lines and tokens of Kconfig files.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    kbs_kconfig::fuzz::lexer(bytes);
});
