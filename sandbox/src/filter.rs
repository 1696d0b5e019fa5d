//! Which system calls a build may make: pure, compiled to the kernel's filter language.
//!
//! A deny list: builds run every kind of program, and what a call can reach is bounded by the
//! namespaces and Landlock already. It takes away what only widens the kernel's attack surface, and
//! what would leave devices or setuid files behind.

use std::sync::LazyLock;

use libc::{c_int, c_long};

use crate::sys::seccomp::Instruction;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

// Calls that the C library's table does not name on every architecture; since 5.0 all share numbers.
const QUOTACTL_FD: c_long = 443;
const FCHMODAT2: c_long = 452;
const OPEN_TREE_ATTR: c_long = 467;
#[cfg(target_arch = "x86_64")]
const IO_PGETEVENTS: c_long = 333;
#[cfg(target_arch = "aarch64")]
const IO_PGETEVENTS: c_long = 292;
const MEMFD_SECRET: c_long = 447;
const STATMOUNT: c_long = 457;
const LISTMOUNT: c_long = 458;
/// The newest call that was looked at. What kernels add after it does not exist for builds.
const NEWEST: c_long = OPEN_TREE_ATTR;

const NEW_NAMESPACE: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();
const SET_ID: u32 = 0o6000;
/// `RLIMIT_CORE`, which is not of one type in every C library.
const CORE_LIMIT: u32 = 4;
/// Semaphores in a set. Their memory belongs to no process, and a kernel allows gigabytes of it.
const SET_MAX: u32 = 32;
const TYPE: u32 = 0o170_000;
const CREATES: u32 = libc::O_CREAT.cast_unsigned() | 0o20_000_000;

/// A condition on one half of an argument. The kernel looks at the lower ones only, except in
/// addresses.
#[derive(Debug, Clone, Copy)]
enum Test {
    /// `half & mask == value`.
    Is { half: u32, mask: u32, value: u32 },
    /// `half & mask != value`.
    IsNot { half: u32, mask: u32, value: u32 },
    /// `half > most`.
    Above { half: u32, most: u32 },
}

/// The number of the lower half of an argument.
const fn low(argument: u32) -> u32 {
    2 * argument
}

/// The number of the upper half of an argument.
const fn high(argument: u32) -> u32 {
    2 * argument + 1
}

/// What a call gets instead of being done when all tests hold.
#[derive(Debug, Clone)]
struct Denial {
    tests: Vec<Test>,
    errno: c_int,
}

/// A call and when it is denied.
type Rule = (c_long, Vec<Denial>);

fn any(argument: u32, mask: u32) -> Test {
    Test::IsNot { half: low(argument), mask, value: 0 }
}

fn is(argument: u32, value: u32) -> Test {
    Test::Is { half: low(argument), mask: u32::MAX, value }
}

fn is_not(argument: u32, value: u32) -> Test {
    Test::IsNot { half: low(argument), mask: u32::MAX, value }
}

fn when(tests: &[Test]) -> Denial {
    Denial { tests: tests.to_vec(), errno: libc::EPERM }
}

/// Denies `prlimit` for a resource where it gives a new limit: an address that is not null.
fn limit_changes(resource: u32) -> Vec<Denial> {
    [low(2), high(2)]
        .map(|half| when(&[is(1, resource), Test::IsNot { half, mask: u32::MAX, value: 0 }]))
        .to_vec()
}

/// Leaves unix and internet sockets, and of those TCP and UDP.
fn sockets() -> Vec<Denial> {
    let family = Denial {
        tests: [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6]
            .map(|family| is_not(0, family.cast_unsigned()))
            .to_vec(),
        errno: libc::EAFNOSUPPORT,
    };
    // Raw sockets, and what the kernel would take for packet sockets by an old name.
    let kind = when(
        &[libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET].map(|kind| Test::IsNot {
            half: low(1),
            mask: 0xf,
            value: kind.cast_unsigned(),
        }),
    );
    // Multipath TCP is TCP, but not to Landlock; the others no build speaks.
    let protocol = Denial {
        tests: [is_not(0, libc::AF_UNIX.cast_unsigned())]
            .into_iter()
            .chain(
                [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(|it| is_not(2, it.cast_unsigned())),
            )
            .collect(),
        errno: libc::EPROTONOSUPPORT,
    };
    vec![family, kind, protocol]
}

const BUFFERS: [c_int; 4] =
    [libc::SO_SNDBUF, libc::SO_RCVBUF, libc::SO_SNDBUFFORCE, libc::SO_RCVBUFFORCE];

/// Leaves the buffers of sockets, whose memory is no process's, as they are: the caller is told that it
/// was done, for programs ask for it only to be faster.
fn buffer_of_socket(option: c_int) -> Denial {
    let tests = [is(1, libc::SOL_SOCKET.cast_unsigned()), is(2, option.cast_unsigned())];
    Denial { tests: tests.to_vec(), errno: 0 }
}

/// The calls that are denied for some arguments. The busiest come first: they cost the most.
fn conditional() -> Vec<Rule> {
    let device = |argument| {
        [libc::S_IFCHR, libc::S_IFBLK]
            .map(|value| when(&[Test::Is { half: low(argument), mask: TYPE, value }]))
            .into_iter()
            .chain([when(&[any(argument, SET_ID)])])
            .collect()
    };
    let fixed = libc::ADDR_NO_RANDOMIZE.cast_unsigned();
    let mut rules = vec![
        (libc::SYS_openat, vec![when(&[any(2, CREATES), any(3, SET_ID)])]),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, vec![when(&[any(1, CREATES), any(2, SET_ID)])]),
        (
            libc::SYS_ioctl,
            // TIOCSTI and TIOCLINUX type into a terminal, TIOCSETD has the kernel load line disciplines.
            [0x5412, 0x541C, 0x5423].map(|request| when(&[is(1, request)])).to_vec(),
        ),
        // Pipes as large as they are: their pages are no process's.
        (libc::SYS_fcntl, vec![when(&[is(1, libc::F_SETPIPE_SZ.cast_unsigned())])]),
        (libc::SYS_setsockopt, BUFFERS.map(buffer_of_socket).to_vec()),
        (libc::SYS_clone, vec![when(&[any(0, NEW_NAMESPACE)])]),
        (libc::SYS_socket, sockets()),
        (libc::SYS_socketpair, sockets()),
        (libc::SYS_fchmod, vec![when(&[any(1, SET_ID)])]),
        (libc::SYS_fchmodat, vec![when(&[any(2, SET_ID)])]),
        (FCHMODAT2, vec![when(&[any(2, SET_ID)])]),
        (libc::SYS_mknodat, device(2)),
        // With a lower limit than it has, a crash would start the host's handler.
        (libc::SYS_setrlimit, vec![when(&[is(0, CORE_LIMIT)])]),
        (libc::SYS_prlimit64, limit_changes(CORE_LIMIT)),
        (
            libc::SYS_semget,
            vec![Denial {
                tests: vec![Test::Above { half: low(1), most: SET_MAX }],
                errno: libc::EINVAL,
            }],
        ),
        (libc::SYS_personality, vec![when(&[is_not(0, u32::MAX), is_not(0, fixed)])]),
    ];
    #[cfg(target_arch = "x86_64")]
    rules.extend([
        (libc::SYS_creat, vec![when(&[any(1, SET_ID)])]),
        (libc::SYS_chmod, vec![when(&[any(1, SET_ID)])]),
        (libc::SYS_mknod, device(1)),
    ]);
    rules
}

/// The calls that are never done.
fn never() -> Vec<c_long> {
    let mut calls = vec![
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_open_tree,
        OPEN_TREE_ATTR,
        libc::SYS_move_mount,
        libc::SYS_mount_setattr,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_userfaultfd,
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_quotactl,
        QUOTACTL_FD,
        libc::SYS_syslog,
        libc::SYS_open_by_handle_at,
        libc::SYS_name_to_handle_at,
        libc::SYS_nfsservctl,
        libc::SYS_vhangup,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_adjtimex,
        libc::SYS_clock_adjtime,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        libc::SYS_fanotify_init,
        // The number of processors: some compressors make other bytes with one than with several.
        // Programs that cannot ask take a number that is the same everywhere.
        libc::SYS_sched_getaffinity,
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_modify_ldt,
        libc::SYS_sysfs,
        libc::SYS_ustat,
    ]);
    calls
}

/// The calls that do not exist here: programs fall back to others.
fn absent() -> Vec<c_long> {
    vec![
        // They take their flags through memory, which a filter cannot read.
        libc::SYS_clone3,
        libc::SYS_openat2,
        // Memory that belongs to no process, so that nobody could count it.
        libc::SYS_memfd_create,
        MEMFD_SECRET,
        libc::SYS_shmget,
        libc::SYS_vmsplice,
        // Their number is one for the whole machine.
        libc::SYS_io_setup,
        libc::SYS_io_destroy,
        libc::SYS_io_submit,
        libc::SYS_io_cancel,
        libc::SYS_io_getevents,
        IO_PGETEVENTS,
        // They tell of mounts what `/proc` does not.
        STATMOUNT,
        LISTMOUNT,
    ]
}

/// All rules.
fn rules() -> Vec<Rule> {
    let always = |errno| move |call| (call, vec![Denial { tests: vec![], errno }]);
    let mut rules = conditional();
    rules.extend(never().into_iter().map(always(libc::EPERM)));
    rules.extend(absent().into_iter().map(always(libc::ENOSYS)));
    // A jail is in no group but its own; those that the daemon is in, an ordinary user's jail cannot leave.
    rules.push(always(0)(libc::SYS_getgroups));
    // Space without bytes, faster than any count of it could be. The C library writes zeros instead.
    rules.push(always(libc::EOPNOTSUPP)(libc::SYS_fallocate));
    rules
}

/// The filter, compiled once per process.
pub(crate) static PROGRAM: LazyLock<Vec<Instruction>> = LazyLock::new(|| compile(&rules()));

/// Instruction codes, composed as `linux/bpf_common.h` says: class, size or operation, mode.
mod code {
    pub(super) const LOAD: u16 = 0x20;
    pub(super) const AND: u16 = 0x54;
    pub(super) const JUMP_EQUAL: u16 = 0x15;
    pub(super) const JUMP_NOT_BELOW: u16 = 0x35;
    pub(super) const RETURN: u16 = 0x06;
}

const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, operand }
}

/// Jumps over `if_true` or `if_false` instructions.
fn jump(code: u16, operand: u32, if_true: usize, if_false: usize) -> Instruction {
    let short = |skip| u8::try_from(skip).expect("no rule is longer than 255 instructions");
    Instruction { code, if_true: short(if_true), if_false: short(if_false), operand }
}

fn refuse(errno: c_int) -> Instruction {
    plain(code::RETURN, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())
}

fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        plain(code::LOAD, ARCHITECTURE_AT),
        jump(code::JUMP_EQUAL, ARCHITECTURE, 1, 0),
        plain(code::RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        plain(code::LOAD, NUMBER_AT),
    ];
    // On x86-64 this denies the x32 interface, too: the same calls, from 2^30 up.
    let unknown = u32::try_from(NEWEST + 1).expect("system call numbers are small");
    program.push(jump(code::JUMP_NOT_BELOW, unknown, 0, 1));
    program.push(refuse(libc::ENOSYS));
    for (call, denials) in rules {
        let mut body: Vec<Instruction> = denials.iter().flat_map(compile_denial).collect();
        body.push(plain(code::RETURN, libc::SECCOMP_RET_ALLOW));
        let number = u32::try_from(*call).expect("system call numbers are small");
        program.push(jump(code::JUMP_EQUAL, number, 0, body.len()));
        program.append(&mut body);
    }
    program.push(plain(code::RETURN, libc::SECCOMP_RET_ALLOW));
    program
}

/// Falls through when one of the tests does not hold.
fn compile_denial(Denial { tests, errno }: &Denial) -> Vec<Instruction> {
    /// Instructions per test.
    const STRIDE: usize = 3;
    let mut body = Vec::new();
    for (done, test) in tests.iter().enumerate() {
        let (half, mask) = match *test {
            Test::Is { half, mask, .. } | Test::IsNot { half, mask, .. } => (half, mask),
            Test::Above { half, .. } => (half, u32::MAX),
        };
        let past = (tests.len() - done - 1) * STRIDE + 1;
        body.push(plain(code::LOAD, ARGUMENTS_AT + 4 * half));
        body.push(plain(code::AND, mask));
        body.push(match *test {
            Test::Is { value, .. } => jump(code::JUMP_EQUAL, value, 0, past),
            Test::IsNot { value, .. } => jump(code::JUMP_EQUAL, value, past, 0),
            Test::Above { most, .. } => jump(code::JUMP_NOT_BELOW, most + 1, 0, past),
        });
    }
    body.push(refuse(*errno));
    body
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
    const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();

    /// What the kernel would do with the filter.
    fn verdict(architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = [number.to_le_bytes(), architecture.to_le_bytes()].concat();
        data.extend([0; 8]);
        data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
        let (mut at, mut value) = (0, 0);
        loop {
            let Instruction { code, if_true, if_false, operand } = PROGRAM[at];
            at += 1;
            let skip = |holds| usize::from(if holds { if_true } else { if_false });
            match code {
                code::LOAD => {
                    let word = &data[operand as usize..operand as usize + 4];
                    value = u32::from_le_bytes(word.try_into().unwrap());
                }
                code::AND => value &= operand,
                code::JUMP_EQUAL => at += skip(value == operand),
                code::JUMP_NOT_BELOW => at += skip(value >= operand),
                code::RETURN => return operand,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn call(number: c_long, arguments: [u64; 6]) -> u32 {
        verdict(ARCHITECTURE, u32::try_from(number).unwrap(), arguments)
    }

    #[test]
    fn other_architectures_die_and_x32_does_not_exist() {
        assert_eq!(verdict(0x4000_0003, 1, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
        assert_eq!(verdict(ARCHITECTURE, 0x4000_0001, [0; 6]), ENOSYS);
        assert_eq!(call(libc::SYS_write, [0; 6]), ALLOW);
    }

    #[test]
    fn calls_that_nobody_looked_at_do_not_exist() {
        for number in absent().into_iter().chain([NEWEST + 1, NEWEST + 1000]) {
            assert_eq!(call(number, [0; 6]), ENOSYS, "{number}");
        }
    }

    #[test]
    fn processes_may_be_made_but_not_namespaces() {
        let vfork = (libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD).cast_unsigned();
        assert_eq!(call(libc::SYS_clone, [vfork.into(), 0, 0, 0, 0, 0]), ALLOW);
        let user = vfork | libc::CLONE_NEWUSER.cast_unsigned();
        assert_eq!(call(libc::SYS_clone, [user.into(), 0, 0, 0, 0, 0]), EPERM);
    }

    #[test]
    fn set_id_files_cannot_be_made() {
        let creates = u64::from(libc::O_CREAT.cast_unsigned());
        assert_eq!(call(libc::SYS_openat, [0, 0, creates, 0o755, 0, 0]), ALLOW);
        assert_eq!(call(libc::SYS_openat, [0, 0, creates, 0o4755, 0, 0]), EPERM);
        // Without O_CREAT the last argument is whatever was in the register.
        assert_eq!(call(libc::SYS_openat, [0, 0, 0, 0o6777, 0, 0]), ALLOW);
        for mode in [0o4755, 0o2755] {
            assert_eq!(call(libc::SYS_fchmod, [0, mode, 0, 0, 0, 0]), EPERM);
            assert_eq!(call(libc::SYS_fchmodat, [0, 0, mode, 0, 0, 0]), EPERM);
            assert_eq!(call(FCHMODAT2, [0, 0, mode, 0, 0, 0]), EPERM);
            assert_eq!(call(libc::SYS_mknodat, [0, 0, mode, 0, 0, 0]), EPERM);
        }
        assert_eq!(call(libc::SYS_fchmodat, [0, 0, 0o1777, 0, 0, 0]), ALLOW);
    }

    #[test]
    fn fifos_may_be_made_but_not_devices() {
        let mknod = |kind: u32| call(libc::SYS_mknodat, [0, 0, u64::from(kind | 0o644), 0, 0, 0]);
        assert_eq!(mknod(libc::S_IFIFO), ALLOW);
        assert_eq!(mknod(libc::S_IFREG), ALLOW);
        assert_eq!(mknod(libc::S_IFCHR), EPERM);
        assert_eq!(mknod(libc::S_IFBLK), EPERM);
    }

    #[test]
    fn sockets_are_unix_or_inet_and_never_raw() {
        let socket_of = |family: c_int, kind: c_int, protocol: c_int| {
            let values = [family, kind, protocol].map(|it| u64::from(it.cast_unsigned()));
            let [family, kind, protocol] = values;
            call(libc::SYS_socket, [family, kind, protocol, 0, 0, 0])
        };
        let socket = |family, kind| socket_of(family, kind, 0);
        let stream = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
            assert_eq!(socket(family, stream), ALLOW);
            assert_eq!(socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC), EPERM);
            // SOCK_PACKET.
            assert_eq!(socket(family, 10), EPERM);
        }
        assert_eq!(socket_of(libc::AF_INET, stream, libc::IPPROTO_TCP), ALLOW);
        assert_eq!(socket_of(libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP), ALLOW);
        assert_eq!(socket_of(libc::AF_UNIX, stream, libc::AF_UNIX), ALLOW);
        for protocol in [libc::IPPROTO_ICMP, libc::IPPROTO_MPTCP, libc::IPPROTO_SCTP] {
            assert_ne!(socket_of(libc::AF_INET, stream, protocol), ALLOW);
        }
        for family in [libc::AF_NETLINK, libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG] {
            assert_ne!(socket(family, libc::SOCK_DGRAM), ALLOW);
        }
    }

    #[test]
    fn personality_may_be_asked_and_set_to_what_it_is() {
        let personality = |value| call(libc::SYS_personality, [value, 0, 0, 0, 0, 0]);
        assert_eq!(personality(0xffff_ffff), ALLOW);
        assert_eq!(personality(0x004_0000), ALLOW);
        assert_eq!(personality(0), EPERM);
        assert_eq!(personality(8), EPERM);
    }

    #[test]
    fn the_groups_of_the_daemon_are_not_told() {
        assert_eq!(call(libc::SYS_getgroups, [0; 6]), libc::SECCOMP_RET_ERRNO);
    }

    #[test]
    fn memory_of_pipes_and_sockets_stays_small() {
        let [level, buffer, linger] =
            [libc::SOL_SOCKET, libc::SO_SNDBUF, libc::SO_LINGER].map(|it| it.unsigned_abs().into());
        let done = libc::SECCOMP_RET_ERRNO;
        assert_eq!(call(libc::SYS_setsockopt, [0, level, buffer, 0, 0, 0]), done);
        assert_eq!(call(libc::SYS_setsockopt, [0, level, linger, 0, 0, 0]), ALLOW);
        assert_eq!(call(libc::SYS_setsockopt, [0, 6, buffer, 0, 0, 0]), ALLOW);
        assert_eq!(call(libc::SYS_fcntl, [0, 1031, 1 << 20, 0, 0, 0]), EPERM);
        assert_eq!(call(libc::SYS_fcntl, [0, 3, 0, 0, 0, 0]), ALLOW);
        assert_eq!(call(libc::SYS_vmsplice, [0; 6]), ENOSYS);
    }

    #[test]
    fn typing_into_terminals_and_changing_what_drives_them_is_denied() {
        for (request, want) in [(0x5412, EPERM), (0x541C, EPERM), (0x5423, EPERM), (0x5401, ALLOW)]
        {
            assert_eq!(call(libc::SYS_ioctl, [0, request, 0, 0, 0, 0]), want);
            // The kernel ignores the upper half, so it must not help.
            assert_eq!(call(libc::SYS_ioctl, [0, request | 1 << 32, 0, 0, 0, 0]), want);
        }
    }

    #[test]
    fn the_limit_of_cores_may_be_asked_and_not_changed() {
        let (core, files) = (u64::from(CORE_LIMIT), 7);
        let prlimit = |resource, new| call(libc::SYS_prlimit64, [0, resource, new, 7, 0, 0]);
        assert_eq!(prlimit(core, 0), ALLOW);
        assert_eq!(prlimit(files, 7), ALLOW);
        for new in [7, 7 << 32] {
            assert_eq!(prlimit(core, new), EPERM);
        }
        assert_eq!(call(libc::SYS_setrlimit, [core, 7, 0, 0, 0, 0]), EPERM);
        assert_eq!(call(libc::SYS_setrlimit, [files, 7, 0, 0, 0, 0]), ALLOW);
    }

    #[test]
    fn sets_of_semaphores_are_small() {
        let semget = |count| call(libc::SYS_semget, [0, count, 0, 0, 0, 0]);
        let refused = libc::SECCOMP_RET_ERRNO | libc::EINVAL.cast_unsigned();
        assert_eq!([semget(0), semget(1), semget(32)], [ALLOW; 3]);
        assert_eq!([semget(33), semget(32000), semget(0xffff_ffff)], [refused; 3]);
    }

    proptest! {
        #[test]
        fn what_is_never_done_is_denied_whatever_the_arguments(arguments: [u64; 6]) {
            for number in never() {
                prop_assert_eq!(call(number, arguments), EPERM);
            }
        }
    }
}
