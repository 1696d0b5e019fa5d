//! What symbols can be at all, whatever a person sets.

use std::cmp::{max, min};

use crate::expr::{Expr, Tristate};
use crate::ids::{ChoiceId, ExprId, SymbolId};
use crate::model::Model;
use crate::tree::{Kind, Tree};

use Tristate::{Module, No, Yes};

/// Upper bounds of what symbols and choices can be.
///
/// Never lower than what is possible: what is `n` here can never be on.
pub(super) struct Reach<'a> {
    tree: &'a Tree,
    model: &'a Model,
    symbols: Vec<Tristate>,
    choices: Vec<Tristate>,
}

impl<'a> Reach<'a> {
    /// Raises all bounds until nothing changes any more.
    pub(super) fn new(tree: &'a Tree, model: &'a Model) -> Self {
        let mut reach = Self {
            tree,
            model,
            symbols: vec![No; tree.symbols.len()],
            choices: vec![No; tree.choices.len()],
        };
        for constant in [tree.constants.yes, tree.constants.module] {
            reach.symbols[constant.index()] = Yes;
        }
        loop {
            let mut is_changed = false;
            for index in 0..reach.choices.len() {
                let found = reach.choice(ChoiceId::at(index));
                is_changed |= raise(&mut reach.choices[index], found);
            }
            for index in 0..reach.symbols.len() {
                let found = reach.symbol(SymbolId::at(index));
                is_changed |= raise(&mut reach.symbols[index], found);
            }
            if !is_changed {
                return reach;
            }
        }
    }

    /// The most that an expression can be.
    pub(super) fn most(&self, id: ExprId) -> Tristate {
        match self.tree.exprs.get(id) {
            Expr::Constant(value) => *value,
            Expr::Module => self.tree.modules.map_or(No, |modules| {
                if self.symbols[modules.index()] == No { No } else { Module }
            }),
            Expr::Symbol(symbol) => self.symbols[symbol.index()],
            Expr::Choice(choice) => self.choices[choice.index()],
            Expr::Not(inner) => match self.tree.exprs.get(*inner) {
                Expr::Constant(value) => value.inverted(),
                _ => Yes,
            },
            Expr::And(all) => all.iter().map(|one| self.most(*one)).min().unwrap_or(Yes),
            Expr::Or(all) => all.iter().map(|one| self.most(*one)).max().unwrap_or(No),
            Expr::Compare(..) => Yes,
        }
    }

    /// The parts of a condition that never holds that are to blame.
    pub(super) fn blame(&self, id: ExprId) -> Vec<ExprId> {
        match self.tree.exprs.get(id) {
            Expr::And(all) => {
                let never = all.iter().filter(|one| self.most(**one) == No);
                never.flat_map(|one| self.blame(*one)).collect()
            }
            _ => vec![id],
        }
    }

    fn symbol(&self, id: SymbolId) -> Tristate {
        let symbol = &self.tree.symbols[id.index()];
        if symbol.constant || !symbol.kind.is_logic() || symbol.nodes.is_empty() {
            return No;
        }
        let known = &self.model.symbols[id.index()];
        let mut most = self.any(&known.prompts);
        for default in &known.defaults {
            most = max(most, min(self.most(default.value), self.most(default.condition)));
        }
        for by in known.selected_by.iter().chain(&known.implied_by) {
            most = max(most, min(self.symbols[by.value.index()], self.most(by.condition)));
        }
        // Without modules, or in a choice, `m` becomes `y`.
        if symbol.kind == Kind::Bool || most == Module { most.without_modules() } else { most }
    }

    fn choice(&self, id: ChoiceId) -> Tristate {
        self.any(&self.model.choices[id.index()].prompts).without_modules()
    }

    fn any(&self, conditions: &[ExprId]) -> Tristate {
        conditions.iter().map(|one| self.most(*one)).max().unwrap_or(No)
    }
}

fn raise(bound: &mut Tristate, found: Tristate) -> bool {
    let is_higher = found > *bound;
    *bound = max(*bound, found);
    is_higher
}
