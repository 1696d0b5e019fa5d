//! In which order values can be decided, and what has to be decided again after a change.

use crate::dialect::Tool;
use crate::expr::{Expr, Exprs, Mention, Relation, Tristate};
use crate::ids::{ChoiceId, ExprId, SymbolId};
use crate::load_error::LoadError;
use crate::model::Model;
use crate::tree::{Kind, Tree};

/// Most names of a cycle that are told.
const CYCLE_SHOWN: usize = 20;

/// Something whose value is decided at once: a symbol, or a choice with the visibility of its
/// members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    Symbol(SymbolId),
    Choice(ChoiceId),
}

/// The order of deciding.
#[derive(Debug)]
pub(crate) struct Order {
    /// Units, each behind all that it needs.
    pub(crate) units: Vec<Unit>,
    /// By number of the unit: its place in `units`.
    ranks: Vec<u32>,
    /// By rank: where its list in `needed` begins; one more at the end.
    starts: Vec<u32>,
    /// Ranks of the units that need another, which come behind it.
    needed: Vec<u32>,
    symbols: usize,
}

impl Order {
    /// The place of `unit`.
    pub(crate) fn rank(&self, unit: Unit) -> u32 {
        self.ranks[number(unit, self.symbols)]
    }

    /// The ranks of the units that need the one with `rank`.
    pub(crate) fn needed_by(&self, rank: u32) -> &[u32] {
        let rank = rank as usize;
        &self.needed[self.starts[rank] as usize..self.starts[rank + 1] as usize]
    }
}

fn number(unit: Unit, symbols: usize) -> usize {
    match unit {
        Unit::Symbol(symbol) => symbol.index(),
        Unit::Choice(choice) => symbols + choice.index(),
    }
}

/// What one unit needs.
#[derive(Debug, Clone, Copy)]
struct Need {
    unit: u32,
    /// May be ignored where it would close a cycle.
    soft: bool,
}

/// Finds the order.
///
/// # Errors
/// [`LoadError::Loop`] if there is none.
pub(crate) fn order(tree: &Tree, model: &Model, tool: Tool) -> Result<Order, LoadError> {
    let needs = needs(tree, model, tool);
    let sorted = sort(&needs).map_err(|cycle| looped(tree, model, &cycle))?;
    let symbols = tree.symbols.len();
    let mut ranks = vec![0; needs.len()];
    for (rank, unit) in (0_u32..).zip(&sorted) {
        ranks[*unit as usize] = rank;
    }
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    for (user, needs) in needs.iter().enumerate() {
        let user = ranks[user];
        let used = needs.iter().map(|need| ranks[need.unit as usize]);
        pairs.extend(used.filter(|used| *used < user).map(|used| (used, user)));
    }
    pairs.sort_unstable();
    pairs.dedup();
    let mut starts = Vec::with_capacity(needs.len() + 1);
    let mut at = 0;
    for rank in 0..=needs.len() {
        while pairs.get(at).is_some_and(|(used, _)| (*used as usize) < rank) {
            at += 1;
        }
        starts.push(narrow(at));
    }
    let units = sorted
        .into_iter()
        .map(|unit| match (unit as usize).checked_sub(symbols) {
            None => Unit::Symbol(SymbolId::at(unit as usize)),
            Some(choice) => Unit::Choice(ChoiceId::at(choice)),
        })
        .collect();
    let needed = pairs.into_iter().map(|(_, user)| user).collect();
    Ok(Order { units, ranks, starts, needed, symbols })
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("the limit on sizes keeps arenas below 2^32")
}

/// Collects what one unit needs.
struct Collector<'a> {
    tree: &'a Tree,
    /// By expression: its value, if no symbol can change it.
    fixed: &'a [Option<Tristate>],
    list: Vec<Need>,
    modules: bool,
    /// By unit: the last one that listed it, so that nothing is listed twice.
    listed: Vec<u32>,
    current: u32,
}

impl Collector<'_> {
    fn symbol(&mut self, id: SymbolId, soft: bool) {
        // What is not defined never changes.
        if !self.tree.symbols[id.index()].nodes.is_empty() {
            self.unit(narrow(id.index()), soft);
        }
    }

    fn choice(&mut self, id: ChoiceId, soft: bool) {
        self.unit(narrow(self.tree.symbols.len() + id.index()), soft);
    }

    fn unit(&mut self, unit: u32, soft: bool) {
        // A hard need behind a soft one counts as well.
        if soft || std::mem::replace(&mut self.listed[unit as usize], self.current) != self.current
        {
            self.list.push(Need { unit, soft });
        }
    }

    fn expr(&mut self, id: ExprId, soft: bool, except: Option<ChoiceId>) {
        let tree = self.tree;
        let fixed = self.fixed;
        tree.exprs.visit_but(id, fixed, &mut |mention| match mention {
            Mention::Symbol(symbol) => self.symbol(symbol, soft),
            Mention::Choice(choice) if Some(choice) == except => {}
            Mention::Choice(choice) => self.choice(choice, soft),
            Mention::Modules => self.modules = true,
        });
    }
}

/// What can be said of conditions without any value. Only `conf` drops what cannot change them.
fn fixed(tree: &Tree, tool: Tool) -> Vec<Option<Tristate>> {
    if tool == Tool::Kconfiglib {
        return Vec::new();
    }
    // No bool is ever `m`.
    tree.exprs.fixed(|part| match part {
        Expr::Compare(relation @ (Relation::Equal | Relation::Unequal), left, right)
            if *right == tree.constants.module && tree.symbols[left.index()].kind == Kind::Bool =>
        {
            Some(Tristate::from_bool(*relation == Relation::Unequal))
        }
        _ => None,
    })
}

fn needs(tree: &Tree, model: &Model, tool: Tool) -> Vec<Vec<Need>> {
    let units = tree.symbols.len() + tree.choices.len();
    let listed = vec![u32::MAX; units];
    let fixed = fixed(tree, tool);
    let mut collector =
        Collector { tree, fixed: &fixed, list: Vec::new(), modules: false, listed, current: 0 };
    let mut all = Vec::with_capacity(units);
    let mut on_modules = Vec::with_capacity(units);
    for index in 0..units {
        collector.current = narrow(index);
        match index.checked_sub(tree.symbols.len()) {
            None => symbol_needs(&mut collector, model, tool, index),
            Some(choice) => choice_needs(&mut collector, model, ChoiceId::at(choice)),
        }
        all.push(std::mem::take(&mut collector.list));
        on_modules.push(std::mem::take(&mut collector.modules));
    }
    if let Some(modules) = tree.modules {
        let before = reachable(&all, modules.index());
        for unit in 0..units {
            if on_modules[unit] && !before[unit] {
                all[unit].push(Need { unit: narrow(modules.index()), soft: false });
            }
        }
    }
    all
}

fn symbol_needs(collector: &mut Collector<'_>, model: &Model, tool: Tool, index: usize) {
    let known = &model.symbols[index];
    match known.choice {
        Some(choice) => collector.choice(choice, false),
        None => known.prompts.iter().for_each(|prompt| collector.expr(*prompt, false, None)),
    }
    for default in &known.defaults {
        collector.expr(default.value, false, None);
        collector.expr(default.condition, false, None);
    }
    for by in &known.selected_by {
        collector.symbol(by.value, false);
        collector.expr(by.condition, false, None);
    }
    // `conf` does not look for cycles here.
    let soft = tool == Tool::Conf;
    for by in &known.implied_by {
        collector.symbol(by.value, soft);
        collector.expr(by.condition, soft, None);
    }
    // kconfiglib sees that one definition which depends on nothing is enough.
    let is_free = tool == Tool::Kconfiglib && known.direct.contains(&Exprs::yes());
    if !known.implied_by.is_empty() && !is_free {
        known.direct.iter().for_each(|direct| collector.expr(*direct, soft, None));
    }
    for range in &known.ranges {
        collector.expr(range.condition, false, None);
        collector.symbol(range.value.0, soft);
        collector.symbol(range.value.1, soft);
    }
    collector.modules |= collector.tree.symbols[index].kind == Kind::Tristate;
}

fn choice_needs(collector: &mut Collector<'_>, model: &Model, choice: ChoiceId) {
    let known = &model.choices[choice.index()];
    for prompt in &known.prompts {
        collector.expr(*prompt, false, Some(choice));
    }
    for default in &known.defaults {
        collector.expr(default.condition, false, Some(choice));
    }
    for member in &known.members {
        for prompt in &model.symbols[member.index()].prompts {
            collector.expr(*prompt, false, Some(choice));
        }
        collector.modules |= collector.tree.symbols[member.index()].kind == Kind::Tristate;
    }
    collector.modules |= collector.tree.choices[choice.index()].kind == Kind::Tristate;
}

fn reachable(needs: &[Vec<Need>], from: usize) -> Vec<bool> {
    let mut seen = vec![false; needs.len()];
    let mut open = vec![from];
    while let Some(unit) = open.pop() {
        if !std::mem::replace(&mut seen[unit], true) {
            open.extend(needs[unit].iter().map(|need| need.unit as usize));
        }
    }
    seen
}

/// How far a unit is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

/// Units, each behind its needs; or a cycle.
fn sort(needs: &[Vec<Need>]) -> Result<Vec<u32>, Vec<u32>> {
    let mut sorted = Vec::with_capacity(needs.len());
    let mut states = vec![State::New; needs.len()];
    // A unit, the need to look at next, and whether it was itself a soft need.
    let mut path: Vec<(u32, usize, bool)> = Vec::new();
    for start in 0..needs.len() {
        if states[start] != State::New {
            continue;
        }
        states[start] = State::Open;
        path.push((narrow(start), 0, false));
        while let Some((unit, next, _)) = path.last_mut() {
            let Some(&Need { unit: need, soft }) = needs[*unit as usize].get(*next) else {
                states[*unit as usize] = State::Done;
                sorted.push(*unit);
                path.pop();
                continue;
            };
            *next += 1;
            match states[need as usize] {
                State::Done => {}
                State::New => {
                    states[need as usize] = State::Open;
                    path.push((need, 0, soft));
                }
                State::Open => {
                    let from = path.iter().position(|(unit, ..)| *unit == need).unwrap_or(0);
                    if !soft && path[from + 1..].iter().all(|(_, _, soft)| !soft) {
                        return Err(path[from..].iter().map(|(unit, ..)| *unit).collect());
                    }
                }
            }
        }
    }
    Ok(sorted)
}

fn looped(tree: &Tree, model: &Model, cycle: &[u32]) -> LoadError {
    let unit_name = |unit: u32| match (unit as usize).checked_sub(tree.symbols.len()) {
        None => tree.symbol_name(SymbolId::at(unit as usize)).to_string(),
        Some(choice) => {
            let first = model.choices[choice].members.first();
            let first = first.map_or("nothing", |member| tree.symbol_name(*member));
            format!("the choice of {first}")
        }
    };
    let mut names: Vec<String> = if cycle.len() > CYCLE_SHOWN {
        let (head, tail) = (&cycle[..CYCLE_SHOWN / 2], &cycle[cycle.len() - CYCLE_SHOWN / 2..]);
        let mut names: Vec<String> = head.iter().map(|unit| unit_name(*unit)).collect();
        names.push("…".to_owned());
        names.extend(tail.iter().map(|unit| unit_name(*unit)));
        names
    } else {
        cycle.iter().map(|unit| unit_name(*unit)).collect()
    };
    names.extend(names.first().cloned());
    let first = cycle.first().map_or(0, |unit| *unit as usize);
    let nodes = match first.checked_sub(tree.symbols.len()) {
        None => &tree.symbols[first].nodes,
        Some(choice) => &tree.choices[choice].nodes,
    };
    let node = nodes.first().map_or(0, |node| node.index());
    LoadError::Loop { at: tree.spot(tree.nodes[node].span), cycle: names }
}
