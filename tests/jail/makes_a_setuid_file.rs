//! Makes a file that runs as its owner, by every call that can set a mode.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
os.umask(0)
os.chdir('/build/out')
def fchmod():
    os.fchmod(os.open('f', os.O_CREAT | os.O_WRONLY, 0o755), 0o4755)
def link_unnamed():
    fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o4755)
    os.link(f'/proc/self/fd/{fd}', 'g', follow_symlinks=True)
def at():
    os.close(os.open('h', os.O_CREAT | os.O_WRONLY, 0o755))
    call(NR['fchmodat'], -100, b'h', 0o2755)
def at2():
    os.close(os.open('i', os.O_CREAT | os.O_WRONLY, 0o755))
    call(NR['fchmodat2'], -100, b'i', 0o4755, 0)
def at_high():
    os.close(os.open('j', os.O_CREAT | os.O_WRONLY, 0o755))
    call(NR['fchmodat'], -100, b'j', 0o4755 | 1 << 40)
def how():
    import struct
    what = struct.pack('QQQ', os.O_CREAT | os.O_WRONLY, 0o4755, 0)
    call(NR['openat2'], -100, b'k', what, len(what))
def directory():
    os.mkdir('l')
    os.chmod('l', 0o2777)
for way in [
    lambda: os.open('a', os.O_CREAT | os.O_WRONLY, 0o4755),
    lambda: os.open('b', os.O_CREAT | os.O_WRONLY, 0o2755),
    lambda: os.mknod('c', 0o104755),
    lambda: os.mkfifo('d', 0o4755),
    lambda: os.mkdir('e', 0o6755),
    fchmod, link_unnamed, at, at2, at_high, how, directory,
]:
    try:
        way()
    except OSError:
        pass
made = [name for name in os.listdir('.') if os.lstat(name).st_mode & 0o6000]
if made:
    escaped(sorted(made))
held('none')
";

#[test]
fn no_file_runs_as_its_owner() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter]));
}
