//! Expressions over symbols, in an arena.

use crate::ids::{ChoiceId, ExprId, SymbolId};

/// A value of three-valued logic. `&&` is the smaller, `||` the larger of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Tristate {
    /// Off.
    #[default]
    No,
    /// Built as a module.
    Module,
    /// On.
    Yes,
}

impl Tristate {
    /// `y`, `m` or `n`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "n",
            Self::Module => "m",
            Self::Yes => "y",
        }
    }

    pub(crate) fn inverted(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Module => Self::Module,
            Self::Yes => Self::No,
        }
    }

    pub(crate) fn from_bool(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    /// A module where there are none is built in.
    pub(crate) fn without_modules(self) -> Self {
        if self == Self::Module { Self::Yes } else { self }
    }
}

/// How two operands are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Relation {
    /// Whether operands that compare as `order` are in this relation.
    pub(crate) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterEqual => order.is_ge(),
        }
    }
}

/// One node of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    /// Always the same.
    Constant(Tristate),
    /// `m`: as much as there are modules.
    Module,
    /// The value of a symbol.
    Symbol(SymbolId),
    /// The mode of a choice.
    Choice(ChoiceId),
    /// `!`.
    Not(ExprId),
    /// The smallest of all.
    And(Box<[ExprId]>),
    /// The largest of all.
    Or(Box<[ExprId]>),
    /// `=` and its kin.
    Compare(Relation, SymbolId, SymbolId),
}

/// All expressions of a project.
///
/// Operands always stand before what they are used in.
#[derive(Debug)]
pub(crate) struct Exprs {
    nodes: Vec<Expr>,
    /// By node: how many nodes are looked at to decide it, at most.
    weights: Vec<u32>,
}

impl Exprs {
    /// Makes an arena with the constants in it.
    pub(crate) fn new() -> Self {
        let constants = [
            Expr::Constant(Tristate::Yes),
            Expr::Constant(Tristate::No),
            Expr::Module,
            Expr::Constant(Tristate::Module),
        ];
        Self { weights: vec![1; constants.len()], nodes: constants.into() }
    }

    /// `y`.
    pub(crate) fn yes() -> ExprId {
        ExprId::at(0)
    }

    /// `n`.
    pub(crate) fn no() -> ExprId {
        ExprId::at(1)
    }

    /// `m` in a condition.
    pub(crate) fn module() -> ExprId {
        ExprId::at(2)
    }

    /// `m` as the value of a default, where it stays what it is without modules.
    pub(crate) fn module_value() -> ExprId {
        ExprId::at(3)
    }

    /// The node `id`.
    pub(crate) fn get(&self, id: ExprId) -> &Expr {
        &self.nodes[id.index()]
    }

    /// How many nodes are looked at to decide `id`, at most.
    ///
    /// Nodes are shared, so that this may be far more than there are.
    pub(crate) fn weight(&self, id: ExprId) -> u32 {
        self.weights[id.index()]
    }

    /// Keeps `expr`.
    pub(crate) fn add(&mut self, expr: Expr) -> ExprId {
        let id = ExprId::at(self.nodes.len());
        let below = match &expr {
            Expr::And(all) | Expr::Or(all) => {
                all.iter().fold(0, |sum: u32, operand| sum.saturating_add(self.weight(*operand)))
            }
            Expr::Not(inner) => self.weight(*inner),
            _ => 0,
        };
        self.weights.push(below.saturating_add(1));
        self.nodes.push(expr);
        id
    }

    /// `a && b`, without what does not count.
    pub(crate) fn and(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if a == Self::yes() || a == b || b == Self::no() {
            b
        } else if b == Self::yes() || a == Self::no() {
            a
        } else {
            self.add(Expr::And([a, b].into()))
        }
    }

    /// The smallest of `operands`, without what does not count.
    pub(crate) fn all(&mut self, mut operands: Vec<ExprId>) -> ExprId {
        operands.retain(|operand| *operand != Self::yes());
        match operands[..] {
            [] => Self::yes(),
            [only] => only,
            _ if operands.contains(&Self::no()) => Self::no(),
            _ => self.add(Expr::And(operands.into())),
        }
    }

    /// The largest of `operands`, without what does not count.
    pub(crate) fn any(&mut self, mut operands: Vec<ExprId>) -> ExprId {
        operands.retain(|operand| *operand != Self::no());
        match operands[..] {
            [] => Self::no(),
            [only] => only,
            _ if operands.contains(&Self::yes()) => Self::yes(),
            _ => self.add(Expr::Or(operands.into())),
        }
    }

    /// By node: the value that it has whatever symbols are, if `leaf` knows those of comparisons.
    pub(crate) fn fixed(&self, leaf: impl Fn(&Expr) -> Option<Tristate>) -> Vec<Option<Tristate>> {
        let mut fixed: Vec<Option<Tristate>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let known = |all: &[ExprId], end: Tristate| -> Option<Vec<Tristate>> {
                let all = all.iter().map(|operand| fixed[operand.index()]);
                if all.clone().any(|operand| operand == Some(end)) {
                    return Some(vec![end]);
                }
                all.collect()
            };
            let value = match node {
                Expr::Constant(value) => Some(*value),
                Expr::Not(inner) => fixed[inner.index()].map(Tristate::inverted),
                Expr::And(all) => known(all, Tristate::No).and_then(|all| all.into_iter().min()),
                Expr::Or(all) => known(all, Tristate::Yes).and_then(|all| all.into_iter().max()),
                Expr::Compare(..) => leaf(node),
                Expr::Module | Expr::Symbol(_) | Expr::Choice(_) => None,
            };
            fixed.push(value);
        }
        fixed
    }

    /// Visits everything that `id` refers to.
    pub(crate) fn visit(&self, id: ExprId, visit: &mut impl FnMut(Mention)) {
        self.visit_but(id, &[], visit);
    }

    /// The same, but for what only parts refer to that have the value in `fixed` whatever that is.
    pub(crate) fn visit_but(
        &self,
        id: ExprId,
        fixed: &[Option<Tristate>],
        visit: &mut impl FnMut(Mention),
    ) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            match self.get(id) {
                _ if fixed.get(id.index()).is_some_and(Option::is_some) => {}
                Expr::Constant(_) => {}
                Expr::Module => visit(Mention::Modules),
                Expr::Symbol(symbol) => visit(Mention::Symbol(*symbol)),
                Expr::Choice(choice) => visit(Mention::Choice(*choice)),
                Expr::Not(inner) => open.push(*inner),
                Expr::And(all) | Expr::Or(all) => open.extend(all.iter().rev()),
                Expr::Compare(_, left, right) => {
                    visit(Mention::Symbol(*left));
                    visit(Mention::Symbol(*right));
                }
            }
        }
    }

    /// Whether `condition` cannot be met while `symbol` is off, as far as both tools look: only
    /// into the operands of `&&`.
    pub(crate) fn depends_on(
        &self,
        condition: ExprId,
        symbol: SymbolId,
        constants: &Constants,
    ) -> bool {
        let mut open = vec![condition];
        while let Some(id) = open.pop() {
            match self.get(id) {
                Expr::Symbol(found) if *found == symbol => return true,
                Expr::And(all) => open.extend(all.iter()),
                Expr::Compare(relation, left, right) => {
                    let other = if *right == symbol {
                        left
                    } else if *left == symbol {
                        right
                    } else {
                        continue;
                    };
                    let on = *other == constants.yes || *other == constants.module;
                    if *relation == Relation::Equal && on
                        || *relation == Relation::Unequal && *other == constants.no
                    {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }
}

/// Something that an expression refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mention {
    Symbol(SymbolId),
    Choice(ChoiceId),
    /// Whether there are modules at all.
    Modules,
}

/// The constants `y`, `m` and `n` where a symbol stands, as in comparisons.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Constants {
    pub(crate) yes: SymbolId,
    pub(crate) module: SymbolId,
    pub(crate) no: SymbolId,
}
