//! The mistakes that the files alone show.

use std::collections::BTreeMap;

use super::reach::Reach;
use super::{Flaw, FlawKind};
use crate::expr::{Expr, Exprs, Mention, Tristate};
use crate::ids::{ChoiceId, ExprId, NodeId, SymbolId};
use crate::kconfig::Kconfig;
use crate::number::{base, is_settable, number};
use crate::spot::Span;
use crate::tree::{Item, Kind, Node, Property, Retyped, Tree};

/// Looks at every entry.
pub(super) struct Checks<'a> {
    kconfig: &'a Kconfig,
    tree: &'a Tree,
    reach: Reach<'a>,
    flaws: Vec<(Span, Flaw)>,
    /// By symbol that no file defines: where it is used first, and how often.
    undefined: BTreeMap<SymbolId, (Span, usize)>,
}

impl<'a> Checks<'a> {
    pub(super) fn new(kconfig: &'a Kconfig, reach: Reach<'a>) -> Self {
        let undefined = BTreeMap::new();
        Self { kconfig, tree: &kconfig.tree, reach, flaws: Vec::new(), undefined }
    }

    pub(super) fn run(&mut self) {
        self.types();
        for index in 0..self.tree.nodes.len() {
            let id = NodeId::at(index);
            let node = self.tree.node(id);
            self.mentions(node);
            match node.item {
                Item::Symbol(symbol) => self.entry(id, node, symbol),
                Item::Choice(choice) => self.choice(id, node, choice),
                Item::Menu | Item::Comment | Item::If => {}
            }
        }
    }

    /// Notes the lines that contradict an earlier type.
    fn types(&mut self) {
        let tree = self.tree;
        for Retyped { symbol, kinds, span } in &tree.retyped {
            let what = FlawKind::TwoTypes { kinds: kinds.map(Kind::word) };
            self.add(*span, self.name(*symbol), what);
        }
    }

    /// What was found, in the order of reading.
    pub(super) fn finish(mut self) -> Vec<Flaw> {
        for (symbol, (span, uses)) in std::mem::take(&mut self.undefined) {
            let subject = self.name(symbol);
            self.add(span, subject, FlawKind::Undefined { uses });
        }
        self.flaws.sort_by_key(|(span, _)| (span.file, span.line));
        self.flaws.into_iter().map(|(_, flaw)| flaw).collect()
    }

    fn add(&mut self, span: Span, subject: String, what: FlawKind) {
        let at = self.tree.spot(span);
        self.flaws.push((span, Flaw { at, subject, what }));
    }

    fn name(&self, id: SymbolId) -> String {
        self.tree.symbol_name(id).to_string()
    }

    /// Notes the symbols in conditions that no file defines.
    fn mentions(&mut self, node: &Node) {
        let clauses = node.depends.iter().chain(&node.visible);
        let mut conditions: Vec<(ExprId, Span)> =
            clauses.map(|clause| (clause.condition, clause.span)).collect();
        conditions.extend(node.prompt.map(|prompt| (prompt.condition, prompt.span)));
        conditions.extend(node.defaults.iter().map(|default| (default.condition, default.span)));
        let targets = node.selects.iter().chain(&node.implies);
        conditions.extend(targets.map(|target| (target.condition, target.span)));
        conditions.extend(node.ranges.iter().map(|range| (range.condition, range.span)));
        if let Item::Symbol(symbol) = node.item
            && self.tree.symbols[symbol.index()].kind.is_logic()
        {
            conditions.extend(node.defaults.iter().map(|default| (default.value, default.span)));
        }
        let tree = self.tree;
        for (condition, span) in conditions {
            tree.exprs.visit(condition, &mut |mention| {
                if let Mention::Symbol(symbol) = mention
                    && self.is_nothing(symbol)
                {
                    let (_, uses) = self.undefined.entry(symbol).or_insert((span, 0));
                    *uses += 1;
                }
            });
        }
    }

    /// Whether it looks like a symbol, and no file defines it.
    fn is_nothing(&self, id: SymbolId) -> bool {
        let symbol = &self.tree.symbols[id.index()];
        let name = self.tree.symbol_name(id);
        // Bare numbers and words in lower case stand for themselves.
        let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        !symbol.constant && symbol.nodes.is_empty() && is_name
    }

    fn entry(&mut self, id: NodeId, node: &Node, symbol: SymbolId) {
        let known = &self.tree.symbols[symbol.index()];
        let is_first = known.nodes.first() == Some(&id);
        if known.kind == Kind::Unknown && is_first {
            self.add(node.span, self.name(symbol), FlawKind::NoType);
        }
        self.defaults(node, symbol, known.kind);
        for range in &node.ranges {
            let ends = [range.value.0, range.value.1].map(|end| self.number(end, known.kind));
            if let [Some(low), Some(high)] = ends
                && low > high
            {
                let range_ends = self.ends(range);
                let what = FlawKind::RangeEmpty { range: range_ends };
                self.add(range.span, self.name(symbol), what);
            }
        }
        for target in node.selects.iter().chain(&node.implies) {
            self.target(symbol, target);
        }
        let prompts = &self.kconfig.model.symbols[symbol.index()].prompts;
        if is_first
            && !prompts.is_empty()
            && prompts.iter().all(|prompt| self.reach.most(*prompt) == Tristate::No)
        {
            self.never_shown(node.span, symbol, prompts);
        }
    }

    fn never_shown(&mut self, span: Span, symbol: SymbolId, prompts: &[ExprId]) {
        let blamed = prompts.iter().flat_map(|prompt| self.reach.blame(*prompt));
        let mut because: Vec<String> = Vec::new();
        for part in blamed {
            let text = match self.tree.exprs.get(part) {
                // The choice has the same flaw, or none of its prompts is ever shown.
                Expr::Choice(choice) => match self.title(*choice) {
                    Some(title) => format!("the choice \"{title}\""),
                    None => "the choice around it".to_owned(),
                },
                _ => self.tree.spelled(part),
            };
            if !because.contains(&text) {
                because.push(text);
            }
        }
        self.add(span, self.name(symbol), FlawKind::NeverShown { because });
    }

    fn target(&mut self, symbol: SymbolId, target: &Property<SymbolId>) {
        let known = &self.tree.symbols[target.value.index()];
        let name = self.name(target.value);
        let what = if known.nodes.is_empty() {
            FlawKind::SelectsNothing { target: name }
        } else if !known.kind.is_logic() && known.kind != Kind::Unknown {
            FlawKind::SelectKind { target: name, kind: known.kind.word() }
        } else if self.kconfig.model.symbols[target.value.index()].choice.is_some() {
            FlawKind::SelectMember { target: name }
        } else {
            return;
        };
        self.add(target.span, self.name(symbol), what);
    }

    fn defaults(&mut self, node: &Node, symbol: SymbolId, kind: Kind) {
        let mut always: Option<Span> = None;
        for default in &node.defaults {
            let value = self.tree.spelled(default.value);
            if let Some(earlier) = always {
                let earlier = self.tree.spot(earlier);
                let what = FlawKind::DefaultUnused { value: value.clone(), earlier };
                self.add(default.span, self.name(symbol), what);
            }
            if default.condition == Exprs::yes() {
                always = always.or(Some(default.span));
            }
            let Some(text) = self.literal(default.value) else { continue };
            let fits = match kind {
                Kind::Unknown | Kind::Text => true,
                Kind::Bool | Kind::Tristate => matches!(&*text, "y" | "m" | "n"),
                Kind::Int | Kind::Hex => is_settable(&text, kind, self.kconfig.dialect.tool),
            };
            if fits {
                self.in_range(symbol, kind, default, &text);
            } else {
                let what = FlawKind::DefaultType { value, kind: kind.word() };
                self.add(default.span, self.name(symbol), what);
            }
        }
    }

    /// Notes a number that is in none of the ranges that it could be measured by.
    fn in_range(&mut self, symbol: SymbolId, kind: Kind, default: &Property<ExprId>, text: &str) {
        let ranges = &self.kconfig.model.symbols[symbol.index()].ranges;
        let tool = self.kconfig.dialect.tool;
        let Some(value) = number(text, base(kind), tool) else { return };
        let is_outside = |range: &Property<(SymbolId, SymbolId)>| {
            let low = self.number(range.value.0, kind).is_some_and(|low| value < low);
            low || self.number(range.value.1, kind).is_some_and(|high| value > high)
        };
        if matches!(kind, Kind::Int | Kind::Hex)
            && !ranges.is_empty()
            && ranges.iter().all(is_outside)
        {
            let ranges = ranges.iter().map(|range| self.ends(range)).collect();
            let what = FlawKind::DefaultRange { value: text.to_owned(), ranges };
            self.add(default.span, self.name(symbol), what);
        }
    }

    fn ends(&self, range: &Property<(SymbolId, SymbolId)>) -> (String, String) {
        (self.tree.operand(range.value.0), self.tree.operand(range.value.1))
    }

    /// The text of a value that stands for itself.
    fn literal(&self, value: ExprId) -> Option<std::sync::Arc<str>> {
        let Expr::Symbol(symbol) = self.tree.exprs.get(value) else { return None };
        let known = &self.tree.symbols[symbol.index()];
        let stands_for_itself =
            known.constant || known.nodes.is_empty() && !self.is_nothing(*symbol);
        stands_for_itself.then(|| std::sync::Arc::clone(self.tree.symbol_name(*symbol)))
    }

    /// The number that an end of a range is, if it always is the same.
    fn number(&self, end: SymbolId, kind: Kind) -> Option<i128> {
        let symbol = &self.tree.symbols[end.index()];
        let text = self.tree.symbol_name(end);
        let is_fixed = symbol.constant || symbol.nodes.is_empty();
        number(text, base(kind), self.kconfig.dialect.tool).filter(|_| is_fixed)
    }

    fn choice(&mut self, id: NodeId, node: &Node, choice: ChoiceId) {
        let known = &self.kconfig.model.choices[choice.index()];
        let is_first = self.tree.choices[choice.index()].nodes.first() == Some(&id);
        let subject = self.title(choice).unwrap_or_else(|| "a choice".to_owned());
        if is_first && known.members.is_empty() {
            self.add(node.span, subject.clone(), FlawKind::ChoiceEmpty);
        }
        for default in &node.defaults {
            if let Expr::Symbol(value) = self.tree.exprs.get(default.value)
                && !known.members.contains(value)
            {
                let what = FlawKind::ChoiceDefault { value: self.tree.operand(*value) };
                self.add(default.span, subject.clone(), what);
            }
        }
    }

    fn title(&self, choice: ChoiceId) -> Option<String> {
        let mut nodes = self.tree.choices[choice.index()].nodes.iter();
        let prompt = nodes.find_map(|node| self.tree.node(*node).prompt)?;
        Some(self.tree.names.text(prompt.value).to_string())
    }
}
