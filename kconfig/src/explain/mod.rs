//! Why a symbol has its value, what keeps it from having another, and what that would change.
//!
//! Everything here is data; whoever shows it finds the words.

mod causes;
mod consequences;
mod needs;
mod obstacles;
mod selects;

pub use causes::{Adjustment, Cause, ChoiceSeen, ChosenBy, DefaultPassed, DefaultSeen};
pub use consequences::{Consequence, Consequences};
pub use needs::{Must, Need, NeededValue, Standing};
pub use obstacles::{HiddenPrompt, Obstacle, ObstacleKind};
pub use selects::{Origin, Selection, Selects};

use crate::configuration::Configuration;
use crate::expr::Tristate;
use crate::help::Help;
use crate::ids::SymbolId;
use crate::model::Model;
use crate::resolve::{Resolver, Values};
use crate::spot::Spot;
use crate::tree::{Item, Tree};

/// Why a symbol has its value, and what keeps it from having another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The symbol.
    pub symbol: String,
    /// `bool`, `tristate`, `int`, `hex`, `string`, or `unknown`.
    pub kind: &'static str,
    /// Its value, without quotes.
    pub value: String,
    /// Whether the `.config` names it.
    pub is_written: bool,
    /// What decided the value.
    pub cause: Cause,
    /// Defaults before the one that holds, or all of them if none does.
    pub passed: Vec<DefaultPassed>,
    /// What was done to the value afterwards.
    pub adjusted: Option<Adjustment>,
    /// What a person set, whether or not it counts.
    pub asked: Option<Asked>,
    /// Where it is defined.
    pub definitions: Vec<DefinedAt>,
    /// How far a person may set it: not at all where it is `n`.
    pub visible: Tristate,
    /// If it is not visible as far as its type goes: every prompt it has, with what hides it.
    pub hidden: Vec<HiddenPrompt>,
    /// What other symbols require it to be at least.
    pub selects: Option<Selects>,
    /// Symbols that select or imply it under any condition, in the order of the files.
    pub selectors: Vec<String>,
    /// The ends of the range that holds, and where it is written.
    pub range: Option<(String, String, Spot)>,
    /// The choice that it is a member of.
    pub choice: Option<ChoiceSeen>,
    /// What is written about it.
    pub help: Option<String>,
}

/// What a person set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The value, without quotes.
    pub value: String,
    /// The line of the text that was loaded, counted from 1; `None` if it was set by itself.
    pub line: Option<usize>,
}

/// A place where a symbol is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinedAt {
    /// Where.
    pub at: Spot,
    /// What a person is asked, `None` if nothing.
    pub prompt: Option<String>,
    /// Titles of the menus and choices around it, outermost first.
    pub path: Vec<String>,
}

impl Configuration<'_> {
    /// Explains a symbol; `None` if the project does not define it.
    pub fn explain(&self, symbol: &str) -> Option<Explanation> {
        let id = self.find(symbol)?;
        Some(self.facts().explain(id))
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            resolver: self.resolver(),
            tree: &self.kconfig.tree,
            model: &self.kconfig.model,
            values: &self.values,
            depth: 0,
        }
    }
}

/// What explanations are made from.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) resolver: Resolver<'a>,
    pub(crate) tree: &'a Tree,
    pub(crate) model: &'a Model,
    pub(crate) values: &'a Values,
    /// How many needs are being followed.
    pub(crate) depth: u8,
}

impl Facts<'_> {
    fn explain(&self, id: SymbolId) -> Explanation {
        let symbol = &self.tree.symbols[id.index()];
        let state = &self.values.states[id.index()];
        let (cause, adjusted) = self.cause(id);
        let help = symbol.nodes.iter().find_map(|node| self.tree.node(*node).help.as_ref());
        Explanation {
            symbol: self.name(id),
            kind: symbol.kind.word(),
            value: self.resolver.text(id).to_owned(),
            is_written: state.written,
            cause,
            passed: self.defaults_passed(id),
            adjusted,
            asked: self.asked(id),
            definitions: self.definitions(id),
            visible: state.visible,
            hidden: self.hidden_prompts(id),
            selects: self.selects(id),
            selectors: self.selectors(id),
            range: self.range(id),
            choice: self.choice_of(id),
            help: help.map(Help::lines).filter(|text| !text.is_empty()),
        }
    }

    pub(crate) fn name(&self, id: SymbolId) -> String {
        self.tree.symbol_name(id).to_string()
    }

    /// What a person set for a symbol.
    pub(crate) fn asked(&self, id: SymbolId) -> Option<Asked> {
        let value = self.wished(id)?;
        let line = usize::try_from(self.values.lines[id.index()]).unwrap_or(0);
        Some(Asked { value, line: (line > 0).then_some(line) })
    }

    /// Where a symbol is defined.
    pub(crate) fn definitions(&self, id: SymbolId) -> Vec<DefinedAt> {
        let symbol = &self.tree.symbols[id.index()];
        let defined = symbol.nodes.iter().map(|node| {
            let node = self.tree.node(*node);
            let mut path = Vec::new();
            let mut block = node.block;
            while let Some(id) = block {
                let around = self.tree.node(id);
                // The first block is the whole project.
                if matches!(around.item, Item::Menu | Item::Choice(_)) && around.block.is_some() {
                    path.extend(self.title(around));
                }
                block = around.block;
            }
            path.reverse();
            DefinedAt { at: self.tree.spot(node.span), prompt: self.title(node), path }
        });
        defined.collect()
    }

    fn range(&self, id: SymbolId) -> Option<(String, String, Spot)> {
        let range = self.resolver.range_property(id)?;
        let end = |id: SymbolId| self.resolver.text(id).to_owned();
        Some((end(range.value.0), end(range.value.1), self.tree.spot(range.span)))
    }
}

#[cfg(test)]
mod tests;
