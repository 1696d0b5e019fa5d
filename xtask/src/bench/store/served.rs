//! The real daemon over its socket: how many look-ups it answers, and with how much memory.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kbs_proto::client::connect;
use kbs_proto::pb;
use kbs_proto::pb::daemon_client::DaemonClient;
use kbs_proto::pb::store_client::StoreClient;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::Bench;
use super::index::Index;
use super::look_up::per_second;
use crate::bench::report::{Figure, Report};
use crate::bench::rounds::{median, percentile};
use crate::{Failure, say};

const RATE_BUDGET: &str = "≥ 12000 /s";
const P99_BUDGET: &str = "< 1 ms";
/// So many requests are on the way at a time.
const AT_A_TIME: [u64; 6] = [1, 2, 4, 8, 16, 32];
/// Requests of one round.
const REQUESTS: u64 = 20_000;
/// Keys of one request, where it asks for many.
const KEYS: u64 = 100;
const PATIENCE: Duration = Duration::from_mins(1);

/// A daemon in a process of its own, for a state directory.
pub(super) struct Daemon {
    child: Child,
    runtime: Runtime,
    channel: Channel,
}

impl Daemon {
    /// Starts one, and returns how long it took until it answered.
    pub(super) fn start(kbs: &Path, state: &Path) -> Result<(Self, Duration), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let start = Instant::now();
        let child = Command::new(kbs)
            .args(["daemon", "run"])
            .env("KBS_STATE", state)
            .env("KBS_CONFIG", "/dev/null")
            .env_remove("KBS_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let socket = state.join("kbsd.sock");
        let answer = async {
            loop {
                if let Ok(channel) = connect(&socket).await {
                    let mut client = DaemonClient::new(channel.clone());
                    if client.status(pb::StatusRequest::default()).await.is_ok() {
                        return Ok(channel);
                    }
                }
                if start.elapsed() > PATIENCE {
                    return Err(Failure::from("the daemon does not answer"));
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let channel = runtime.block_on(answer)?;
        let took = start.elapsed();
        Ok((Self { child, runtime, channel }, took))
    }

    /// A client of its store, and where that runs.
    pub(super) fn store(&self) -> (&Runtime, StoreClient<Channel>) {
        (&self.runtime, StoreClient::new(self.channel.clone()))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let mut client = DaemonClient::new(self.channel.clone());
        let asked = self.runtime.block_on(client.stop(pb::StopRequest { force: true }));
        if asked.is_err() {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

/// Measures look-ups over one connection.
pub(super) fn measure(report: &mut Report, bench: &Bench, index: &Index) -> Result<(), Failure> {
    say("look-ups over a connection");
    let (daemon, _) = Daemon::start(&bench.kbs()?, &index.state)?;
    let mut best: Option<(u64, Spread)> = None;
    for at_a_time in AT_A_TIME {
        let mut spread = Spread::default();
        for round in 0..=bench.runs {
            let seen = ask(&daemon, index, at_a_time, 1, round as u64)?;
            if round > 0 {
                spread.add(seen);
            }
        }
        let row = |what, figure: Figure, budget| (what, figure, budget);
        let rows = [
            row(
                "look-ups over one connection",
                per_second(REQUESTS, median(spread.took.clone())),
                RATE_BUDGET,
            ),
            row("their p99", median(spread.p99.clone()).into(), P99_BUDGET),
        ];
        say(&format!("{at_a_time} at a time: {rows:?}"));
        let is_better = best.as_ref().is_none_or(|(_, best)| spread.is_better_than(best));
        if is_better {
            best = Some((at_a_time, spread));
        }
    }
    let (at_a_time, spread) = best.ok_or("nothing was measured")?;
    let bare: Result<Vec<_>, _> = (0..bench.runs).map(|_| bare_socket()).collect();
    let bare = per_second(REQUESTS, median(bare?));
    let peer = [("as many bytes over a bare socket, 1 at a time", bare)];
    let name = format!("{at_a_time} at a time");
    let rate = per_second(REQUESTS, median(spread.took));
    report.row(&format!("look-ups over one connection, {name}"), rate, &peer, Some(RATE_BUDGET));
    report.row(&format!("p50 of these, {name}"), median(spread.p50), &[], None);
    report.row(&format!("p99 of these, {name}"), median(spread.p99), &[], Some(P99_BUDGET));
    let many: Result<Vec<_>, Failure> =
        (0..bench.runs).map(|round| Ok(ask(&daemon, index, 4, KEYS, round as u64)?.took)).collect();
    let rate = per_second(REQUESTS, median(many?));
    report.row(&format!("keys, {KEYS} in a request, 4 at a time"), rate, &[], None);
    Ok(())
}

/// What one round showed.
struct Seen {
    took: Duration,
    times: Vec<Duration>,
}

/// Medians of rounds.
#[derive(Debug, Default)]
struct Spread {
    took: Vec<Duration>,
    p50: Vec<Duration>,
    p99: Vec<Duration>,
}

impl Spread {
    fn add(&mut self, seen: Seen) {
        let Seen { took, mut times } = seen;
        self.took.push(took);
        self.p50.push(percentile(&mut times, 50));
        self.p99.push(percentile(&mut times, 99));
    }

    /// More in a second, unless that makes one in a hundred wait too long.
    fn is_better_than(&self, other: &Self) -> bool {
        let is_late = |spread: &Self| median(spread.p99.clone()) >= Duration::from_millis(1);
        let key = |spread: &Self| (is_late(spread), median(spread.took.clone()));
        key(self) < key(other)
    }
}

/// Asks for random keys, `at_a_time` requests being on the way.
fn ask(
    daemon: &Daemon,
    index: &Index,
    at_a_time: u64,
    keys_each: u64,
    round: u64,
) -> Result<Seen, Failure> {
    let (runtime, client) = daemon.store();
    let rows = index.rows;
    let each = REQUESTS / at_a_time / keys_each;
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        let start = Instant::now();
        for task in 0..at_a_time {
            let mut client = client.clone();
            tasks.spawn(async move {
                let mut times = Vec::with_capacity(usize::try_from(each).unwrap_or(0));
                for step in 0..each {
                    let first = ((round * at_a_time + task) * each + step) * keys_each;
                    let key = |number| Index::key(number * 7919 % rows).to_string();
                    let keys = (first..first + keys_each).map(key).collect();
                    let asked = Instant::now();
                    let reply = client.query(pb::QueryRequest { keys }).await;
                    times.push(asked.elapsed());
                    let reply = reply.map_err(|error| error.to_string())?.into_inner();
                    if !reply.entries.iter().all(|entry| entry.found) {
                        return Err("a key that is there was not found".to_owned());
                    }
                }
                Ok(times)
            });
        }
        let mut times = Vec::new();
        while let Some(done) = tasks.join_next().await {
            times.extend(done??);
        }
        Ok(Seen { took: start.elapsed(), times })
    })
}

/// What the kernel alone takes to carry questions and answers of that size between two threads.
fn bare_socket() -> Result<Duration, Failure> {
    use std::io::{Read as _, Write as _};
    let (mut ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
    let answering = std::thread::spawn(move || {
        let mut question = [0; 120];
        while theirs.read_exact(&mut question).is_ok() && theirs.write_all(&[1; 350]).is_ok() {}
    });
    let start = Instant::now();
    for _ in 0..REQUESTS {
        ours.write_all(&[0; 120])?;
        ours.read_exact(&mut [0; 350])?;
    }
    let took = start.elapsed();
    drop(ours);
    answering.join().map_err(|_| "a thread panicked")?;
    Ok(took)
}
