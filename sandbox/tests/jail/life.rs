//! How jails start and end.

use std::time::{Duration, Instant};

use kbs_sandbox::{Console, Limit, Limits, Outcome, SandboxError, probe};

use crate::kit::{FOREVER, Watched, as_each_user, first_line, kits, parent_of, pid_of, step};

#[test]
fn the_first_step_that_fails_is_the_last() {
    as_each_user(|kit| {
        let mut spec = kit.spec("echo one");
        spec.steps.extend([step(&["sh", "-c", "echo two >&2; exit 7"]), step(&["echo", "three"])]);
        let ran = kit.run(&spec);
        assert_eq!(ran.finished.outcome, Outcome::Failed { step: 1, code: 7 });
        assert_eq!(ran.log, "one\ntwo\n");
    });
}

#[test]
fn a_signal_is_told_as_one() {
    as_each_user(|kit| {
        let ran = kit.sh("kill -SEGV $$");
        assert_eq!(ran.finished.outcome, Outcome::Signaled { step: 0, signal: 11 });
    });
}

#[test]
fn a_program_that_is_not_there_is_named_in_the_log() {
    as_each_user(|kit| {
        let mut spec = kit.spec("");
        for (program, code) in [("no-such-program", 127), ("/no/such", 127), ("/etc/passwd", 126)] {
            spec.steps = vec![step(&[program])];
            let ran = kit.run(&spec);
            assert_eq!(ran.finished.outcome, Outcome::Failed { step: 0, code });
            assert!(ran.log.contains(program), "{}", ran.log);
        }
    });
}

#[test]
fn nothing_outlives_its_step() {
    as_each_user(|kit| {
        let mut spec = kit.spec(
            "(setsid sleep 600 &) ; setsid sh -c '(trap \"\" TERM HUP; sleep 600; sleep 600) &'",
        );
        // Process 1 hides itself, so the shell is all there is to see.
        spec.steps.push(step(&["sh", "-c", "cat /proc/[0-9]*/comm"]));
        let start = Instant::now();
        assert_eq!(kit.run(&spec).succeeded(), "sh\n");
        assert!(start.elapsed() < Duration::from_mins(1), "the step was waited for");
    });
}

#[test]
fn the_time_limit_kills_everything() {
    as_each_user(|kit| {
        let mut spec = kit.spec("sleep 600 & sleep 600");
        spec.limits.wall = Some(Duration::from_secs(1));
        let ran = kit.run(&spec);
        assert_eq!(ran.finished.outcome, Outcome::Exceeded(Limit::Wall));
        assert!(ran.finished.took >= Duration::from_secs(1));
        assert!(ran.finished.dirs.is_some(), "what was written so far is lost");
    });
}

#[test]
fn a_time_limit_that_is_not_reached_changes_nothing() {
    as_each_user(|kit| {
        let mut spec = kit.spec("echo done");
        spec.limits.wall = Some(FOREVER);
        assert_eq!(kit.run(&spec).succeeded(), "done\n");
    });
}

#[test]
fn kill_kills_everything() {
    as_each_user(|kit| {
        let (job, log) = kit.start(&kit.spec("(setsid sleep 600 &); echo ready; sleep 600"));
        assert_eq!(first_line(&log), "ready");
        let jail = Watched::new(pid_of(&job));
        job.kill();
        assert_eq!(job.wait().unwrap().outcome, Outcome::Killed);
        jail.assert_dies();
    });
}

#[test]
fn a_dropped_job_is_killed() {
    as_each_user(|kit| {
        let (job, log) = kit.start(&kit.spec("echo ready; sleep 600"));
        assert_eq!(first_line(&log), "ready");
        let jail = Watched::new(pid_of(&job));
        drop(job);
        jail.assert_dies();
    });
}

#[test]
fn jails_die_with_the_helper() {
    as_each_user(|kit| {
        let (job, log) = kit.start(&kit.spec("echo ready; sleep 600"));
        assert_eq!(first_line(&log), "ready");
        let pid = pid_of(&job);
        let (jail, helper) = (Watched::new(pid), Watched::new(parent_of(pid)));
        helper.kill();
        jail.assert_dies();
        assert!(matches!(job.wait(), Err(SandboxError::HelperGone)));
        assert!(!kit.helper.is_alive());
        let (_reader, writer) = rustix::pipe::pipe().unwrap();
        assert!(matches!(
            kit.helper.run(&kit.spec("true"), Console::Log(writer), |_| {}),
            Err(SandboxError::HelperGone)
        ));
    });
}

#[test]
fn the_helper_dies_with_its_daemon() {
    for kit in kits() {
        let (job, log) = kit.start(&kit.spec("echo ready; sleep 600"));
        assert_eq!(first_line(&log), "ready");
        let pid = pid_of(&job);
        let (jail, helper) = (Watched::new(pid), Watched::new(parent_of(pid)));
        // Closes the connection, as the end of the daemon does.
        drop(kit);
        jail.assert_dies();
        helper.assert_dies();
        assert!(matches!(job.wait(), Err(SandboxError::HelperGone) | Ok(_)));
    }
}

#[test]
fn a_hundred_jails_at_once_do_not_disturb_each_other() {
    as_each_user(|kit| {
        let jobs: Vec<_> = (0..100)
            .map(|number| {
                let script = format!("echo {number} > /build/out/n; echo {number}; exit {number}");
                kit.start(&kit.spec(&script))
            })
            .collect();
        for (number, (job, log)) in jobs.into_iter().enumerate() {
            let finished = job.wait().unwrap();
            let code = i32::try_from(number).unwrap();
            let outcome = match code {
                0 => Outcome::Succeeded,
                code => Outcome::Failed { step: 0, code },
            };
            assert_eq!(finished.outcome, outcome);
            assert_eq!(first_line(&log), number.to_string());
            let out = finished.dirs.unwrap().out;
            assert_eq!(crate::kit::read(&out, "n").unwrap(), format!("{number}\n"));
        }
    });
}

#[test]
fn usage_covers_the_children_of_the_steps() {
    as_each_user(|kit| {
        let busy = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'";
        let usage = kit.sh(busy).finished.usage;
        assert!(usage.user >= Duration::from_millis(10), "{usage:?}");
        assert!(usage.memory_peak_b > 100 << 10, "{usage:?}");
    });
}

#[test]
fn limits_reach_the_steps() {
    as_each_user(|kit| {
        let mut spec = kit.spec("ulimit -n; ulimit -c; ulimit -s");
        spec.limits = Limits { open_files: 77, ..spec.limits };
        assert_eq!(kit.run(&spec).succeeded(), "77\n0\n8192\n");
    });
}

#[test]
fn more_processes_than_allowed_end_the_jail_by_name() {
    as_each_user(|kit| {
        let mut spec = kit.spec("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 600 & done; wait");
        spec.limits.pids = Some(5);
        assert_eq!(kit.run(&spec).finished.outcome, Outcome::Exceeded(Limit::Pids));
        spec.limits.pids = Some(11);
        spec.steps =
            vec![step(&["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done; wait"])];
        let usage = {
            let ran = kit.run(&spec);
            assert_eq!(ran.finished.outcome, Outcome::Succeeded, "{}", ran.log);
            ran.finished.usage
        };
        assert_eq!(usage.pids_peak, 11);
    });
}

#[test]
fn more_memory_than_allowed_ends_the_jail_by_name() {
    as_each_user(|kit| {
        let hold = "perl -e '$x = \"x\" x (100 << 20); sleep 600'";
        let mut spec = kit.spec(&format!("{hold} & {hold}"));
        spec.limits.memory_b = Some(150 << 20);
        let finished = kit.run(&spec).finished;
        assert_eq!(finished.outcome, Outcome::Exceeded(Limit::Memory));
        assert!(finished.usage.memory_peak_b > 150 << 20, "{:?}", finished.usage);
    });
}

#[test]
fn memory_that_is_shared_counts() {
    as_each_user(|kit| {
        let hold = "python3 -c 'import mmap, time; m = mmap.mmap(-1, 200 << 20); \
                    m.write(bytes(200 << 20)); time.sleep(600)'";
        let mut spec = kit.spec(hold);
        spec.limits.memory_b = Some(100 << 20);
        assert_eq!(kit.run(&spec).finished.outcome, Outcome::Exceeded(Limit::Memory));
    });
}

#[test]
fn memory_that_processes_share_counts_once() {
    as_each_user(|kit| {
        let hold = "python3 -c 'import os, time\nx = bytearray(b\"x\") * (60 << 20)\n\
                    [os.fork() or (time.sleep(2), os._exit(0)) for i in range(3)]\ntime.sleep(1)'";
        let mut spec = kit.spec(hold);
        spec.limits.memory_b = Some(110 << 20);
        let ran = kit.run(&spec);
        assert_eq!(ran.finished.outcome, Outcome::Succeeded, "{:?}", ran.finished.usage);
        spec.limits.memory_b = Some(50 << 20);
        assert_eq!(kit.run(&spec).finished.outcome, Outcome::Exceeded(Limit::Memory));
    });
}

#[test]
fn files_that_are_mapped_are_scratch_and_no_memory() {
    as_each_user(|kit| {
        let map = "python3 -c 'import mmap, time\nf = open(\"/tmp/x\", \"w+b\")\n\
                   f.write(bytes(60 << 20)); f.flush()\n\
                   m = [mmap.mmap(f.fileno(), 0) for i in range(3)]\n\
                   [len(x[:]) for x in m]; time.sleep(1)'";
        let mut spec = kit.spec(map);
        spec.limits = Limits { memory_b: Some(150 << 20), scratch_b: 80 << 20, ..spec.limits };
        let ran = kit.run(&spec);
        assert_eq!(ran.finished.outcome, Outcome::Succeeded, "{:?}", ran.finished.usage);
    });
}

#[test]
fn samples_tell_what_a_jail_holds_while_it_runs() {
    as_each_user(|kit| {
        let script = "head -c 5000000 /dev/zero > /tmp/x; perl -e '$x = \"x\" x (64 << 20); \
                      $n++ while time - $^T < 2'";
        let mut spec = kit.spec(script);
        spec.sample_every = Duration::from_millis(200);
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::fs::fchown(&writer, Some(rustix::process::Uid::from_raw(kit.uid())), None).unwrap();
        let (sender, samples) = std::sync::mpsc::channel();
        let job = kit
            .helper
            .run(&spec, Console::Log(writer), move |sample| {
                let _sent = sender.send(sample);
            })
            .unwrap();
        let finished = job.wait().unwrap();
        drop(reader);
        let samples: Vec<_> = samples.iter().collect();
        assert!(samples.len() >= 2, "{samples:?}");
        assert!(samples.is_sorted_by_key(|sample| sample.at));
        assert!(samples.iter().any(|sample| sample.memory_b >= 64 << 20), "{samples:?}");
        assert!(samples.iter().all(|sample| sample.pids <= 2), "{samples:?}");
        assert!(samples.iter().any(|sample| sample.scratch_b >= 5_000_000), "{samples:?}");
        let last = samples.last().unwrap();
        let usage = finished.usage;
        assert!(usage.memory_peak_b >= 64 << 20 && usage.user >= last.user, "{usage:?}");
        assert!((5_000_000..6_000_000).contains(&usage.scratch_peak_b), "{usage:?}");
        assert_eq!(usage.scratch_files_peak, 1);
    });
}

#[test]
fn a_jail_that_cannot_be_built_says_where_it_stopped() {
    as_each_user(|kit| {
        let mut spec = kit.spec("true");
        spec.source = vec!["/no/such/source".into()];
        let Outcome::SetupFailed(failure) = kit.run(&spec).finished.outcome else {
            panic!("the jail ran");
        };
        assert_eq!(
            failure.to_string(),
            "the kernel refused step 11 of the jail: mount overlay on /build/src, over \
             /no/such/source (the source): No such file or directory (os error 2)"
        );
        assert_eq!(failure.errno, 2);
    });
}

#[test]
fn however_long_a_name_is_the_failure_is_told() {
    as_each_user(|kit| {
        let mut spec = kit.spec("true");
        spec.root = format!("/{}", "long/".repeat(40_000)).into();
        let Outcome::SetupFailed(failure) = kit.run(&spec).finished.outcome else {
            panic!("the jail ran");
        };
        assert_eq!(failure.errno, rustix::io::Errno::NAMETOOLONG.raw_os_error());
        assert!(failure.op.starts_with("lay /long/long/"), "{}", failure.op);
        assert!(kit.helper.is_alive());
    });
}

#[test]
fn samples_may_be_asked_for_in_a_time_that_never_comes() {
    as_each_user(|kit| {
        let mut spec = kit.spec("echo done");
        spec.sample_every = Duration::MAX;
        assert_eq!(kit.run(&spec).succeeded(), "done\n");
        assert!(kit.helper.is_alive());
    });
}

#[test]
fn a_spec_that_makes_no_sense_starts_nothing() {
    as_each_user(|kit| {
        let mut spec = kit.spec("true");
        spec.limits.scratch_b = 0;
        let (_reader, writer) = rustix::pipe::pipe().unwrap();
        assert!(matches!(
            kit.helper.run(&spec, Console::Log(writer), |_| {}),
            Err(SandboxError::Spec(_))
        ));
    });
}

#[test]
fn the_probe_agrees_that_jails_can_be_built_here() {
    let report = probe(std::path::Path::new(env!("CARGO_BIN_EXE_kbs-jail-test-helper"))).unwrap();
    assert_eq!(report.refused_by(), None, "{report}");
    let names: Vec<&str> = report.layers.iter().map(|layer| layer.name.as_str()).collect();
    insta::assert_snapshot!(names.join(", "), @"user namespace, mount namespace, pid namespace, net namespace, ipc namespace, uts namespace, cgroup namespace, user map, loopback, mounts, overlay, user xattrs in memory, proc, landlock, landlock: truncating, landlock: tcp, landlock: device control, landlock: signals and abstract sockets, system call filter, resource limits");
}

#[test]
fn a_program_that_is_no_helper_is_found_out() {
    let helper = kbs_sandbox::Helper::start(std::path::Path::new("/bin/true"), None).unwrap();
    let kit = &kits()[0];
    let (_reader, writer) = rustix::pipe::pipe().unwrap();
    let ended =
        helper.run(&kit.spec("true"), Console::Log(writer), |_| {}).and_then(|job| job.wait());
    assert!(matches!(ended, Err(SandboxError::HelperGone | SandboxError::Send(_))));
    assert!(kbs_sandbox::Helper::start(std::path::Path::new("/no/such/program"), None).is_err());
}
