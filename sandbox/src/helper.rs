//! The daemon's side: the handle of the helper process and of each job.

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::Receiver,
    },
    thread::{self, JoinHandle},
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    net::{Shutdown, shutdown},
};

use crate::{
    Cgroup, Console, Finished, JailSpec, Sample, SandboxError,
    serve::HELPER_ARGUMENT,
    waiting::{Ends, Waiting},
    wire::{self, ToHelper},
};

/// The helper process of this daemon. Dropping it kills every jail.
#[derive(Debug)]
pub struct Helper {
    link: Arc<Link>,
    reader: Option<JoinHandle<()>>,
}

/// The connection to the helper and the jobs that wait for news from it.
struct Link {
    socket: OwnedFd,
    next_id: AtomicU64,
    /// `None` once the helper is gone.
    waiting: Mutex<Option<Waiting>>,
}

/// One jail, running or over. Dropping it before its end kills the jail.
#[derive(Debug)]
#[must_use = "dropping a job kills its jail"]
pub struct Job {
    id: u64,
    link: Arc<Link>,
    pid: Arc<OnceLock<i32>>,
    end: Mutex<Receiver<Finished>>,
    over: AtomicBool,
}

impl Helper {
    /// Starts `program` (usually the running one), whose `main` begins with
    /// [`helper_main_if_asked`](crate::helper_main_if_asked), as the helper. Each jail gets a group
    /// below `cgroup`; without one the helper does the accounts itself.
    ///
    /// # Errors
    /// [`SandboxError::Start`].
    pub fn start(program: &Path, cgroup: Option<&Cgroup>) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::Start { program: program.to_owned(), source };
        let (socket, theirs) = wire::connection().map_err(|errno| failed(errno.into()))?;
        let process = Command::new(program)
            .arg(HELPER_ARGUMENT)
            .args(cgroup.map(Cgroup::dir))
            .env_clear()
            .current_dir("/")
            .stdin(theirs)
            .stdout(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let link = Arc::new(Link {
            socket,
            next_id: AtomicU64::new(1),
            waiting: Mutex::new(Some(Waiting::default())),
        });
        let reader = thread::Builder::new().name("kbs-jails".into()).spawn({
            let link = Arc::clone(&link);
            move || link.read(process)
        });
        Ok(Self { link, reader: Some(reader.map_err(failed)?) })
    }

    /// Starts a jail. `samples` is given what it holds, every [`JailSpec::sample_every`], by a thread
    /// that other jobs need: it must not wait.
    ///
    /// That the kernel refuses the jail is told by [`Job::wait`].
    ///
    /// # Errors
    /// [`SandboxError::Spec`], [`SandboxError::Send`], [`SandboxError::HelperGone`]; no jail exists.
    pub fn run(
        &self,
        spec: &JailSpec,
        console: Console,
        samples: impl FnMut(Sample) + Send + 'static,
    ) -> Result<Job, SandboxError> {
        spec.check()?;
        let spec = spec_file(spec).map_err(SandboxError::Send)?;
        let id = self.link.next_id.fetch_add(1, Ordering::Relaxed);
        // Before the request, or the answer could come first.
        let Ends { pid, end } = match &mut *self.link.waiting() {
            Some(waiting) => waiting.add(id, Box::new(samples)),
            None => return Err(SandboxError::HelperGone),
        };
        let request = ToHelper::Run { id, console: console.kind() };
        let mut fds = vec![spec.as_fd()];
        fds.extend(console.descriptors());
        if let Err(errno) = wire::send(&self.link.socket, &request, &fds) {
            if let Some(waiting) = &mut *self.link.waiting() {
                waiting.remove(id);
            }
            return Err(SandboxError::Send(errno.into()));
        }
        // From now on only the jail holds them, so their reader comes to an end.
        drop(console);
        let link = Arc::clone(&self.link);
        Ok(Job { id, link, pid, end: Mutex::new(end), over: AtomicBool::new(false) })
    }

    /// Says whether the helper still serves. One that does not never will again: start another.
    pub fn is_alive(&self) -> bool {
        self.link.waiting().is_some()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The helper takes the end of the connection as its own; it may have come before.
        let _result = shutdown(&self.link.socket, Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _result = reader.join();
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { socket, next_id, waiting: _ } = self;
        f.debug_struct("Link")
            .field("socket", socket)
            .field("next_id", next_id)
            .finish_non_exhaustive()
    }
}

impl Link {
    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out news until the helper is gone.
    fn read(&self, mut process: Child) {
        while let Ok(Some((news, fds))) = wire::receive(&self.socket, wire::MAX_MESSAGE_B) {
            if let Some(waiting) = &mut *self.waiting() {
                waiting.deliver(news, fds);
            }
        }
        // The jobs' channels close with this, which wakes whoever waits.
        *self.waiting() = None;
        let _result = shutdown(&self.socket, Shutdown::Both);
        let _status = process.wait();
    }
}

impl Job {
    /// Waits for the end of the jail. The end is told once: a second call fails.
    ///
    /// # Errors
    /// [`SandboxError::HelperGone`]: the jail is dead and its end unknown.
    pub fn wait(&self) -> Result<Finished, SandboxError> {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let finished = end.recv().map_err(|_| SandboxError::HelperGone)?;
        self.over.store(true, Ordering::Relaxed);
        Ok(finished)
    }

    /// Kills every process of the jail, unless it is over. [`Job::wait`] tells when they are dead.
    pub fn kill(&self) {
        if !self.over.load(Ordering::Relaxed) {
            // Without a helper there is no jail.
            let _result = wire::send(&self.link.socket, &ToHelper::Kill { id: self.id }, &[]);
        }
    }

    /// Returns the number of this job, unique for its [`Helper`].
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the number on the host of the jail's first process, once it is known. It may be
    /// another process's when the jail is over.
    pub fn pid(&self) -> Option<u32> {
        self.pid.get().and_then(|&pid| u32::try_from(pid).ok())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spec_file(spec: &JailSpec) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("kbs-jail-spec", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(spec)?)?;
    Ok(file.into())
}
