//! What Kconfig files say, entry by entry, before anything is derived from it.

use std::sync::Arc;

use crate::expr::{Constants, Exprs};
use crate::help::Help;
use crate::ids::{ChoiceId, ExprId, FileId, NameId, NodeId, SymbolId};
use crate::names::Names;
use crate::spot::{Span, Spot};

/// The type of a symbol or a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// None was given; only a name.
    #[default]
    Unknown,
    Bool,
    Tristate,
    Int,
    Hex,
    Text,
}

impl Kind {
    /// Whether values are `y`, `m` and `n`.
    pub(crate) fn is_logic(self) -> bool {
        matches!(self, Self::Bool | Self::Tristate)
    }

    /// The word in a Kconfig file, `unknown` if there is none.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Bool => "bool",
            Self::Tristate => "tristate",
            Self::Int => "int",
            Self::Hex => "hex",
            Self::Text => "string",
        }
    }
}

/// A symbol as it is named in files; what it means is derived from its entries.
#[derive(Debug)]
pub(crate) struct Symbol {
    pub(crate) name: NameId,
    /// A text in quotes, or `y`, `m`, `n`: stands for itself.
    pub(crate) constant: bool,
    pub(crate) kind: Kind,
    /// Where it is defined, in order.
    pub(crate) nodes: Vec<NodeId>,
    /// The value comes from the environment and is not written.
    pub(crate) hidden: bool,
    /// `transitional`: takes what is set without asking anybody, and is not written.
    pub(crate) transitional: bool,
}

/// A choice as it is named in files.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    /// Where it is defined, in order.
    pub(crate) nodes: Vec<NodeId>,
}

/// A line that gives a symbol another type than it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retyped {
    pub(crate) symbol: SymbolId,
    /// The one it has, and the one of the line.
    pub(crate) kinds: [Kind; 2],
    pub(crate) span: Span,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    Symbol(SymbolId),
    Choice(ChoiceId),
    Menu,
    Comment,
    If,
}

/// A property that holds under a condition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Property<T> {
    pub(crate) value: T,
    pub(crate) condition: ExprId,
    /// The line that gives it.
    pub(crate) span: Span,
}

/// A condition that was written somewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clause {
    pub(crate) condition: ExprId,
    pub(crate) span: Span,
}

/// An entry.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) item: Item,
    /// The block it stands in.
    pub(crate) block: Option<NodeId>,
    pub(crate) span: Span,
    pub(crate) prompt: Option<Property<NameId>>,
    /// All of them have to hold.
    pub(crate) depends: Vec<Clause>,
    /// `visible if` of a menu: all of them have to hold.
    pub(crate) visible: Vec<Clause>,
    /// The same, with `m` as it is without modules.
    pub(crate) title_visible: Vec<ExprId>,
    pub(crate) defaults: Vec<Property<ExprId>>,
    pub(crate) selects: Vec<Property<SymbolId>>,
    pub(crate) implies: Vec<Property<SymbolId>>,
    pub(crate) ranges: Vec<Property<(SymbolId, SymbolId)>>,
    pub(crate) help: Option<Help>,
    /// `menuconfig`: what belongs to it is a menu of its own.
    pub(crate) opens: bool,
    /// The first entry behind it and all that stands in it.
    pub(crate) end: NodeId,
}

/// All entries, in the order of reading. The first one is the root.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) names: Names,
    pub(crate) exprs: Exprs,
    pub(crate) constants: Constants,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) nodes: Vec<Node>,
    /// Paths of the files, in the order of reading.
    pub(crate) files: Vec<Arc<str>>,
    /// The symbol that says whether there are modules.
    pub(crate) modules: Option<SymbolId>,
    /// In the order of reading.
    pub(crate) retyped: Vec<Retyped>,
    /// By name: the symbol, and the constant with that text.
    by_name: Vec<[Option<SymbolId>; 2]>,
}

impl Tree {
    /// Makes a tree that consists of a root.
    pub(crate) fn new() -> Self {
        let unset = SymbolId::at(0);
        let mut tree = Self {
            names: Names::default(),
            exprs: Exprs::new(),
            constants: Constants { yes: unset, module: unset, no: unset },
            symbols: Vec::new(),
            choices: Vec::new(),
            nodes: Vec::new(),
            files: Vec::new(),
            modules: None,
            retyped: Vec::new(),
            by_name: Vec::new(),
        };
        let [yes, module, no] = ["y", "m", "n"].map(|text| {
            let name = tree.names.intern(text);
            let id = tree.constant(name);
            tree.symbols[id.index()].kind = Kind::Tristate;
            // Not to be told from the bare word.
            tree.slot(name)[0] = Some(id);
            id
        });
        tree.constants = Constants { yes, module, no };
        tree.add_node(Item::Menu, None, Span { file: FileId::at(0), line: 1, column: 1 });
        tree
    }

    /// The symbol `name`, new if nothing named it before.
    pub(crate) fn symbol(&mut self, name: NameId) -> SymbolId {
        self.named(name, 0)
    }

    /// The constant with the text `name`.
    pub(crate) fn constant(&mut self, name: NameId) -> SymbolId {
        self.named(name, 1)
    }

    /// The symbol with the name `text`, if anything names it.
    pub(crate) fn find(&self, text: &str) -> Option<SymbolId> {
        let name = self.names.find(text)?;
        self.by_name.get(name.index())?[0]
    }

    /// The text of a symbol's name.
    pub(crate) fn symbol_name(&self, id: SymbolId) -> &Arc<str> {
        self.names.text(self.symbols[id.index()].name)
    }

    /// Appends an entry without properties.
    pub(crate) fn add_node(&mut self, item: Item, block: Option<NodeId>, span: Span) -> NodeId {
        let id = NodeId::at(self.nodes.len());
        self.nodes.push(Node {
            item,
            block,
            span,
            prompt: None,
            depends: Vec::new(),
            visible: Vec::new(),
            title_visible: Vec::new(),
            defaults: Vec::new(),
            selects: Vec::new(),
            implies: Vec::new(),
            ranges: Vec::new(),
            help: None,
            opens: false,
            end: NodeId::at(self.nodes.len() + 1),
        });
        match item {
            Item::Symbol(symbol) => self.symbols[symbol.index()].nodes.push(id),
            Item::Choice(choice) => self.choices[choice.index()].nodes.push(id),
            Item::Menu | Item::Comment | Item::If => {}
        }
        id
    }

    /// The entry `id`.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The entry `id`, to change.
    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// `span` to show.
    pub(crate) fn spot(&self, span: Span) -> Spot {
        let Span { file, line, column } = span;
        let file = self.files.get(file.index()).cloned().unwrap_or_else(|| "".into());
        Spot { file, line, column }
    }

    fn slot(&mut self, name: NameId) -> &mut [Option<SymbolId>; 2] {
        if self.by_name.len() <= name.index() {
            self.by_name.resize(name.index() + 1, [None; 2]);
        }
        &mut self.by_name[name.index()]
    }

    fn named(&mut self, name: NameId, which: usize) -> SymbolId {
        if let Some(id) = self.slot(name)[which] {
            return id;
        }
        let id = SymbolId::at(self.symbols.len());
        self.slot(name)[which] = Some(id);
        self.symbols.push(Symbol {
            name,
            constant: which == 1,
            kind: Kind::Unknown,
            nodes: Vec::new(),
            hidden: false,
            transitional: false,
        });
        id
    }
}
