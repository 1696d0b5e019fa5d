//! What is different between two configurations of one project.

use crate::configuration::Configuration;
use crate::ids::SymbolId;
use crate::kconfig::Kconfig;

/// A symbol that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect<'k> {
    /// The symbol.
    pub symbol: &'k str,
    /// Its value here; `None` if it is not in the `.config`.
    pub before: Option<String>,
    /// Its value there; `None` if it is not in the `.config`.
    pub after: Option<String>,
}

impl<'k> Configuration<'k> {
    /// The symbols whose lines in the `.config` are different in `other`, in the order of the
    /// files. Both have to be configurations of the same [`Kconfig`].
    pub fn effects(&self, other: &Configuration<'k>) -> Vec<Effect<'k>> {
        let kconfig: &'k Kconfig = self.kconfig;
        let mut changed: Vec<SymbolId> = (0..kconfig.tree.symbols.len())
            .map(SymbolId::at)
            .filter(|id| {
                let symbol = &kconfig.tree.symbols[id.index()];
                !symbol.constant && !symbol.nodes.is_empty() && self.differs(other, *id)
            })
            .collect();
        changed.sort_by_key(|id| kconfig.tree.symbols[id.index()].nodes.first().copied());
        changed
            .into_iter()
            .map(|id| Effect {
                symbol: kconfig.tree.symbol_name(id),
                before: self.written(id),
                after: other.written(id),
            })
            .collect()
    }

    /// Whether the line of a symbol in the `.config` is different in `other`.
    pub fn differs_in(&self, other: &Self, symbol: &str) -> bool {
        self.find(symbol).is_some_and(|id| self.differs(other, id))
    }

    fn differs(&self, other: &Self, id: SymbolId) -> bool {
        let (mine, theirs) = (&self.values.states[id.index()], &other.values.states[id.index()]);
        mine.written != theirs.written
            || mine.written && (mine.value, &mine.text) != (theirs.value, &theirs.text)
    }

    fn written(&self, id: SymbolId) -> Option<String> {
        let state = &self.values.states[id.index()];
        state.written.then(|| self.resolver().text(id).to_owned())
    }
}
