//! Which symbols require a symbol to be on, and why they are on themselves.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use super::{Asked, Cause, Facts};
use crate::expr::{Exprs, Tristate};
use crate::ids::SymbolId;
use crate::model::SymbolModel;
use crate::spot::Spot;
use crate::tree::Property;

use Tristate::No;

/// What other symbols require a symbol to be at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selects {
    /// At least that much.
    pub floor: Tristate,
    /// The symbols that do so at the moment, in the order of the files.
    pub by: Vec<Selection>,
    /// How it comes to that, along the shortest way: the first is not selected itself, each
    /// selects the next, and the last one the symbol. Never empty.
    pub chain: Vec<Selection>,
    /// Why the first of the chain is on.
    pub origin: Origin,
}

/// One `select` or `imply` that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The symbol that selects.
    pub symbol: String,
    /// Its value.
    pub value: Tristate,
    /// Where the line stands.
    pub at: Spot,
    /// Its `if`, as in a Kconfig file.
    pub condition: Option<String>,
}

/// Why a symbol is on that nothing selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A person set it.
    Asked(Asked),
    /// A default.
    Default(Spot),
    /// It is the member of its choice that is on.
    Choice,
    /// Others imply it.
    Implied,
    /// Symbols select each other in a circle, or nothing is known.
    Unknown,
}

impl Facts<'_> {
    /// Who requires a symbol to be on; `None` if nobody does.
    pub(crate) fn selects(&self, id: SymbolId) -> Option<Selects> {
        let floor = self.resolver.floor(id);
        if floor == No {
            return None;
        }
        let by = self.active(id, |known| &known.selected_by);
        let chain = self.chain(id);
        let first = chain.first().and_then(|first| self.tree.find(&first.symbol));
        let origin = first.map_or(Origin::Unknown, |first| self.origin(first));
        Some(Selects { floor, by, chain, origin })
    }

    /// The selects or implies of a symbol that count.
    pub(crate) fn active(
        &self,
        id: SymbolId,
        list: impl Fn(&SymbolModel) -> &[Property<SymbolId>],
    ) -> Vec<Selection> {
        let all = list(&self.model.symbols[id.index()]).iter();
        all.filter(|by| self.counts(by)).map(|by| self.selection(id, by)).collect()
    }

    fn counts(&self, by: &Property<SymbolId>) -> bool {
        self.resolver.logic(by.value) != No && self.resolver.expr(by.condition) != No
    }

    fn selection(&self, target: SymbolId, by: &Property<SymbolId>) -> Selection {
        // The condition in the model includes what the selecting symbol depends on.
        let nodes = &self.tree.symbols[by.value.index()].nodes;
        let lines = nodes.iter().flat_map(|node| {
            let node = self.tree.node(*node);
            node.selects.iter().chain(&node.implies)
        });
        let own = lines.into_iter().find(|line| line.span == by.span && line.value == target);
        let condition = own.map_or(Exprs::yes(), |line| line.condition);
        Selection {
            symbol: self.name(by.value),
            value: self.resolver.logic(by.value),
            at: self.tree.spot(by.span),
            condition: (condition != Exprs::yes()).then(|| self.tree.spelled(condition)),
        }
    }

    /// The shortest way back to a symbol that nothing selects.
    fn chain(&self, id: SymbolId) -> Vec<Selection> {
        // By selecting symbol: what it selects on the way, and by which line.
        let mut ways: BTreeMap<SymbolId, (SymbolId, &Property<SymbolId>)> = BTreeMap::new();
        let mut open = VecDeque::from([id]);
        let mut end = None;
        while let Some(target) = open.pop_front() {
            let known = &self.model.symbols[target.index()];
            let mut is_selected = false;
            if known.choice.is_none() {
                for by in known.selected_by.iter().filter(|by| self.counts(by)) {
                    is_selected = true;
                    if by.value != id && !ways.contains_key(&by.value) {
                        ways.insert(by.value, (target, by));
                        open.push_back(by.value);
                    }
                }
            }
            if !is_selected {
                end = Some(target);
                break;
            }
        }
        let mut at = end.or_else(|| ways.keys().next().copied());
        let mut chain = Vec::new();
        while let Some((target, by)) = at.and_then(|at| ways.get(&at)) {
            chain.push(self.selection(*target, by));
            at = Some(*target);
        }
        chain
    }

    fn origin(&self, id: SymbolId) -> Origin {
        match self.cause(id).0 {
            Cause::Asked(asked) => Origin::Asked(asked),
            Cause::Default(default) => Origin::Default(default.at),
            Cause::Chosen { .. } => Origin::Choice,
            Cause::Implied(_) => Origin::Implied,
            Cause::NotChosen { .. } | Cause::Selected | Cause::Nothing => Origin::Unknown,
        }
    }
}
