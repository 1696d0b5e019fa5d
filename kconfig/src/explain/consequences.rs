//! What setting a symbol would change.

use super::Explanation;
use crate::configuration::{Configuration, SetError};
use crate::menu::Effect;
use crate::shown::shown;

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

impl<'k> Configuration<'k> {
    /// What setting `symbol` to `value` would change. Nothing is changed.
    ///
    /// # Errors
    /// As [`Configuration::set`].
    pub fn consequences(&self, symbol: &str, value: &str) -> Result<Consequences, SetError> {
        let mut changed = self.clone();
        changed.set(symbol, value)?;
        let after =
            changed.explain(symbol).ok_or_else(|| SetError::Unknown { symbol: shown(symbol) })?;
        Ok(Consequences { after, changes: self.changes_to(&changed) })
    }

    /// The symbols that have other values in `other`, a configuration of the same project, in the
    /// order of the files.
    pub fn changes_to(&self, other: &Configuration<'k>) -> Vec<Consequence> {
        let told = |effect: Effect<'_>| {
            let id = self.find(effect.symbol)?;
            let kind = self.kconfig.tree.symbols[id.index()].kind;
            // Off and absent are the same.
            let value = |value: Option<String>| match value {
                None if kind.is_logic() => Some("n".to_owned()),
                value => value,
            };
            let (before, after) = (value(effect.before), value(effect.after));
            let (symbol, kind) = (effect.symbol.to_owned(), kind.word());
            (before != after).then_some(Consequence { symbol, kind, before, after })
        };
        self.effects(other).into_iter().filter_map(told).collect()
    }
}
