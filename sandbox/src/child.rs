//! The life of a jail's first process: build the jail around itself, run the steps, report.

use std::{
    fs,
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, open},
    io::Errno,
    process::{
        DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid, getrlimit, set_dumpable_behavior,
        set_parent_process_death_signal, setrlimit, setsid, umask,
    },
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin},
    system::{setdomainname, sethostname},
};

use crate::{
    JailSpec, Limits, Op, Outcome, SetupFailure, filter, ops,
    ops::{DOMAIN_NAME, HOST_NAME, INSIDE_ID},
    probe, seal,
    stage::{ScratchSpace, Stage, StageError, stop_propagation},
    steps, sys,
    wire::{self, FromJail},
};

/// Stack of every program, whatever the caller's is: it decides where the heap lies.
const STACK_B: u64 = 8 << 20;

/// Who the jail's user is outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

/// What a jail's first process is given.
pub(crate) struct Child<'a> {
    pub(crate) spec: &'a JailSpec,
    pub(crate) outside: Identity,
    pub(crate) log: OwnedFd,
    pub(crate) helper: OwnedFd,
}

/// Lives the life of a jail's first process, in a process that was just copied from the helper.
pub(crate) fn live(child: Child<'_>) -> ! {
    // A panic must not unwind into the helper's code, of which this process is a copy.
    let reported = catch_unwind(AssertUnwindSafe(|| {
        let outcome = run(&child);
        let Child { spec: _, outside: _, log, helper } = child;
        end_log(log)?;
        let usage = sys::process::children_usage();
        wire::send(&helper, &FromJail::Over { outcome, usage }, &[])
    }));
    sys::process::exit_now(match reported {
        Ok(Ok(())) => 0,
        Ok(Err(_)) | Err(_) => 1,
    })
}

/// Closes the log, so that its reader has come to its end when the end of the jail is told.
fn end_log(log: OwnedFd) -> Result<(), Errno> {
    drop(log);
    dup2_stdout(stdin())?;
    dup2_stderr(stdin())
}

fn run(child: &Child<'_>) -> Outcome {
    let mut jail = Jail { child, stage: None, scratch: None };
    for (index, op) in ops(child.spec).iter().enumerate() {
        match jail.perform(op) {
            Ok(None) => {}
            Ok(Some(outcome)) => return outcome,
            Err(error) => {
                return Outcome::SetupFailed(SetupFailure {
                    index,
                    op: op.to_string(),
                    help: probe::help_for(op, &error),
                    errno: error.errno.raw_os_error(),
                    detail: error.detail,
                });
            }
        }
    }
    Outcome::Succeeded
}

/// The jail as far as it is built.
struct Jail<'a> {
    child: &'a Child<'a>,
    stage: Option<Stage>,
    scratch: Option<ScratchSpace>,
}

impl Jail<'_> {
    /// Does one thing; an outcome ends the jail.
    fn perform(&mut self, op: &Op<'_>) -> Result<Option<Outcome>, StageError> {
        match *op {
            Op::DieWithHelper => self.die_with_helper()?,
            Op::MapUser => map_user(self.child.outside)?,
            Op::NameHost => {
                sethostname(HOST_NAME.as_bytes())?;
                setdomainname(DOMAIN_NAME.as_bytes())?;
            }
            Op::RaiseLoopback => sys::loopback::raise()?,
            Op::StopPropagation => stop_propagation()?,
            Op::MountRoot => self.stage = Some(Stage::new()?),
            Op::ShowImage { host } => self.stage()?.show_image(host)?,
            Op::MountScratch { size_b } => {
                self.scratch = Some(self.stage()?.scratch_in_memory(size_b)?);
            }
            Op::OpenScratch { dir } => self.scratch = Some(ScratchSpace::on_disk(dir)?),
            Op::MountSource { host } => self.stage()?.mount_source(self.scratch()?, host)?,
            Op::BindPart(part) => self.stage()?.bind_part(self.scratch()?, part)?,
            Op::BindDevice { name } => self.stage()?.bind_device(name)?,
            Op::LinkDescriptors => self.stage()?.link_descriptors()?,
            Op::MountProc => self.stage()?.mount_proc()?,
            Op::BindInput(input) => self.stage()?.bind_input(input)?,
            Op::HandOutDirs => {
                let dirs = self.stage()?.result_dirs()?;
                let fds = [dirs.src.as_fd(), dirs.out.as_fd()];
                wire::send(&self.child.helper, &FromJail::Dirs, &fds)?;
            }
            Op::EnterRoot => self.stage()?.enter()?,
            Op::WriteFile(file) => self.stage()?.write_file(file)?,
            Op::FreezeRoot => self.stage()?.freeze()?,
            Op::Limit { limits, file_b } => limit(limits, file_b)?,
            Op::ConnectLog => self.connect_log()?,
            Op::DropCapabilities => {
                seal::drop_capabilities()?;
                set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
            }
            Op::Landlock => seal::apply_landlock()?,
            Op::FilterSyscalls => sys::seccomp::install(&filter::PROGRAM)?,
            Op::Run { index, step } => return Ok(steps::run(index, step, &self.child.spec.env)?),
        }
        Ok(None)
    }

    fn stage(&self) -> Result<&Stage, Errno> {
        self.stage.as_ref().ok_or(Errno::INVAL)
    }

    fn scratch(&self) -> Result<&ScratchSpace, Errno> {
        self.scratch.as_ref().ok_or(Errno::INVAL)
    }

    fn die_with_helper(&self) -> Result<(), Errno> {
        let Child { spec: _, outside: _, log, helper } = self.child;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Includes our copy of the helper's end of the connection.
        sys::fds::close_all_but([log, helper])?;
        // If the helper died before the request, its end is closed by now.
        let mut connection = [PollFd::new(helper, PollFlags::IN)];
        if poll(&mut connection, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0 {
            return Err(Errno::PIPE);
        }
        setsid()?;
        // Modes are meant as they are written, until the steps get their own mask.
        umask(Mode::empty());
        Ok(())
    }

    fn connect_log(&self) -> Result<(), Errno> {
        dup2_stdin(open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)?;
        dup2_stdout(&self.child.log)?;
        dup2_stderr(&self.child.log)?;
        sys::fds::close_all_on_exec()
    }
}

/// Becomes uid and gid 1000 of the new user namespace: the one mapping that needs no privilege.
pub(crate) fn map_user(Identity { uid, gid }: Identity) -> Result<(), StageError> {
    let lines = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{INSIDE_ID} {uid} 1")),
        ("gid_map", format!("{INSIDE_ID} {gid} 1")),
    ];
    for (file, line) in lines {
        fs::write(format!("/proc/self/{file}"), line).map_err(|error| StageError {
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
            detail: Some(file.to_owned()),
        })?;
    }
    Ok(())
}

fn limit(limits: &Limits, file_b: Option<u64>) -> Result<(), Errno> {
    let Limits { wall: _, scratch_b: _, open_files, pids, memory_b } = limits;
    let most = [
        (Resource::Core, Some(0)),
        (Resource::Nofile, Some(*open_files)),
        (Resource::Nproc, *pids),
        (Resource::Data, *memory_b),
        (Resource::Fsize, file_b),
    ];
    for (resource, most) in most {
        if let Some(most) = most {
            let allowed = getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
            setrlimit(resource, Rlimit { current: Some(allowed), maximum: Some(allowed) })?;
        }
    }
    let hard = getrlimit(Resource::Stack).maximum;
    let stack = hard.map_or(STACK_B, |hard| hard.min(STACK_B));
    setrlimit(Resource::Stack, Rlimit { current: Some(stack), maximum: hard })?;
    umask(Mode::from_raw_mode(0o022));
    sys::process::fix_addresses()
}
