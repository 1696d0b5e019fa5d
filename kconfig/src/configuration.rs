//! A configuration of a project: what was set, and what follows.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::dialect::Tool;
use crate::expr::Tristate;
use crate::ids::SymbolId;
use crate::kconfig::Kconfig;
use crate::number::is_settable;
use crate::order::Unit;
use crate::resolve::{ChoiceState, ChoiceWish, Resolver, State, Values, Wish};
use crate::shown::shown;
use crate::tree::Kind;

/// A configuration: values that were set, and the values of all symbols that follow from them.
#[derive(Debug, Clone)]
pub struct Configuration<'k> {
    pub(crate) kconfig: &'k Kconfig,
    pub(crate) values: Values,
}

/// A symbol cannot be set like that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// No Kconfig file defines it.
    #[error("cannot set {symbol}: the project does not define it")]
    Unknown {
        /// The name.
        symbol: String,
    },
    /// The value does not belong to its type.
    #[error("cannot set {symbol} to `{value}`: that is no value of {kind}")]
    Value {
        /// The name.
        symbol: String,
        /// The value.
        value: String,
        /// The type of the symbol, with an article.
        kind: &'static str,
    },
    /// The number is out of the range that holds at the moment.
    #[error("cannot set {symbol} to {value}: that is out of its range")]
    Range {
        /// The name.
        symbol: String,
        /// The value.
        value: String,
    },
}

impl<'k> Configuration<'k> {
    pub(crate) fn new(kconfig: &'k Kconfig) -> Self {
        let (symbols, choices) = (kconfig.tree.symbols.len(), kconfig.tree.choices.len());
        let mut states = vec![State::default(); symbols];
        let constants = kconfig.tree.constants;
        states[constants.yes.index()].value = Tristate::Yes;
        states[constants.module.index()].value = Tristate::Module;
        let values = Values {
            wishes: vec![Wish::Open; symbols],
            lines: vec![0; symbols],
            choice_wishes: vec![ChoiceWish::default(); choices],
            states,
            choice_states: vec![ChoiceState::default(); choices],
        };
        let mut configuration = Self { kconfig, values };
        configuration.decide_all();
        configuration
    }

    /// Sets a symbol as a `.config` would: `y`, `m`, `n`, a number, or a text without quotes.
    ///
    /// A symbol nobody is asked for keeps its value, but remembers what was set. Everything that
    /// follows is decided again at once.
    ///
    /// # Errors
    /// [`SetError`]; nothing was changed.
    pub fn set(&mut self, symbol: &str, value: &str) -> Result<(), SetError> {
        let id = self.find(symbol).ok_or_else(|| SetError::Unknown { symbol: shown(symbol) })?;
        let wish = self.wish(id, value).ok_or_else(|| SetError::Value {
            symbol: shown(symbol),
            value: shown(value),
            kind: match self.kconfig.tree.symbols[id.index()].kind {
                Kind::Unknown => "a symbol without a type",
                Kind::Bool => "a bool",
                Kind::Tristate => "a tristate",
                Kind::Int => "an int",
                Kind::Hex => "a hex number",
                Kind::Text => "a string",
            },
        })?;
        if let (Tool::Conf, Wish::Text(text)) = (self.kconfig.dialect.tool, &wish)
            && !self.resolver().fits(id, text)
        {
            return Err(SetError::Range { symbol: shown(symbol), value: shown(value) });
        }
        let mut changed = vec![Unit::Symbol(id)];
        if let Some(choice) = self.kconfig.model.symbols[id.index()].choice {
            changed.push(Unit::Choice(choice));
            if wish != Wish::Logic(Tristate::No) {
                // Only lines of one text can contradict each other; here the last word counts.
                let kept = &mut self.values.choice_wishes[choice.index()];
                *kept = ChoiceWish { selection: kept.selection, ..ChoiceWish::default() };
            }
        }
        self.wish_for(id, wish);
        self.values.lines[id.index()] = 0;
        self.decide_again(&changed);
        Ok(())
    }

    /// The value of a symbol, as [`Configuration::set`] takes it; `None` if the project does not
    /// define it.
    pub fn value(&self, symbol: &str) -> Option<Cow<'_, str>> {
        let id = self.find(symbol)?;
        let resolver = Resolver { kconfig: self.kconfig, values: &self.values };
        Some(resolver.text(id).to_owned().into())
    }

    /// How far a person may set a symbol: not at all where it is `n`.
    pub fn visibility(&self, symbol: &str) -> Option<Tristate> {
        self.find(symbol).map(|id| self.values.states[id.index()].visible)
    }

    /// What `value` means for a symbol, `None` if it is not one of its values.
    pub(crate) fn wish(&self, id: SymbolId, value: &str) -> Option<Wish> {
        let kind = self.kconfig.tree.symbols[id.index()].kind;
        match (kind, value) {
            (Kind::Bool | Kind::Tristate, "y") => Some(Wish::Logic(Tristate::Yes)),
            (Kind::Bool | Kind::Tristate, "n") => Some(Wish::Logic(Tristate::No)),
            (Kind::Tristate, "m") => Some(Wish::Logic(Tristate::Module)),
            (Kind::Text, text) => Some(Wish::Text(text.into())),
            (Kind::Int | Kind::Hex, number)
                if is_settable(number, kind, self.kconfig.dialect.tool) =>
            {
                Some(Wish::Text(number.into()))
            }
            _ => None,
        }
    }

    pub(crate) fn find(&self, symbol: &str) -> Option<SymbolId> {
        let id = self.kconfig.tree.find(symbol)?;
        let known = &self.kconfig.tree.symbols[id.index()];
        (!known.constant && !known.nodes.is_empty()).then_some(id)
    }

    pub(crate) fn resolver(&self) -> Resolver<'_> {
        Resolver { kconfig: self.kconfig, values: &self.values }
    }

    /// Decides every unit, in order.
    pub(crate) fn decide_all(&mut self) {
        for unit in &self.kconfig.order.units {
            self.decide(*unit);
        }
    }

    /// Decides units, and all that depends on what comes out differently.
    pub(crate) fn decide_again(&mut self, units: &[Unit]) {
        let order = &self.kconfig.order;
        let mut open: BTreeSet<u32> = units.iter().map(|unit| order.rank(*unit)).collect();
        while let Some(rank) = open.pop_first() {
            if self.decide(order.units[rank as usize]) {
                open.extend(order.needed_by(rank));
            }
        }
    }

    /// Decides one unit; whether it came out differently.
    pub(crate) fn decide(&mut self, unit: Unit) -> bool {
        let resolver = Resolver { kconfig: self.kconfig, values: &self.values };
        match unit {
            Unit::Symbol(id) => {
                let state = resolver.symbol(id);
                let kept = &mut self.values.states[id.index()];
                let changed = *kept != state;
                *kept = state;
                changed
            }
            Unit::Choice(id) => {
                let state = resolver.choice(id);
                let kept = &mut self.values.choice_states[id.index()];
                let changed = *kept != state;
                *kept = state;
                changed
            }
        }
    }
}
