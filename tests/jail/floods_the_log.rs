//! Prints without end, also when nobody reads it.

use std::{fs::File, io::Read, thread, time::Duration};

use kbs_sandbox::{Limit, Outcome};

use crate::{appetite::ends_by, attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
line = b'x' * 65535 + b'\n'
for _ in range(int(os.environ.get('LINES', '1000000'))):
    os.write(1, line)
";

#[test]
fn a_log_that_nobody_reads_waits_for_the_time_limit() {
    as_each_user(|kit| {
        ends_by(kit, Limit::Wall, SCRIPT, |spec| {
            spec.limits.wall = Some(Duration::from_millis(700));
        });
    });
}

#[test]
fn a_long_log_gets_to_its_reader() {
    as_each_user(|kit| {
        let (job, log) = kit.start(&attempt(kit, SCRIPT).env("LINES", 2000).spec(&[]));
        let reader = thread::spawn(move || {
            std::io::copy(&mut File::from(log).by_ref(), &mut std::io::sink()).unwrap()
        });
        assert_eq!(job.wait().unwrap().outcome, Outcome::Succeeded);
        assert_eq!(reader.join().unwrap(), 2000 * 65536);
    });
}
