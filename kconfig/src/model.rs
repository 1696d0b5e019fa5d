//! What follows from the entries: every symbol with all that decides its value.

use std::collections::BTreeMap;

use crate::dialect::Tool;
use crate::expr::{Expr, Exprs};
use crate::ids::{ChoiceId, ExprId, NodeId, SymbolId};
use crate::tree::{Clause, Item, Kind, Node, Property, Tree};

/// What decides the value of a symbol. Conditions include those of the blocks around.
#[derive(Debug, Default)]
pub(crate) struct SymbolModel {
    /// Conditions under which a person is asked.
    pub(crate) prompts: Vec<ExprId>,
    pub(crate) defaults: Vec<Property<ExprId>>,
    pub(crate) selected_by: Vec<Property<SymbolId>>,
    pub(crate) implied_by: Vec<Property<SymbolId>>,
    pub(crate) ranges: Vec<Property<(SymbolId, SymbolId)>>,
    /// What each definition depends on: one of them has to hold.
    pub(crate) direct: Vec<ExprId>,
    /// The choice that it is a member of.
    pub(crate) choice: Option<ChoiceId>,
    /// Which of the members of the choice it is.
    pub(crate) member: usize,
}

/// What decides which member of a choice is on.
#[derive(Debug, Default)]
pub(crate) struct ChoiceModel {
    pub(crate) prompts: Vec<ExprId>,
    pub(crate) defaults: Vec<Property<SymbolId>>,
    pub(crate) members: Vec<SymbolId>,
}

/// When a menu or comment is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) condition: ExprId,
    /// `visible if`, which the title obeys as well.
    pub(crate) visible: ExprId,
}

/// Everything derived.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) symbols: Vec<SymbolModel>,
    pub(crate) choices: Vec<ChoiceModel>,
    /// By entry; only menus and comments use it.
    pub(crate) shown: Vec<Shown>,
    /// By entry: when its prompt is shown, `None` without one.
    pub(crate) prompts: Vec<Option<ExprId>>,
}

/// Derives the model, and gives types to choices and members that have none.
pub(crate) fn derive(tree: &mut Tree, tool: Tool) -> Model {
    let mut model = Model::default();
    model.symbols.resize_with(tree.symbols.len(), SymbolModel::default);
    model.choices.resize_with(tree.choices.len(), ChoiceModel::default);
    let nodes = std::mem::take(&mut tree.nodes);
    let mut walk = Walk::new(nodes.len(), tool);
    for (index, node) in nodes.iter().enumerate() {
        walk.visit(NodeId::at(index), node, &nodes, tree, &mut model);
    }
    model.shown = walk.shown;
    model.prompts = walk.prompts;
    tree.nodes = nodes;
    infer_kinds(tree, &model, tool);
    for (index, node) in tree.nodes.iter().enumerate() {
        let Item::Symbol(symbol) = node.item else { continue };
        let depends = model.shown[index].condition;
        for (list, implied) in [(&node.selects, false), (&node.implies, true)] {
            for property in list {
                let condition = tree.exprs.and(property.condition, depends);
                let target = &mut model.symbols[property.value.index()];
                let by = Property { value: symbol, condition, span: property.span };
                if implied { target.implied_by.push(by) } else { target.selected_by.push(by) }
            }
        }
    }
    model
}

/// What is known while entries are visited in order.
struct Walk {
    tool: Tool,
    shown: Vec<Shown>,
    /// `visible if` of all menus around what stands in the entry.
    visible_inside: Vec<ExprId>,
    /// The choice that the entry is a direct part of, once blocks without a title are dissolved.
    home: Vec<Option<ChoiceId>>,
    /// By block: the symbols that the next entry could be a submenu of, innermost last.
    submenus: BTreeMap<NodeId, Vec<NodeId>>,
    prompts: Vec<Option<ExprId>>,
}

impl Walk {
    fn new(nodes: usize, tool: Tool) -> Self {
        Self {
            tool,
            shown: Vec::with_capacity(nodes),
            visible_inside: Vec::with_capacity(nodes),
            home: Vec::with_capacity(nodes),
            submenus: BTreeMap::new(),
            prompts: Vec::with_capacity(nodes),
        }
    }

    fn visit(
        &mut self,
        id: NodeId,
        node: &Node,
        nodes: &[Node],
        tree: &mut Tree,
        model: &mut Model,
    ) {
        let block = node.block.map(|block| (block, &nodes[block.index()]));
        let inherited = match block {
            None => Exprs::yes(),
            Some((_, Node { item: Item::Choice(choice), .. })) => {
                tree.exprs.add(Expr::Choice(*choice))
            }
            Some((block, _)) => self.shown[block.index()].condition,
        };
        let own = tree.exprs.all(conditions(&node.depends));
        let condition = tree.exprs.and(inherited, own);
        let visible = tree.exprs.all(conditions(&node.visible));
        let around = block.map_or(Exprs::yes(), |(block, _)| self.visible_inside[block.index()]);
        let visible_inside = tree.exprs.and(around, visible);
        let prompt = node.prompt.map(|prompt| {
            let depends = match node.item {
                Item::Symbol(_) | Item::Choice(_) => tree.exprs.and(around, condition),
                Item::Menu | Item::Comment | Item::If => condition,
            };
            tree.exprs.and(prompt.condition, depends)
        });
        // The title of a menu is shown for `m` even where there are no modules.
        let visible = match self.tool {
            Tool::Conf => tree.exprs.all(node.title_visible.clone()),
            Tool::Kconfiglib => visible,
        };
        self.shown.push(Shown { condition, visible });
        self.visible_inside.push(visible_inside);
        self.prompts.push(prompt);
        let home =
            block.and_then(|(block, parent)| self.home(id, node, (block, parent), nodes, tree));
        self.home.push(home);
        match node.item {
            Item::Symbol(symbol) => {
                let known = &mut model.symbols[symbol.index()];
                known.prompts.extend(prompt);
                known.direct.push(condition);
                for default in &node.defaults {
                    let condition = tree.exprs.and(default.condition, condition);
                    known.defaults.push(Property { condition, ..*default });
                }
                for range in &node.ranges {
                    let condition = tree.exprs.and(range.condition, condition);
                    known.ranges.push(Property { condition, ..*range });
                }
                if let (Some(choice), None) = (home, known.choice) {
                    known.choice = Some(choice);
                    known.member = model.choices[choice.index()].members.len();
                    model.choices[choice.index()].members.push(symbol);
                }
            }
            Item::Choice(choice) => {
                let known = &mut model.choices[choice.index()];
                known.prompts.extend(prompt);
                for default in &node.defaults {
                    let Expr::Symbol(value) = *tree.exprs.get(default.value) else { continue };
                    let condition = tree.exprs.and(default.condition, condition);
                    known.defaults.push(Property { value, condition, span: default.span });
                }
            }
            Item::Menu | Item::Comment | Item::If => {}
        }
    }

    /// The choice that the entry is a direct part of.
    ///
    /// An entry that depends on the symbol before it becomes a submenu of it, and then is none.
    fn home(
        &mut self,
        id: NodeId,
        node: &Node,
        (block, parent): (NodeId, &Node),
        nodes: &[Node],
        tree: &Tree,
    ) -> Option<ChoiceId> {
        let around = match parent.item {
            Item::Choice(choice) => choice,
            Item::If => self.home[block.index()]?,
            _ => return None,
        };
        let condition = self.prompts[id.index()].unwrap_or(self.shown[id.index()].condition);
        let submenus = self.submenus.entry(block).or_default();
        let mut home = Some(around);
        while let Some(&above) = submenus.last() {
            let above_node = &nodes[above.index()];
            let Item::Symbol(symbol) = above_node.item else { break };
            if tree.exprs.depends_on(condition, symbol, &tree.constants) {
                home = match above_node.prompt {
                    Some(_) => None,
                    None => self.home[above.index()],
                };
                break;
            }
            submenus.pop();
        }
        if matches!(node.item, Item::Symbol(_)) {
            submenus.push(id);
        }
        home
    }
}

fn conditions(clauses: &[Clause]) -> Vec<ExprId> {
    clauses.iter().map(|clause| clause.condition).collect()
}

/// A choice without a type has that of its first member with one, and gives it to the others.
///
/// `conf` looks at what stands directly in the choice, also if it becomes no member, and not at
/// members in an `if`.
fn infer_kinds(tree: &mut Tree, model: &Model, tool: Tool) {
    let mut children: Vec<Vec<SymbolId>> = match tool {
        Tool::Kconfiglib => model.choices.iter().map(|choice| choice.members.clone()).collect(),
        Tool::Conf => vec![Vec::new(); tree.choices.len()],
    };
    if tool == Tool::Conf {
        for node in &tree.nodes {
            let block = node.block.map(|block| tree.node(block).item);
            if let (Item::Symbol(symbol), Some(Item::Choice(choice))) = (node.item, block) {
                children[choice.index()].push(symbol);
            }
        }
    }
    for (choice, children) in tree.choices.iter_mut().zip(children) {
        if choice.kind == Kind::Unknown {
            let mut kinds = children.iter().map(|child| tree.symbols[child.index()].kind);
            choice.kind = kinds.find(|kind| *kind != Kind::Unknown).unwrap_or_default();
        }
        for child in children {
            let symbol = &mut tree.symbols[child.index()];
            if symbol.kind == Kind::Unknown {
                symbol.kind = choice.kind;
            }
        }
    }
}
