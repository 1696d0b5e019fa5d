//! The smallest part of a condition that keeps it from holding.

use std::cmp::Ordering;

use super::Facts;
use crate::expr::{Expr, Relation, Tristate};
use crate::ids::{ExprId, SymbolId};
use crate::resolve::Wish;
use crate::tree::Kind;

use Tristate::{Module, No, Yes};

/// How many needs may follow from each other.
const DEPTH_MAX: u8 = 2;

/// What would have to be different for a condition to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A symbol has another value than it would have to have.
    Value(NeededValue),
    /// All of these. Never fewer than two.
    All(Vec<Need>),
    /// One of these. Never fewer than two.
    Any(Vec<Need>),
    /// It never holds, whatever is set.
    Never,
}

/// A symbol that has another value than it would have to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededValue {
    /// The symbol.
    pub symbol: String,
    /// Its value now; of a symbol that is not defined, `n` or its own name.
    pub is: String,
    /// What it would have to be.
    pub must: Must,
    /// Whether a person can do something about it.
    pub standing: Standing,
    /// Where others decide it, in the order of the files: those that can select or imply it if it
    /// has to be on, those that do select it if it has to be off.
    pub through: Vec<String>,
    /// Where only its defaults can turn it on: what the first of them needs. Not told of symbols
    /// that such a need is about in turn.
    pub follows: Option<Box<Need>>,
}

/// What a symbol would have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Must {
    /// At least that much: `y` means `y`, `m` means `m` or `y`.
    AtLeast(Tristate),
    /// At most that much: `n` means `n`, `m` means `m` or `n`.
    AtMost(Tristate),
    /// In a relation to something.
    Compare {
        /// `=`, `!=`, `<`, `<=`, `>` or `>=`.
        relation: &'static str,
        /// A symbol, or a constant as Kconfig files spell it.
        with: String,
        /// The value of the symbol, `None` for a constant.
        with_value: Option<String>,
    },
}

/// Whether a person can give a symbol the value it would have to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// By setting it.
    Settable,
    /// Not at the moment: it is not visible, or only as far as it is set already.
    Hidden,
    /// Others select it, so that it cannot be less.
    Selected,
    /// Only through others: nobody is ever asked for it.
    Derived,
    /// Not at all: no Kconfig file defines it.
    Undefined,
}

impl Facts<'_> {
    /// What keeps `condition` from being at least `level`; `None` if nothing does.
    pub(crate) fn lacks(&self, condition: ExprId, level: Tristate) -> Option<Need> {
        self.need(condition, level, Ordering::Greater).map(simple)
    }

    /// What keeps an expression from being at least, or at most (`Less`), `level`.
    fn need(&self, id: ExprId, level: Tristate, side: Ordering) -> Option<Need> {
        let value = self.resolver.expr(id);
        if value == level || value.cmp(&level) == side {
            return None;
        }
        let up = side == Ordering::Greater;
        Some(match self.tree.exprs.get(id) {
            Expr::Module => match self.tree.modules {
                Some(modules) if up && level == Module => self.logic_need(modules, Yes, side),
                Some(modules) if !up => self.logic_need(modules, No, side),
                _ => Need::Never,
            },
            Expr::Symbol(symbol) => self.logic_need(*symbol, level, side),
            Expr::Constant(_) | Expr::Choice(_) => Need::Never,
            Expr::Not(inner) => self.need(*inner, level.inverted(), side.reverse())?,
            Expr::And(all) if up => Need::All(self.needs(all, level, side)),
            Expr::Or(all) if up => Need::Any(self.needs(all, level, side)),
            Expr::And(all) => Need::Any(self.needs(all, level, side)),
            Expr::Or(all) => Need::All(self.needs(all, level, side)),
            Expr::Compare(relation, left, right) => {
                let wanted = if up { *relation } else { relation.inverted() };
                self.compared(wanted, *left, *right)
            }
        })
    }

    fn needs(&self, all: &[ExprId], level: Tristate, side: Ordering) -> Vec<Need> {
        all.iter().filter_map(|operand| self.need(*operand, level, side)).collect()
    }

    fn logic_need(&self, id: SymbolId, level: Tristate, side: Ordering) -> Need {
        let symbol = &self.tree.symbols[id.index()];
        if symbol.constant || !symbol.nodes.is_empty() && !symbol.kind.is_logic() {
            // A number or a text in logic is `n` for ever.
            return Need::Never;
        }
        let is_bool = self.resolver.effective(symbol.kind) == Kind::Bool;
        let (must, target) = match (side, level) {
            (Ordering::Greater, Module) if is_bool => (Must::AtLeast(Yes), Yes),
            (Ordering::Greater, level) => (Must::AtLeast(level), level),
            (_, Module) if is_bool => (Must::AtMost(No), No),
            (_, level) => (Must::AtMost(level), level),
        };
        let standing = self.standing(id, Some((target, side)));
        let through = match standing {
            Standing::Derived if side == Ordering::Greater => self.selectors(id),
            Standing::Selected => {
                let active = self.active(id, |known| &known.selected_by);
                active.into_iter().map(|selection| selection.symbol).collect()
            }
            _ => Vec::new(),
        };
        let follows = match standing {
            Standing::Derived if side == Ordering::Greater && through.is_empty() => {
                self.default_need(id, target).map(Box::new)
            }
            _ => None,
        };
        Need::Value(NeededValue {
            symbol: self.name(id),
            is: self.resolver.logic(id).as_str().to_owned(),
            must,
            standing,
            through,
            follows,
        })
    }

    fn compared(&self, relation: Relation, left: SymbolId, right: SymbolId) -> Need {
        let is_fixed = |id: SymbolId| {
            let symbol = &self.tree.symbols[id.index()];
            symbol.constant || symbol.nodes.is_empty()
        };
        let (subject, relation, with) = match (is_fixed(left), is_fixed(right)) {
            (true, true) => return Need::Never,
            (true, false) => (right, mirrored(relation), left),
            (false, _) => (left, relation, right),
        };
        let with_value = (!is_fixed(with)).then(|| self.resolver.text(with).to_owned());
        Need::Value(NeededValue {
            symbol: self.name(subject),
            is: self.resolver.text(subject).to_owned(),
            must: Must::Compare {
                relation: relation.as_str(),
                with: self.tree.operand(with),
                with_value,
            },
            standing: self.standing(subject, None),
            through: Vec::new(),
            follows: None,
        })
    }

    /// What the first default that could make a symbol at least `level` needs to do so.
    fn default_need(&self, id: SymbolId, level: Tristate) -> Option<Need> {
        if self.depth >= DEPTH_MAX {
            return None;
        }
        let deeper = Self { depth: self.depth + 1, ..*self };
        let defaults = self.model.symbols[id.index()].defaults.iter();
        let needs = defaults.filter_map(|default| {
            // What does not hold hides the value that it has.
            let parts = [default.condition, default.value].map(|part| deeper.lacks(part, level));
            let parts: Vec<Need> = parts.into_iter().flatten().collect();
            (!parts.is_empty()).then(|| simple(Need::All(parts)))
        });
        needs.into_iter().find(|need| *need != Need::Never)
    }

    /// The symbols that select or imply a symbol, each once.
    pub(crate) fn selectors(&self, id: SymbolId) -> Vec<String> {
        let known = &self.model.symbols[id.index()];
        let mut names: Vec<String> = Vec::new();
        for by in known.selected_by.iter().chain(&known.implied_by) {
            let name = self.name(by.value);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Whether a person can bring a symbol to `target`, or to any other value.
    fn standing(&self, id: SymbolId, target: Option<(Tristate, Ordering)>) -> Standing {
        let symbol = &self.tree.symbols[id.index()];
        let state = &self.values.states[id.index()];
        let known = &self.model.symbols[id.index()];
        if symbol.nodes.is_empty() {
            return Standing::Undefined;
        }
        match target {
            Some((target, Ordering::Less)) if self.resolver.floor(id) > target => {
                Standing::Selected
            }
            _ if known.prompts.is_empty() => Standing::Derived,
            Some((target, Ordering::Greater)) if state.visible < target => Standing::Hidden,
            _ if state.visible == No => Standing::Hidden,
            _ => Standing::Settable,
        }
    }

    /// The symbols that make an expression what it is, with their values, each once: of several
    /// reasons that are enough, the first.
    pub(crate) fn because(&self, id: ExprId) -> Vec<(String, String)> {
        let mut found = Vec::new();
        self.collect(id, self.resolver.expr(id) != No, &mut found);
        let mut once: Vec<(String, String)> = Vec::new();
        for fact in found {
            if !once.contains(&fact) {
                once.push(fact);
            }
        }
        once
    }

    fn collect(&self, id: ExprId, holds: bool, found: &mut Vec<(String, String)>) {
        match self.tree.exprs.get(id) {
            Expr::Constant(_) | Expr::Module | Expr::Choice(_) => {}
            Expr::Symbol(symbol) => self.fact(*symbol, found),
            Expr::Not(inner) => self.collect(*inner, !holds, found),
            Expr::And(all) if holds => all.iter().for_each(|one| self.collect(*one, holds, found)),
            Expr::Or(all) if !holds => all.iter().for_each(|one| self.collect(*one, holds, found)),
            Expr::And(all) | Expr::Or(all) => {
                let is_enough = |id: &&ExprId| (self.resolver.expr(**id) != No) == holds;
                if let Some(one) = all.iter().find(is_enough) {
                    self.collect(*one, holds, found);
                }
            }
            Expr::Compare(_, left, right) => {
                self.fact(*left, found);
                self.fact(*right, found);
            }
        }
    }

    fn fact(&self, id: SymbolId, found: &mut Vec<(String, String)>) {
        let symbol = &self.tree.symbols[id.index()];
        if !symbol.constant && !symbol.nodes.is_empty() {
            found.push((self.name(id), self.resolver.text(id).to_owned()));
        }
    }

    /// What a person set for a symbol, spelled.
    pub(crate) fn wished(&self, id: SymbolId) -> Option<String> {
        match &self.values.wishes[id.index()] {
            Wish::Open => None,
            Wish::Logic(value) => Some(value.as_str().to_owned()),
            Wish::Text(text) => Some(text.to_string()),
        }
    }
}

/// The relation as seen from the other side.
fn mirrored(relation: Relation) -> Relation {
    match relation {
        Relation::Less => Relation::Greater,
        Relation::LessEqual => Relation::GreaterEqual,
        Relation::Greater => Relation::Less,
        Relation::GreaterEqual => Relation::LessEqual,
        equality => equality,
    }
}

/// The same without nesting that says nothing, and each part once.
fn simple(need: Need) -> Need {
    let is_all = matches!(need, Need::All(_));
    let (Need::All(parts) | Need::Any(parts)) = need else { return need };
    let mut flat: Vec<Need> = Vec::new();
    for part in parts.into_iter().map(simple) {
        match part {
            Need::All(inner) if is_all => flat.extend(inner),
            Need::Any(inner) if !is_all => flat.extend(inner),
            part => flat.push(part),
        }
    }
    let mut once: Vec<Need> = Vec::new();
    for part in flat {
        if !once.contains(&part) {
            once.push(part);
        }
    }
    if is_all && once.contains(&Need::Never) {
        return Need::Never;
    }
    if !is_all {
        // What never happens is no way out, unless there is no other.
        once.retain(|part| *part != Need::Never);
    }
    match (once.len(), is_all) {
        (0, _) => Need::Never,
        (1, _) => once.remove(0),
        (_, true) => Need::All(once),
        (_, false) => Need::Any(once),
    }
}
