//! Looking for entries by name and prompt.

use kbs_kconfig::{EntryId, Kconfig, Menu};

use super::edit::Line;

/// Hits that are kept.
const HITS_MAX: usize = 500;

/// All entries that can be found.
#[derive(Debug, Default)]
pub(crate) struct Haystack {
    stalks: Vec<Stalk>,
}

#[derive(Debug)]
struct Stalk {
    id: EntryId,
    /// The name in lower case, or nothing.
    name: String,
    /// Name and title in lower case.
    all: String,
}

/// A search while it is typed.
#[derive(Debug)]
pub(crate) struct Search {
    /// What is looked for.
    pub(crate) line: Line,
    /// What was found, best first.
    pub(crate) hits: Vec<EntryId>,
    /// How many were found.
    pub(crate) count: usize,
    /// Which of the hits is chosen.
    pub(crate) cursor: usize,
    /// The first hit on the screen.
    pub(crate) top: usize,
}

impl Haystack {
    /// Collects what can be found in `menu`.
    pub(crate) fn of(kconfig: &Kconfig, menu: &Menu) -> Self {
        let stalks = menu.entries().filter_map(|id| {
            let entry = kconfig.entry(id);
            let name = entry.symbol.unwrap_or_default().to_lowercase();
            let title = entry.title.unwrap_or_default().to_lowercase();
            let is_something = !name.is_empty() || !title.is_empty();
            is_something.then(|| Stalk { id, all: format!("{name} {title}"), name })
        });
        Self { stalks: stalks.collect() }
    }

    /// The entries whose name or title has all words of `text`, best first, and how many there are.
    ///
    /// A prefix as in a `.config` is no part of a name. Without words, finds nothing.
    pub(crate) fn find(&self, text: &str) -> (Vec<EntryId>, usize) {
        let text = text.to_lowercase();
        let words: Vec<&str> =
            text.split_whitespace().map(|word| word.trim_start_matches("config_")).collect();
        let Some(first) = words.first() else { return (Vec::new(), 0) };
        let mut hits: Vec<(u8, EntryId)> = self
            .stalks
            .iter()
            .filter(|stalk| words.iter().all(|word| stalk.all.contains(word)))
            .map(|stalk| {
                let rank = match &stalk.name {
                    name if name == first => 0,
                    name if name.starts_with(first) => 1,
                    name if name.contains(first) => 2,
                    _ => 3,
                };
                (rank, stalk.id)
            })
            .collect();
        let count = hits.len();
        hits.sort_unstable();
        hits.truncate(HITS_MAX);
        (hits.into_iter().map(|(_, id)| id).collect(), count)
    }
}

impl Search {
    /// Nothing typed yet.
    pub(crate) fn new() -> Self {
        Self { line: Line::default(), hits: Vec::new(), count: 0, cursor: 0, top: 0 }
    }

    /// Looks again, after the line has changed.
    pub(crate) fn again(&mut self, haystack: &Haystack) {
        let (hits, count) = haystack.find(self.line.text());
        (self.hits, self.count, self.cursor, self.top) = (hits, count, 0, 0);
    }

    /// Chooses another hit, `by` further down, and keeps it among `height` lines.
    pub(crate) fn step(&mut self, by: isize, height: usize) {
        let last = self.hits.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
        let height = height.max(1);
        self.top = self.top.clamp((self.cursor + 1).saturating_sub(height), self.cursor);
    }
}
