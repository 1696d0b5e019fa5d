//! Looks in a project's history for what became of symbols that its Kconfig files had.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use kbs_kconfig::{
    CommitSeen, Definition, Departure, FILE_MAX_B, FILES_MAX_B, PastSearch, Symbol, defined_symbols,
};
use kbs_source::{BlobOid, Change, CommitId, Mirror, Reach, ReadError, Submodules};

use super::drift;
use crate::contract;
use crate::engine::Engine;
use crate::problem::{EngineError, Problem};

/// Commits that are passed at most, and how long that may take: a hint is not worth more.
const COMMITS_MAX: usize = 20_000;
const TIME_MAX: Duration = Duration::from_secs(2);
/// Where Kconfig files are, as [`is_kconfig`].
const KCONFIG_PATHS: [&str; 2] = ["**/Kconfig*", "**/Config.*"];

/// Whether a file of that name is taken for a Kconfig file.
pub(super) fn is_kconfig(name: &[u8]) -> bool {
    name.starts_with(b"Kconfig") || name.starts_with(b"Config.")
}

/// What became of `symbols` before `commit`, each with what is known of it.
pub(crate) fn of_commit(
    engine: &Engine,
    commit: &str,
    symbols: &[String],
) -> Result<Vec<(Symbol, Vec<Departure>)>, Problem> {
    let commit: CommitId = commit.parse().map_err(|error: kbs_source::OidError| {
        EngineError::Request { text: error.to_string(), help: None }
    })?;
    let symbols: Vec<_> = symbols.iter().filter_map(|name| Symbol::new(name).ok()).collect();
    let selection = engine.select(commit, &KCONFIG_PATHS.map(str::to_owned), Submodules::Ignore)?;
    let now = drift::definitions(engine, &selection)?;
    let found = search(&engine.mirror, commit, symbols.clone(), &now);
    Ok(symbols.into_iter().map(|symbol| (symbol.clone(), found.of(&symbol))).collect())
}

/// Searches the first parents of `commit`, of which `now` are all definitions, for what became of
/// `symbols`. What cannot be read tells nothing.
pub(super) fn search<'a>(
    mirror: &Mirror,
    commit: CommitId,
    symbols: Vec<Symbol>,
    now: &'a [Definition],
) -> PastSearch<'a> {
    let mut search = PastSearch::new(symbols, now);
    let reach = Reach { commits: COMMITS_MAX, until: Instant::now() + TIME_MAX };
    let mut past = Past { mirror, until: reach.until, left_b: FILES_MAX_B as u64 };
    let mut wanted = !search.is_over();
    while wanted {
        let mut look = |change: &Change| match past.look(change, &mut search) {
            Ok(()) if !search.is_over() => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        if let Err(error) = mirror.changes(commit, &is_kconfig, reach, &mut look) {
            tracing::debug!(source.commit = %commit, %error, "the history breaks off");
        }
        wanted = search.follow();
    }
    search
}

/// Nothing more can be read, or may be.
struct Over;

/// The Kconfig files of the past.
struct Past<'a> {
    mirror: &'a Mirror,
    until: Instant,
    left_b: u64,
}

impl Past<'_> {
    fn look(&mut self, change: &Change, search: &mut PastSearch<'_>) -> Result<(), Over> {
        let before = || change.files.iter().filter_map(|file| file.before);
        let mut concerned = false;
        for oid in before() {
            concerned = search.concerns(&self.text(oid)?);
            if concerned {
                break;
            }
        }
        if concerned {
            let after = change.files.iter().filter_map(|file| file.after);
            let (before, after) = (self.definitions(before())?, self.definitions(after)?);
            let Change { commit, time_s, subject, files: _ } = change;
            let (commit, day) = (commit.to_string(), contract::day(*time_s));
            search.look(&CommitSeen { commit, day, subject: subject.clone() }, &before, &after);
        }
        Ok(())
    }

    fn definitions(
        &mut self,
        files: impl Iterator<Item = BlobOid>,
    ) -> Result<Vec<Definition>, Over> {
        let mut all = Vec::new();
        for oid in files {
            all.extend(defined_symbols(&self.text(oid)?));
        }
        Ok(all)
    }

    /// The text of a file; of one that is too large for a Kconfig file, none.
    fn text(&mut self, oid: BlobOid) -> Result<String, Over> {
        let unreadable = |error: ReadError| {
            tracing::debug!(blob.id = %oid, %error, "a Kconfig file of the past is left out");
            Over
        };
        let size_b = self.mirror.size_b(oid).map_err(unreadable)?;
        if size_b > FILE_MAX_B as u64 {
            return Ok(String::new());
        }
        self.left_b = self.left_b.checked_sub(size_b).ok_or(Over)?;
        if Instant::now() >= self.until {
            return Err(Over);
        }
        let bytes = self.mirror.read(oid).map_err(unreadable)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
