//! Makes a second name for a file of an input in a directory that it may write, by every call that
//! can.

use kbs_sandbox::Scratch;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x400, 0x1000
file = os.environ['FILE']
fd = os.open(file, os.O_RDONLY)
link = os.path.join(os.environ['TO'], 'link')
ways = [
    lambda: os.link(file, link),
    lambda: call(NR['linkat'], -100, f'/proc/self/fd/{fd}'.encode(), -100, link.encode(), AT_SYMLINK_FOLLOW),
    lambda: call(NR['linkat'], fd, b'', -100, link.encode(), AT_EMPTY_PATH),
    lambda: os.rename(file, link),
]
for way in ways:
    try:
        way()
    except OSError as error:
        last = error
        continue
    escaped(link)
raise last
";

/// Mounts are what no link crosses, also where both sides are one file system; nothing of it can be
/// left out.
#[test]
fn files_of_the_host_get_no_second_name() {
    as_each_user(|kit| {
        let dir = kit.make_dir("input");
        let file = kit.make_file("input/file", "");
        let scratch = kit.make_dir("scratch");
        let attempt = attempt(kit, SCRIPT)
            .input(&dir, "/build/in")
            .env("FILE", "/build/in/file")
            .env("TO", "/build/out");
        attempt.held();
        let on_disk = attempt.jail(|spec| spec.scratch = Scratch::Directory(scratch));
        assert!(!on_disk.in_jail(&[]).escaped());
        let on_host = on_disk.env_path("FILE", &file).env_path("TO", kit.dir.path());
        assert!(on_host.host_can());
    });
}
