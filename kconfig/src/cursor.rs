//! Walks through the tokens of a line and makes expressions of them.

use crate::expr::{Expr, Exprs, Relation};
use crate::ids::{ExprId, NameId, SymbolId};
use crate::lexer::{Token, What};
use crate::load_error::{LoadError, NESTING_MAX};
use crate::shown::shown;
use crate::spot::Spot;
use crate::tree::Tree;

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Whether something holds: `m` counts only if there are modules.
    Condition,
    /// The value of a default: `m` is `m`.
    Value,
}

/// A line being understood.
pub(crate) struct Cursor<'x> {
    pub(crate) tree: &'x mut Tree,
    pub(crate) tokens: &'x [Token],
    pub(crate) next: usize,
    /// The line.
    pub(crate) at: &'x Spot,
}

impl Cursor<'_> {
    /// Takes the next token if it is the bare word `word`.
    pub(crate) fn keyword(&mut self, word: &str) -> bool {
        let found = match self.peek() {
            Some(What::Word(name)) => &**self.tree.names.text(name) == word,
            _ => false,
        };
        self.next += usize::from(found);
        found
    }

    /// Takes the text of a word or of quotes.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<NameId, LoadError> {
        match self.peek() {
            Some(What::Word(name) | What::Quoted(name)) => {
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a symbol, bare or constant.
    pub(crate) fn symbol(&mut self) -> Result<SymbolId, LoadError> {
        let id = match self.peek() {
            Some(What::Word(name)) => self.tree.symbol(name),
            Some(What::Quoted(name)) => self.tree.constant(name),
            _ => return Err(self.expected("a symbol")),
        };
        self.next += 1;
        Ok(id)
    }

    /// Takes `if` and a condition, `y` if there is none; nothing may follow.
    pub(crate) fn condition(&mut self) -> Result<ExprId, LoadError> {
        let condition = if self.keyword("if") { self.expr(Use::Condition)? } else { Exprs::yes() };
        self.end()?;
        Ok(condition)
    }

    /// Makes sure that nothing follows.
    pub(crate) fn end(&self) -> Result<(), LoadError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the line")),
        }
    }

    /// Takes an expression.
    pub(crate) fn expr(&mut self, used: Use) -> Result<ExprId, LoadError> {
        self.or(used, 0)
    }

    pub(crate) fn peek(&self) -> Option<What> {
        self.tokens.get(self.next).map(|token| token.what)
    }

    fn or(&mut self, used: Use, depth: usize) -> Result<ExprId, LoadError> {
        let mut all = vec![self.and(used, depth)?];
        while self.take(What::Or) {
            all.push(self.and(used, depth)?);
        }
        Ok(self.tree.exprs.any(all))
    }

    fn and(&mut self, used: Use, depth: usize) -> Result<ExprId, LoadError> {
        let mut all = vec![self.factor(used, depth)?];
        while self.take(What::And) {
            all.push(self.factor(used, depth)?);
        }
        Ok(self.tree.exprs.all(all))
    }

    fn factor(&mut self, used: Use, depth: usize) -> Result<ExprId, LoadError> {
        let mut inversions = 0_usize;
        while self.take(What::Not) {
            inversions += 1;
        }
        let mut expr = if self.take(What::Open) {
            if depth > NESTING_MAX {
                return Err(LoadError::TooDeep { at: self.spot(), what: "parentheses" });
            }
            let inner = self.or(used, depth + 1)?;
            if !self.take(What::Close) {
                return Err(self.expected("`)`"));
            }
            inner
        } else {
            self.operand(used)?
        };
        // `!!A` is `A`, also in three-valued logic.
        if inversions % 2 == 1 {
            expr = self.tree.exprs.add(Expr::Not(expr));
        }
        Ok(expr)
    }

    fn operand(&mut self, used: Use) -> Result<ExprId, LoadError> {
        let left = self.symbol()?;
        if let Some(What::Relation(relation)) = self.peek() {
            self.next += 1;
            let right = self.symbol()?;
            return Ok(self.compare(relation, left, right));
        }
        let constants = self.tree.constants;
        Ok(if left == constants.yes {
            Exprs::yes()
        } else if left == constants.no {
            Exprs::no()
        } else if left != constants.module {
            self.tree.exprs.add(Expr::Symbol(left))
        } else if used == Use::Condition {
            Exprs::module()
        } else {
            Exprs::module_value()
        })
    }

    fn compare(&mut self, relation: Relation, left: SymbolId, right: SymbolId) -> ExprId {
        self.tree.exprs.add(Expr::Compare(relation, left, right))
    }

    fn take(&mut self, what: What) -> bool {
        let found = self.peek() == Some(what);
        self.next += usize::from(found);
        found
    }

    /// Where the next token is.
    pub(crate) fn spot(&self) -> Spot {
        let token = self.tokens.get(self.next).or(self.tokens.last());
        Spot { column: token.map_or(1, |token| token.column), ..self.at.clone() }
    }

    fn expected(&self, what: &str) -> LoadError {
        let found = match self.peek() {
            None => "the line ends".to_owned(),
            Some(What::Word(name) | What::Quoted(name)) => {
                format!("there is `{}`", shown(self.tree.names.text(name)))
            }
            Some(_) => "there is an operator".to_owned(),
        };
        LoadError::Syntax { at: self.spot(), reason: format!("{found} where {what} should be") }
    }
}
