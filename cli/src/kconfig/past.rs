//! Asks a daemon what became of symbols that a commit does not have any more.

use std::collections::BTreeMap;
use std::time::Duration;

use kbs_kconfig::{CommitSeen, Departure, Fate, Successor, Symbol};
use kbs_proto::pb;
use kbs_proto::pb::builds_client::BuildsClient;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tonic::transport::Channel;

/// The daemon stops to search long before.
const PATIENCE: Duration = Duration::from_secs(15);

/// What became of symbols, by name.
pub(crate) type Pasts = BTreeMap<String, Vec<Departure>>;

/// A commit whose history a daemon has.
#[derive(Debug)]
pub(super) struct History {
    /// What runs the questions.
    pub(super) runtime: Handle,
    pub(super) builds: BuildsClient<Channel>,
    pub(super) commit: String,
}

impl History {
    /// What became of `symbols`; nothing where the daemon does not say, for it is but a hint.
    pub(super) fn of(&self, symbols: Vec<String>) -> Pasts {
        let request = pb::PastRequest { commit: self.commit.clone(), symbols };
        let mut builds = self.builds.clone();
        let answer = async { timeout(PATIENCE, builds.past(request)).await.ok()?.ok() };
        let reply = block_in_place(|| self.runtime.block_on(answer));
        let pasts = reply.map(|reply| reply.into_inner().pasts).unwrap_or_default();
        let known = pasts.into_iter().map(|past| {
            let pb::SymbolPast { symbol, departures } = past;
            (symbol, departures.into_iter().map_while(departure).collect())
        });
        known.collect()
    }
}

fn departure(departure: pb::Departure) -> Option<Departure> {
    let pb::Departure { symbol, moved, commit, day, subject, prompt, choice, successor } =
        departure;
    let heir = |heir: pb::Successor| {
        let pb::Successor { symbol, prompt } = heir;
        Some(Successor { symbol: Symbol::new(symbol).ok()?, prompt })
    };
    Some(Departure {
        symbol: Symbol::new(symbol).ok()?,
        fate: if moved { Fate::Moved } else { Fate::Removed },
        by: CommitSeen { commit, day, subject },
        prompt,
        choice,
        successor: successor.and_then(heir),
    })
}
