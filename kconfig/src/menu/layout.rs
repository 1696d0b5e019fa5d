//! Which entry belongs to which, once blocks without a title are dissolved and what depends on the
//! symbol before it has become its submenu.

use std::collections::BTreeSet;

use crate::dialect::Tool;
use crate::expr::{Expr, Mention};
use crate::ids::{ExprId, NodeId, SymbolId};
use crate::kconfig::Kconfig;
use crate::menu::entry::EntryId;
use crate::tree::Item;

/// How deeply symbols may be submenus of each other: what depends on more is listed beside.
const SUBMENUS_MAX: usize = 200;

/// The entries of a project, by what they belong to.
#[derive(Debug, Clone)]
pub struct Menu {
    /// By entry; blocks without a title have neither.
    above: Vec<Option<EntryId>>,
    below: Vec<Vec<EntryId>>,
}

impl Menu {
    /// Lays out the entries of `kconfig` as its tool does.
    pub fn of(kconfig: &Kconfig) -> Self {
        let count = kconfig.tree.nodes.len();
        let mut layout =
            Layout { kconfig, owners: Vec::with_capacity(count), open: vec![Vec::new(); count] };
        for index in 0..count {
            layout.visit(NodeId::at(index));
        }
        let mut menu = Self { above: vec![None; count], below: vec![Vec::new(); count] };
        for index in 1..count {
            let id = NodeId::at(index);
            if kconfig.tree.node(id).item == Item::If {
                continue;
            }
            let mut owner = layout.owners[index];
            while let Some(above) = owner.filter(|above| layout.is_dissolved(*above)) {
                owner = layout.owners[above.index()];
            }
            let owner = EntryId(owner.unwrap_or(NodeId::at(0)));
            menu.above[index] = Some(owner);
            menu.below[owner.0.index()].push(EntryId(id));
        }
        menu
    }

    /// The entry that everything belongs to.
    pub fn root(&self) -> EntryId {
        EntryId(NodeId::at(0))
    }

    /// What belongs to the entry `id`, in the order of the files.
    pub fn below(&self, id: EntryId) -> &[EntryId] {
        &self.below[id.0.index()]
    }

    /// What the entry `id` belongs to; nothing for the root.
    pub fn above(&self, id: EntryId) -> Option<EntryId> {
        self.above[id.0.index()]
    }

    /// All entries but the root, in the order of the files.
    pub fn entries(&self) -> impl Iterator<Item = EntryId> + '_ {
        let known = self.above.iter().enumerate();
        known.filter_map(|(index, above)| above.map(|_| EntryId(NodeId::at(index))))
    }
}

/// What is known while entries are visited in order.
struct Layout<'k> {
    kconfig: &'k Kconfig,
    /// By entry: the block or symbol that it belongs to.
    owners: Vec<Option<NodeId>>,
    /// By block: the symbols that the next entry could belong to, innermost last.
    open: Vec<Vec<NodeId>>,
}

impl Layout<'_> {
    fn visit(&mut self, id: NodeId) {
        let node = self.kconfig.tree.node(id);
        let Some(block) = node.block else {
            self.owners.push(None);
            return;
        };
        let mut owner = block;
        let mut open = std::mem::take(&mut self.open[block.index()]);
        while let Some(&above) = open.last() {
            if self.belongs(id, above) {
                owner = above;
                break;
            }
            open.pop();
        }
        if matches!(node.item, Item::Symbol(_)) && open.len() < SUBMENUS_MAX {
            open.push(id);
        }
        self.open[block.index()] = open;
        self.owners.push(Some(owner));
    }

    /// Whether what belongs to the entry moves up to where it stands itself.
    fn is_dissolved(&self, id: NodeId) -> bool {
        let node = self.kconfig.tree.node(id);
        match node.item {
            Item::If => true,
            Item::Symbol(_) | Item::Choice(_) => node.prompt.is_none(),
            Item::Menu | Item::Comment => false,
        }
    }

    /// Whether the entry `id` depends on the symbol of the entry `above`.
    fn belongs(&self, id: NodeId, above: NodeId) -> bool {
        let Kconfig { tree, model, dialect, .. } = self.kconfig;
        let Item::Symbol(symbol) = tree.node(above).item else { return false };
        let condition =
            |id: NodeId| model.prompts[id.index()].unwrap_or(model.shown[id.index()].condition);
        let needs = condition(id);
        tree.exprs.depends_on(needs, symbol, &tree.constants)
            || dialect.tool == Tool::Conf
                && self.mentions(needs, symbol)
                && model.prompts[above.index()].is_some_and(|around| self.covers(needs, around))
    }

    fn mentions(&self, condition: ExprId, symbol: SymbolId) -> bool {
        let mut found = false;
        self.kconfig.tree.exprs.visit(condition, &mut |mention| {
            found |= mention == Mention::Symbol(symbol);
        });
        found
    }

    /// Whether `condition` demands all that `around` demands, as far as `conf` looks: the same
    /// operands of `&&`.
    fn covers(&self, condition: ExprId, around: ExprId) -> bool {
        let have = self.operands(condition);
        self.operands(around).is_subset(&have)
    }

    /// The operands of `&&`, spelled so that equal ones are equal.
    fn operands(&self, condition: ExprId) -> BTreeSet<String> {
        let exprs = &self.kconfig.tree.exprs;
        let mut open = vec![condition];
        let mut found = BTreeSet::new();
        while let Some(id) = open.pop() {
            match exprs.get(id) {
                Expr::And(all) => open.extend(all.iter()),
                Expr::Constant(crate::Tristate::Yes) => {}
                _ => {
                    found.insert(self.spelled(id));
                }
            }
        }
        found
    }

    fn spelled(&self, id: ExprId) -> String {
        let exprs = &self.kconfig.tree.exprs;
        let all = |all: &[ExprId], word: &str| {
            let mut parts: Vec<_> = all.iter().map(|part| self.spelled(*part)).collect();
            parts.sort_unstable();
            parts.dedup();
            format!("({})", parts.join(word))
        };
        match exprs.get(id) {
            Expr::Not(inner) => format!("!{}", self.spelled(*inner)),
            Expr::And(operands) => all(operands, "&"),
            Expr::Or(operands) => all(operands, "|"),
            leaf => format!("{leaf:?}"),
        }
    }
}
