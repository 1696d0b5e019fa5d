//! What the files say about one entry.

use crate::ids::NodeId;
use crate::kconfig::Kconfig;
use crate::spot::Spot;
use crate::tree::{Item, Kind};

/// Names an entry of a menu: the same for as long as the files are.
///
/// Entries compare in the order of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId(pub(crate) NodeId);

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A title with entries of its own.
    Menu,
    /// A line of text.
    Comment,
    /// A choice; its members are its entries.
    Choice,
    /// A symbol.
    Symbol,
}

/// The type of what an entry sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueKind {
    /// `y` or `n`.
    Bool,
    /// `y`, `m` or `n`.
    Tristate,
    /// A decimal number.
    Int,
    /// A hexadecimal number.
    Hex,
    /// A text.
    Text,
}

/// What the files say about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'k> {
    /// What it is.
    pub kind: EntryKind,
    /// Its prompt or title, as spelled: not fit for a terminal. `None` for what nobody is asked.
    pub title: Option<&'k str>,
    /// The symbol, without a prefix.
    pub symbol: Option<&'k str>,
    /// The type of a symbol or choice; `None` where there is no value or none was given.
    pub value: Option<ValueKind>,
    /// Whether what belongs to it is a menu of its own, not lines below it.
    pub opens: bool,
    /// Where it is written.
    pub spot: Spot,
}

impl Kconfig {
    /// What the files say about the entry `id`.
    pub fn entry(&self, EntryId(id): EntryId) -> Entry<'_> {
        let node = self.tree.node(id);
        let (kind, symbol, value) = match node.item {
            Item::Symbol(symbol) => {
                let name: &str = self.tree.symbol_name(symbol);
                let kind = self.tree.symbols[symbol.index()].kind;
                (EntryKind::Symbol, Some(name), value_kind(kind))
            }
            Item::Choice(choice) => {
                let kind = self.tree.choices[choice.index()].kind;
                (EntryKind::Choice, None, value_kind(kind))
            }
            Item::Comment => (EntryKind::Comment, None, None),
            Item::Menu | Item::If => (EntryKind::Menu, None, None),
        };
        Entry {
            kind,
            title: node.prompt.map(|prompt| &**self.tree.names.text(prompt.value)),
            symbol,
            value,
            opens: node.opens || matches!(kind, EntryKind::Menu | EntryKind::Choice),
            spot: self.tree.spot(node.span),
        }
    }

    /// The help text of the entry `id`, with its line breaks; `None` if it has none.
    ///
    /// As spelled: not fit for a terminal.
    pub fn help(&self, EntryId(id): EntryId) -> Option<String> {
        let help = self.tree.node(id).help.as_ref()?.lines();
        (!help.is_empty()).then_some(help)
    }

    /// The entries of a symbol, in the order of the files; none if the project does not define it.
    pub fn entries_of(&self, symbol: &str) -> Vec<EntryId> {
        let found = self.tree.find(symbol).map(|id| &self.tree.symbols[id.index()]);
        let defined = found.filter(|symbol| !symbol.constant);
        defined.map_or_else(Vec::new, |symbol| symbol.nodes.iter().copied().map(EntryId).collect())
    }
}

pub(super) fn value_kind(kind: Kind) -> Option<ValueKind> {
    match kind {
        Kind::Unknown => None,
        Kind::Bool => Some(ValueKind::Bool),
        Kind::Tristate => Some(ValueKind::Tristate),
        Kind::Int => Some(ValueKind::Int),
        Kind::Hex => Some(ValueKind::Hex),
        Kind::Text => Some(ValueKind::Text),
    }
}
