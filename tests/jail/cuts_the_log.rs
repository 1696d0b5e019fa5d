//! Takes back what it has printed: cuts the log, goes back in it, or opens it anew.

use std::{fs::File, io::Read, os::fd::OwnedFd};

use kbs_sandbox::Console;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
done = []
for name, way in {
    'cut': lambda: os.ftruncate(1, 0),
    'seek': lambda: os.lseek(1, 0, 0),
    'write at': lambda: os.pwrite(1, b'x', 0),
    'cut by name': lambda: os.truncate('/dev/stdout', 0),
    'punch': lambda: os.posix_fallocate(1, 0, 1),
    'sync': lambda: os.fsync(1),
}.items():
    try:
        way()
    except OSError:
        continue
    done.append(name)
if done:
    escaped(done)
held('it is a pipe')
";

/// What holds is that it is a pipe: the same in a file is what a daemon must not give.
#[test]
fn what_is_printed_stays_printed() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        let path = kit.make_file("log", "");
        let log: OwnedFd = File::options().write(true).read(true).open(&path).unwrap().into();
        let job = kit.helper.run(&attempt.spec(&[]), Console::Log(log), |_| {}).unwrap();
        job.wait().unwrap();
        let mut text = String::new();
        File::open(path).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.contains("escaped: "), "{text:?}");
    });
}
