//! Spells expressions as Kconfig files do.

use crate::expr::{Expr, Relation};
use crate::ids::{ExprId, SymbolId};
use crate::tree::Tree;

/// How tightly an operator binds, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
}

impl Relation {
    /// As in a Kconfig file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }

    /// The relation of all that are not in this one.
    pub(crate) fn inverted(self) -> Self {
        match self {
            Self::Equal => Self::Unequal,
            Self::Unequal => Self::Equal,
            Self::Less => Self::GreaterEqual,
            Self::LessEqual => Self::Greater,
            Self::Greater => Self::LessEqual,
            Self::GreaterEqual => Self::Less,
        }
    }
}

impl Tree {
    /// `id` as one line.
    pub(crate) fn spelled(&self, id: ExprId) -> String {
        let mut text = String::new();
        self.spell(id, Binding::Or, &mut text);
        text
    }

    /// A symbol by its name, a constant in quotes unless it is `y`, `m` or `n`.
    pub(crate) fn operand(&self, id: SymbolId) -> String {
        let name = self.symbol_name(id);
        let constants = self.constants;
        let is_logic = [constants.yes, constants.module, constants.no].contains(&id);
        if self.symbols[id.index()].constant && !is_logic {
            format!("\"{name}\"")
        } else {
            name.to_string()
        }
    }

    fn spell(&self, id: ExprId, inside: Binding, text: &mut String) {
        match self.exprs.get(id) {
            Expr::Constant(value) => text.push_str(value.as_str()),
            Expr::Module => text.push('m'),
            Expr::Symbol(symbol) => text.push_str(&self.operand(*symbol)),
            Expr::Choice(_) => text.push_str("<choice>"),
            Expr::Not(inner) => {
                text.push('!');
                self.spell(*inner, Binding::Not, text);
            }
            Expr::And(all) => self.chain(all, " && ", (Binding::And, inside), text),
            Expr::Or(all) => self.chain(all, " || ", (Binding::Or, inside), text),
            Expr::Compare(relation, left, right) => {
                let (left, right) = (self.operand(*left), self.operand(*right));
                let (open, close) = if inside == Binding::Not { ("(", ")") } else { ("", "") };
                text.extend([open, &left, " ", relation.as_str(), " ", &right, close]);
            }
        }
    }

    fn chain(
        &self,
        all: &[ExprId],
        between: &str,
        (own, inside): (Binding, Binding),
        text: &mut String,
    ) {
        let is_open = inside > own;
        text.push_str(if is_open { "(" } else { "" });
        for (index, operand) in all.iter().enumerate() {
            text.push_str(if index == 0 { "" } else { between });
            self.spell(*operand, own, text);
        }
        text.push_str(if is_open { ")" } else { "" });
    }
}
