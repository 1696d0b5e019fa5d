//! What the collector finds where a build has been.

#![no_main]

use std::sync::LazyLock;

use kbs_daemon::fuzz::Collector;

static COLLECTOR: LazyLock<Collector> = LazyLock::new(Collector::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    COLLECTOR.run(bytes);
});
