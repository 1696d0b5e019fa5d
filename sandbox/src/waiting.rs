//! Jobs that wait for news, and who gets which.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use crate::{Finished, ResultDirs, Sample, wire::FromHelper};

/// Jobs whose end is not known, by their number.
#[derive(Default)]
pub(crate) struct Waiting(BTreeMap<u64, One>);

struct One {
    pid: Arc<OnceLock<i32>>,
    samples: Box<dyn FnMut(Sample) + Send>,
    end: SyncSender<Finished>,
}

/// Where the news of one job come out.
pub(crate) struct Ends {
    /// The number of the jail's first process.
    pub(crate) pid: Arc<OnceLock<i32>>,
    /// Gets one value, or is closed.
    pub(crate) end: Receiver<Finished>,
}

impl Waiting {
    /// Lets a job wait.
    pub(crate) fn add(&mut self, id: u64, samples: Box<dyn FnMut(Sample) + Send>) -> Ends {
        let pid = Arc::new(OnceLock::new());
        let (sender, end) = sync_channel(1);
        self.0.insert(id, One { pid: Arc::clone(&pid), samples, end: sender });
        Ends { pid, end }
    }

    /// Takes a job back.
    pub(crate) fn remove(&mut self, id: u64) {
        self.0.remove(&id);
    }

    /// Gives news to the job that they are about, if it waits.
    pub(crate) fn deliver(&mut self, news: FromHelper, fds: Vec<OwnedFd>) {
        match news {
            FromHelper::Started { id, pid } => {
                if let Some(job) = self.0.get(&id) {
                    let _first = job.pid.set(pid);
                }
            }
            FromHelper::Sample { id, sample } => {
                if let Some(job) = self.0.get_mut(&id) {
                    (job.samples)(sample);
                }
            }
            FromHelper::Finished { id, outcome, usage, took, copied } => {
                let dirs = <[OwnedFd; 2]>::try_from(fds).ok();
                let dirs = dirs.map(|[src, out]| ResultDirs { src, out });
                if let Some(job) = self.0.remove(&id) {
                    // Nobody waits for a dropped job.
                    let _sent = job.end.send(Finished { outcome, usage, took, dirs, copied });
                }
            }
        }
    }
}
