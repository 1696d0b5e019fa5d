//! What setting a symbol would change.

use super::Explanation;
use crate::configuration::{Configuration, SetError};

/// What setting a symbol would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequences {
    /// The symbol afterwards; it need not have the value that was asked for.
    pub after: Explanation,
    /// Every symbol whose value would be another one, in the order of the files; the one that is
    /// set is among them.
    pub changes: Vec<Consequence>,
}

/// A symbol that would have another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequence {
    /// The symbol.
    pub symbol: String,
    /// `bool`, `tristate`, `int`, `hex`, `string`, or `unknown`.
    pub kind: &'static str,
    /// Its value now, `None` where the `.config` does not name it.
    pub before: Option<String>,
    /// Its value then, `None` where the `.config` would not name it.
    pub after: Option<String>,
}

impl Configuration<'_> {
    /// What setting `symbol` to `value` would change. Nothing is changed.
    ///
    /// # Errors
    /// As [`Configuration::set`].
    pub fn consequences(&self, symbol: &str, value: &str) -> Result<Consequences, SetError> {
        let mut changed = self.clone();
        changed.set(symbol, value)?;
        let after = changed
            .explain(symbol)
            .ok_or_else(|| SetError::Unknown { symbol: crate::shown::shown(symbol) })?;
        Ok(Consequences { after, changes: self.changes_to(&changed) })
    }

    /// The symbols that have other values in `other`, a configuration of the same project, in the
    /// order of the files.
    pub fn changes_to(&self, other: &Self) -> Vec<Consequence> {
        let changes = self.defined().filter_map(|id| {
            let kind = self.kconfig.tree.symbols[id.index()].kind;
            let value = |configuration: &Self| {
                let is_written = configuration.values.states[id.index()].written;
                // Off and absent are the same.
                let is_there = is_written || kind.is_logic();
                is_there.then(|| configuration.resolver().text(id).to_owned())
            };
            let (before, after, kind) = (value(self), value(other), kind.word());
            let symbol = self.kconfig.tree.symbol_name(id).to_string();
            (before != after).then_some(Consequence { symbol, kind, before, after })
        });
        changes.collect()
    }
}
