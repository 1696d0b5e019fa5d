//! What a jail cannot do.

use std::{fs, io::Read};

use kbs_sandbox::{Console, Outcome};

use crate::kit::{Kit, as_each_user, first_line, pid_of};

/// Makes system calls and says what came of each: `0`, or the `errno`.
fn errnos(kit: &Kit, calls: &[(i64, [i64; 4])]) -> Vec<i64> {
    let calls: Vec<String> = calls
        .iter()
        .map(|(number, [a, b, c, d])| {
            format!("$!=0; print syscall({number}, {a}, {b}, {c}, {d}) == -1 ? $!+0 : 0, \"\\n\";")
        })
        .collect();
    let script = format!("perl -e '{}'", calls.join(" "));
    kit.out(&script).lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn there_are_no_capabilities_and_no_way_to_get_any() {
    as_each_user(|kit| {
        let log = kit.out("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t'");
        let zero = "0000000000000000";
        assert_eq!(
            log,
            format!(
                "CapInh:{zero}\nCapPrm:{zero}\nCapEff:{zero}\nCapBnd:{zero}\nCapAmb:{zero}\n\
                 NoNewPrivs:1\nSeccomp:2\n"
            )
        );
    });
}

#[test]
fn the_first_process_is_as_locked_down_as_the_steps() {
    as_each_user(|kit| {
        let (job, log) = kit.start(&kit.spec("echo ready; sleep 600"));
        assert_eq!(first_line(&log), "ready");
        let status = fs::read_to_string(format!("/proc/{}/status", pid_of(&job))).unwrap();
        for line in [
            "CapPrm:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            assert!(status.lines().any(|have| have == line), "{line} in\n{status}");
        }
        job.kill();
    });
}

#[test]
fn the_first_process_can_be_neither_seen_nor_stopped() {
    as_each_user(|kit| {
        let log = kit.out(
            "kill -9 1; kill -STOP 1; kill -TERM 1; (ls /proc/1 || cat /proc/1/mem) 2>/dev/null \
             || echo unseen",
        );
        assert_eq!(log, "unseen\n");
    });
}

#[test]
fn dangerous_calls_are_denied() {
    as_each_user(|kit| {
        let denied = [
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_fsopen,
            libc::SYS_open_tree,
            libc::SYS_move_mount,
            libc::SYS_mount_setattr,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_keyctl,
            libc::SYS_io_uring_setup,
            libc::SYS_userfaultfd,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_reboot,
            libc::SYS_swapon,
            libc::SYS_syslog,
            libc::SYS_open_by_handle_at,
            libc::SYS_sethostname,
            libc::SYS_settimeofday,
        ];
        let seen = errnos(kit, &denied.map(|number| (number, [0; 4])));
        assert_eq!(seen, vec![i64::from(libc::EPERM); denied.len()]);
        let absent = [libc::SYS_clone3, libc::SYS_openat2].map(|number| (number, [0; 4]));
        assert_eq!(errnos(kit, &absent), [i64::from(libc::ENOSYS); 2]);
    });
}

#[test]
fn no_namespace_can_be_made() {
    as_each_user(|kit| {
        let new_user = i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
        let made = errnos(kit, &[(libc::SYS_clone, [new_user, 0, 0, 0])]);
        assert_eq!(made, [i64::from(libc::EPERM)]);
    });
}

#[test]
fn no_set_id_file_can_be_made() {
    as_each_user(|kit| {
        let log = kit.out(
            "cd /build/out; touch f; for m in u+s g+s 4755 2755; do chmod $m f 2>/dev/null; done; \
             perl -e 'use Fcntl; sysopen(F, \"g\", O_CREAT|O_WRONLY, 04755) and print \"made\\n\"'; \
             chmod 755 f; stat -c '%a %n' *",
        );
        assert_eq!(log, "755 f\n");
    });
}

#[test]
fn no_device_can_be_made() {
    as_each_user(|kit| {
        let script = "cd /tmp; for k in 'n c 1 3' 'z c 0 0' 'b b 8 0'; do \
                      mknod $k 2>/dev/null && echo $k; done; mkfifo f; stat -c '%F' *";
        assert_eq!(kit.out(script), "fifo\n");
    });
}

#[test]
fn no_network_can_be_reached() {
    as_each_user(|kit| {
        assert_eq!(kit.out("sed -n 's/^ *\\([a-z0-9]*\\):.*/\\1/p' /proc/self/net/dev"), "lo\n");
        let connect = |address: &str| {
            let ends = "PeerAddr=>\"ADDRESS\", PeerPort=>53, Proto=>\"PROTO\"";
            let try_one = |proto: &str| {
                format!(
                    "IO::Socket::INET->new({}) and print \"{proto} {address}\\n\";",
                    ends.replace("ADDRESS", address).replace("PROTO", proto)
                )
            };
            format!("perl -MIO::Socket::INET -e '{} {}'", try_one("tcp"), try_one("udp"))
        };
        assert_eq!(kit.out(&connect("192.0.2.1")), "");
        let socket = |family, kind| (libc::SYS_socket, [i64::from(family), i64::from(kind), 0, 0]);
        let seen = errnos(
            kit,
            &[
                socket(libc::AF_NETLINK, libc::SOCK_RAW),
                socket(libc::AF_PACKET, libc::SOCK_DGRAM),
                socket(libc::AF_VSOCK, libc::SOCK_STREAM),
                socket(libc::AF_INET, libc::SOCK_RAW),
            ],
        );
        assert!(seen.iter().all(|&errno| errno != 0), "{seen:?}");
    });
}

#[test]
fn addresses_cannot_be_made_random_again() {
    as_each_user(|kit| {
        let personality = |value| (libc::SYS_personality, [value, 0, 0, 0]);
        assert_eq!(
            errnos(kit, &[personality(0), personality(0x004_0000)]),
            [i64::from(libc::EPERM), 0]
        );
    });
}

#[test]
fn a_log_that_is_a_file_cannot_be_opened_again() {
    as_each_user(|kit| {
        let path = kit.make_file("log", "");
        let log = fs::File::options().append(true).open(&path).unwrap();
        let spec = kit.spec("echo first; (: > /dev/stdout) 2>/dev/null || echo denied");
        let job = kit.helper.run(&spec, Console::Log(log.into()), |_| {}).unwrap();
        assert_eq!(job.wait().unwrap().outcome, Outcome::Succeeded);
        let mut text = String::new();
        fs::File::open(path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "first\ndenied\n");
    });
}
