//! Decides values: one unit at a time, from what is decided already.

use std::cmp::{max, min};
use std::sync::Arc;

use crate::dialect::{Dialect, Tool, Vintage};
use crate::expr::{Expr, Exprs, Relation, Tristate};
use crate::ids::{ChoiceId, ExprId, SymbolId};
use crate::kconfig::Kconfig;
use crate::number::{base, leading, number};
use crate::tree::{Kind, Property};

use Tristate::{Module, No, Yes};

/// What a person set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing.
    #[default]
    Open,
    /// A bool or tristate.
    Logic(Tristate),
    /// Any other symbol: as spelled, without quotes and escapes.
    Text(Arc<str>),
}

/// What a person set of a choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ChoiceWish {
    pub(crate) mode: Option<Tristate>,
    pub(crate) selection: Option<SymbolId>,
    /// Members were set that exclude each other: the mode does not count.
    pub(crate) inconsistent: bool,
}

/// What a symbol is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) value: Tristate,
    /// How far a person may set it.
    pub(crate) visible: Tristate,
    /// Whether it belongs into a `.config`.
    pub(crate) written: bool,
    /// The value of an int, hex or string.
    pub(crate) text: Option<Arc<str>>,
}

/// What a choice is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ChoiceState {
    pub(crate) mode: Tristate,
    pub(crate) visible: Tristate,
    pub(crate) selection: Option<SymbolId>,
    /// How visible each member is.
    pub(crate) members: Vec<Tristate>,
}

/// All wishes and what came of them.
#[derive(Debug, Clone)]
pub(crate) struct Values {
    pub(crate) wishes: Vec<Wish>,
    /// By symbol: the line of a text that set it, counted from 1; 0 for none.
    pub(crate) lines: Vec<u32>,
    pub(crate) choice_wishes: Vec<ChoiceWish>,
    pub(crate) states: Vec<State>,
    pub(crate) choice_states: Vec<ChoiceState>,
}

/// Reads values while one of them is decided.
#[derive(Clone, Copy)]
pub(crate) struct Resolver<'a> {
    pub(crate) kconfig: &'a Kconfig,
    pub(crate) values: &'a Values,
}

impl Resolver<'_> {
    /// The value of an expression.
    pub(crate) fn expr(&self, id: ExprId) -> Tristate {
        match self.kconfig.tree.exprs.get(id) {
            Expr::Constant(value) => *value,
            Expr::Module => min(Module, self.modules()),
            Expr::Symbol(symbol) => self.logic(*symbol),
            Expr::Choice(choice) => self.values.choice_states[choice.index()].mode,
            Expr::Not(inner) => self.expr(*inner).inverted(),
            Expr::And(all) => {
                let mut least = Yes;
                for operand in all {
                    least = min(least, self.expr(*operand));
                    if least == No {
                        break;
                    }
                }
                least
            }
            Expr::Or(all) => {
                let mut most = No;
                for operand in all {
                    most = max(most, self.expr(*operand));
                    if most == Yes {
                        break;
                    }
                }
                most
            }
            Expr::Compare(relation, left, right) => self.compare(*relation, *left, *right),
        }
    }

    /// The value of a symbol as text.
    pub(crate) fn text(&self, id: SymbolId) -> &str {
        let symbol = &self.kconfig.tree.symbols[id.index()];
        let state = &self.values.states[id.index()];
        if symbol.constant || symbol.kind == Kind::Unknown {
            self.kconfig.tree.symbol_name(id)
        } else if symbol.kind.is_logic() {
            state.value.as_str()
        } else {
            state.text.as_deref().unwrap_or("")
        }
    }

    /// Decides a symbol.
    pub(crate) fn symbol(&self, id: SymbolId) -> State {
        let symbol = &self.kconfig.tree.symbols[id.index()];
        if symbol.constant {
            return self.values.states[id.index()].clone();
        }
        let visible = self.visible(id);
        let mut state = match symbol.kind {
            Kind::Unknown => State { visible, ..State::default() },
            Kind::Bool | Kind::Tristate => match self.kconfig.dialect.tool {
                Tool::Kconfiglib => self.logic_kconfiglib(id, visible),
                Tool::Conf => self.logic_conf(id, visible),
            },
            Kind::Text => self.string(id, visible),
            Kind::Int | Kind::Hex => match self.kconfig.dialect.tool {
                Tool::Kconfiglib => self.number_kconfiglib(id, symbol.kind, visible),
                Tool::Conf => self.number_conf(id, symbol.kind, visible),
            },
        };
        state.written |= self.all_written();
        state.written &= !symbol.hidden && !symbol.transitional;
        state
    }

    /// Decides a choice, and how visible its members are.
    pub(crate) fn choice(&self, id: ChoiceId) -> ChoiceState {
        let choice = &self.kconfig.tree.choices[id.index()];
        let known = &self.kconfig.model.choices[id.index()];
        let wish = self.values.choice_wishes[id.index()];
        let kind = self.effective(choice.kind);
        let prompt = self.any(&known.prompts);
        let visible = if kind == Kind::Bool { prompt.without_modules() } else { prompt };
        let least = if choice.optional { No } else { Module };
        let wished = if wish.inconsistent { No } else { wish.mode.unwrap_or(No) };
        let mut mode = min(visible, max(least, wished));
        if kind == Kind::Bool {
            mode = mode.without_modules();
        } else if kind == Kind::Unknown && self.kconfig.dialect.tool == Tool::Conf {
            mode = No;
        }
        // The members are asked for the mode while it is being decided.
        let mut values = ChoiceMode { resolver: *self, choice: id, mode };
        let members: Vec<Tristate> = known
            .members
            .iter()
            .map(|member| values.member_visible(*member, choice.kind))
            .collect();
        let shown = |symbol: SymbolId| {
            let known = &self.kconfig.model.symbols[symbol.index()];
            known.choice == Some(id) && members[known.member] != No
        };
        let selection = if mode == Yes {
            let default = || {
                let mut open = known.defaults.iter();
                let default = open.find(|p| shown(p.value) && values.expr(p.condition) != No);
                default.map(|p| p.value)
            };
            let first = || known.members.iter().copied().find(|member| shown(*member));
            wish.selection.filter(|wished| shown(*wished)).or_else(default).or_else(first)
        } else {
            None
        };
        if selection.is_none() && mode == Yes && self.kconfig.dialect.tool == Tool::Conf {
            mode = No;
        }
        ChoiceState { mode, visible, selection, members }
    }

    /// The member of a choice that is on if nobody wishes another one.
    pub(crate) fn default_selection(&self, id: ChoiceId) -> Option<SymbolId> {
        let known = &self.kconfig.model.choices[id.index()];
        let shown = |member: &SymbolId| self.values.states[member.index()].visible != No;
        let default = known.defaults.iter().find(|default| {
            known.members.contains(&default.value)
                && shown(&default.value)
                && self.expr(default.condition) != No
        });
        let first = || known.members.iter().copied().find(shown);
        default.map(|default| default.value).or_else(first)
    }

    /// The value of a symbol in logic.
    pub(crate) fn logic(&self, id: SymbolId) -> Tristate {
        self.values.states[id.index()].value
    }

    /// The largest of `conditions`.
    pub(crate) fn any(&self, conditions: &[ExprId]) -> Tristate {
        conditions.iter().map(|condition| self.expr(*condition)).max().unwrap_or(No)
    }

    /// The type that a symbol has with the modules there are.
    pub(crate) fn effective(&self, kind: Kind) -> Kind {
        if kind == Kind::Tristate && self.modules() == No { Kind::Bool } else { kind }
    }

    /// The type that a symbol has at the moment: a tristate of which one is chosen is a bool.
    pub(crate) fn effective_of(&self, id: SymbolId) -> Kind {
        let known = &self.kconfig.model.symbols[id.index()];
        let is_chosen_from = |choice: ChoiceId| match self.kconfig.dialect.tool {
            Tool::Conf => self.values.states[id.index()].visible == Yes,
            Tool::Kconfiglib => self.values.choice_states[choice.index()].mode == Yes,
        };
        match self.effective(self.kconfig.tree.symbols[id.index()].kind) {
            Kind::Tristate if known.choice.is_some_and(is_chosen_from) => Kind::Bool,
            kind => kind,
        }
    }

    /// The floor that selects put under a symbol. Members of choices have none.
    pub(crate) fn floor(&self, id: SymbolId) -> Tristate {
        let known = &self.kconfig.model.symbols[id.index()];
        if known.choice.is_some() { No } else { self.strongest(&known.selected_by) }
    }

    /// The value that others imply for a symbol. For members of choices there is none.
    pub(crate) fn implied(&self, id: SymbolId) -> Tristate {
        let known = &self.kconfig.model.symbols[id.index()];
        if known.choice.is_some() {
            return No;
        }
        let implied = self.strongest(&known.implied_by);
        // To old ones it means nothing where the symbol may not be.
        let Dialect { tool, vintage, .. } = self.kconfig.dialect;
        let counts = tool == Tool::Kconfiglib || vintage >= Vintage::V6;
        if implied == No || counts { implied } else { self.gated(implied, &known.direct) }
    }

    fn gated(&self, value: Tristate, direct: &[ExprId]) -> Tristate {
        if self.direct_conf(direct) == No { No } else { value }
    }

    /// What a symbol depends on. A definition that depends on nothing says nothing beside others.
    fn direct_conf(&self, direct: &[ExprId]) -> Tristate {
        let told = direct.iter().filter(|condition| **condition != Exprs::yes());
        told.map(|condition| self.expr(*condition)).max().unwrap_or(Yes)
    }

    fn strongest(&self, by: &[Property<SymbolId>]) -> Tristate {
        let mut floor = No;
        for Property { value, condition, span: _ } in by {
            let selector = self.logic(*value);
            if selector > floor {
                floor = max(floor, min(selector, self.expr(*condition)));
            }
        }
        floor
    }

    fn modules(&self) -> Tristate {
        self.kconfig.tree.modules.map_or(No, |modules| self.logic(modules))
    }

    fn visible(&self, id: SymbolId) -> Tristate {
        if self.kconfig.tree.symbols[id.index()].transitional {
            return Yes;
        }
        let known = &self.kconfig.model.symbols[id.index()];
        if let Some(choice) = known.choice {
            let members = &self.values.choice_states[choice.index()].members;
            return members.get(known.member).copied().unwrap_or(No);
        }
        let visible = self.any(&known.prompts);
        match self.effective(self.kconfig.tree.symbols[id.index()].kind) {
            Kind::Tristate => visible,
            _ => visible.without_modules(),
        }
    }

    fn compare(&self, relation: Relation, left: SymbolId, right: SymbolId) -> Tristate {
        let tool = self.kconfig.dialect.tool;
        let kind = |id: SymbolId| self.kconfig.tree.symbols[id.index()].kind;
        let vintage = self.kconfig.dialect.vintage;
        // The oldest compare as text, whatever it is.
        let numbers_count = tool == Tool::Kconfiglib || vintage >= Vintage::V4;
        // The constants of old ones have no type.
        let typed = vintage >= Vintage::V6 || tool == Tool::Kconfiglib;
        let constants = self.kconfig.tree.constants;
        let constants = [constants.yes, constants.module, constants.no];
        let as_number = |id: SymbolId| match kind(id) {
            Kind::Bool | Kind::Tristate if !typed && constants.contains(&id) => None,
            Kind::Bool | Kind::Tristate => Some(match self.text(id) {
                "n" => 0,
                "m" => 1,
                "y" => 2,
                _ => -1,
            }),
            kind => number(self.text(id), base(kind), tool),
        };
        let numbers = if kind(left) == Kind::Text && kind(right) == Kind::Text || !numbers_count {
            None
        } else {
            as_number(left).zip(as_number(right))
        };
        // For `conf`, a hex number makes both unsigned: what is negative is very large.
        let unsigned = tool == Tool::Conf && (kind(left) == Kind::Hex || kind(right) == Kind::Hex);
        let wrapped = |number: i128| if number < 0 { number + (1 << 64) } else { number };
        let order = match numbers {
            Some((left, right)) if unsigned => wrapped(left).cmp(&wrapped(right)),
            Some((left, right)) => left.cmp(&right),
            None => self.text(left).cmp(self.text(right)),
        };
        Tristate::from_bool(relation.holds(order))
    }

    /// The first default that holds, and how far it holds.
    pub(crate) fn default(&self, id: SymbolId) -> Option<(&Property<ExprId>, Tristate)> {
        let known = &self.kconfig.model.symbols[id.index()];
        if known.choice.is_some_and(|choice| self.is_shut_out(id, choice)) {
            return None;
        }
        known.defaults.iter().find_map(|default| {
            let holds = self.expr(default.condition);
            (holds != No).then_some((default, holds))
        })
    }

    /// Whether a member counts for nothing as its choice of tristates is no choice of one.
    fn is_shut_out(&self, id: SymbolId, choice: ChoiceId) -> bool {
        let kind = |kind: Kind| kind == Kind::Tristate;
        self.kconfig.dialect.tool == Tool::Conf
            && kind(self.kconfig.tree.choices[choice.index()].kind)
            && !kind(self.kconfig.tree.symbols[id.index()].kind)
            && self.values.choice_states[choice.index()].mode != Yes
    }

    /// What the defaults of a bool or tristate say.
    pub(crate) fn default_logic(&self, id: SymbolId) -> Tristate {
        self.default(id).map_or(No, |(default, holds)| min(self.expr(default.value), holds))
    }

    /// What the defaults of any other symbol say.
    pub(crate) fn default_text_of(&self, id: SymbolId) -> Option<Arc<str>> {
        self.default(id).map(|(default, _)| self.default_text(default.value))
    }

    /// The text of a default; a condition in its place is its value.
    fn default_text(&self, value: ExprId) -> Arc<str> {
        match self.kconfig.tree.exprs.get(value) {
            Expr::Symbol(symbol) => self.text(*symbol).into(),
            _ => self.expr(value).as_str().into(),
        }
    }

    fn logic_kconfiglib(&self, id: SymbolId, visible: Tristate) -> State {
        let known = &self.kconfig.model.symbols[id.index()];
        let wish = match self.values.wishes[id.index()] {
            Wish::Logic(wish) => Some(wish),
            _ => None,
        };
        let mut written = visible != No;
        let mut value = No;
        if let Some(choice) = known.choice {
            if visible == Yes {
                let selection = self.values.choice_states[choice.index()].selection;
                value = Tristate::from_bool(selection == Some(id));
            } else if visible != No && wish.is_some_and(|wish| wish != No) {
                value = Module;
            }
            return State { value, visible, written, text: None };
        }
        let implied = self.implied(id);
        match wish {
            Some(wish) if visible != No => value = min(wish, visible),
            _ => {
                value = max(value, self.default_logic(id));
                written |= value != No;
                if implied != No && self.any(&known.direct) != No {
                    value = max(value, implied);
                    written = true;
                }
            }
        }
        let floor = self.floor(id);
        written |= floor != No;
        value = max(value, floor);
        if implied == Yes || self.effective_of(id) == Kind::Bool {
            value = value.without_modules();
        }
        State { value, visible, written, text: None }
    }

    fn logic_conf(&self, id: SymbolId, visible: Tristate) -> State {
        let known = &self.kconfig.model.symbols[id.index()];
        if let (Some(choice), Yes) = (known.choice, visible) {
            let selection = self.values.choice_states[choice.index()].selection;
            let value = Tristate::from_bool(selection == Some(id));
            return State { value, visible, written: true, text: None };
        }
        let vintage = self.kconfig.dialect.vintage;
        let kind = self.effective(self.kconfig.tree.symbols[id.index()].kind);
        let promoted =
            |value: Tristate| if kind == Kind::Bool { value.without_modules() } else { value };
        let floor = promoted(self.floor(id));
        let mut written = visible != No || floor != No;
        let implied = promoted(self.implied(id));
        let mut value = match self.values.wishes[id.index()] {
            Wish::Logic(wish) if visible != No => min(wish, visible),
            _ => {
                let default = self.default(id);
                let mut value =
                    default.map_or(No, |(default, holds)| min(self.expr(default.value), holds));
                written |= value != No || vintage < Vintage::V4 && default.is_some();
                if implied != No {
                    written = true;
                    value = max(value, implied);
                    if vintage >= Vintage::V6 {
                        value = min(value, promoted(self.direct_conf(&known.direct)));
                    }
                }
                value
            }
        };
        value = promoted(max(value, floor));
        // Old ones make no module of what is implied to be on, whoever asks for it.
        if implied == Yes && vintage < Vintage::V6 {
            value = value.without_modules();
        }
        State { value, visible, written, text: None }
    }

    fn string(&self, id: SymbolId, visible: Tristate) -> State {
        let (text, written): (Arc<str>, bool) = match &self.values.wishes[id.index()] {
            Wish::Text(text) if visible != No => (Arc::clone(text), true),
            _ => match self.default(id) {
                Some((default, _)) => (self.default_text(default.value), true),
                None => ("".into(), visible != No),
            },
        };
        State { value: No, visible, written, text: Some(text) }
    }

    /// The first range that holds.
    pub(crate) fn range_property(&self, id: SymbolId) -> Option<&Property<(SymbolId, SymbolId)>> {
        let ranges = &self.kconfig.model.symbols[id.index()].ranges;
        ranges.iter().find(|range| self.expr(range.condition) != No)
    }

    /// The ends of the range that holds.
    pub(crate) fn range(&self, id: SymbolId, kind: Kind) -> Option<(i128, i128)> {
        let range = self.range_property(id)?;
        let bound = |id: SymbolId| leading(self.text(id), base(kind), self.kconfig.dialect.tool);
        Some((bound(range.value.0), bound(range.value.1)))
    }

    /// What a person set, if it is in range.
    fn wished_number(
        &self,
        id: SymbolId,
        kind: Kind,
        visible: Tristate,
        range: Option<(i128, i128)>,
    ) -> Option<Arc<str>> {
        let Wish::Text(text) = &self.values.wishes[id.index()] else { return None };
        let number = leading(text, base(kind), self.kconfig.dialect.tool);
        let fits = range.is_none_or(|(low, high)| low <= number && number <= high);
        (visible != No && fits && !text.is_empty()).then(|| Arc::clone(text))
    }

    fn number_kconfiglib(&self, id: SymbolId, kind: Kind, visible: Tristate) -> State {
        let range = self.range(id, kind);
        let mut written = visible != No;
        let text = self.wished_number(id, kind, visible, range).unwrap_or_else(|| {
            let text = match self.default(id) {
                Some((default, _)) => {
                    written = true;
                    self.default_text(default.value)
                }
                None => "".into(),
            };
            self.clamped(id, text, kind)
        });
        State { value: No, visible, written, text: Some(text) }
    }

    /// `conf` squeezes everything into the range, also what a person set. That a configuration
    /// must not set what is out of range it sees afterwards.
    fn number_conf(&self, id: SymbolId, kind: Kind, visible: Tristate) -> State {
        let (text, written) = match &self.values.wishes[id.index()] {
            Wish::Text(text) if visible != No => (Arc::clone(text), true),
            _ => match self.default(id) {
                Some((default, _)) => (self.default_text(default.value), true),
                None => ("".into(), visible != No),
            },
        };
        State { value: No, visible, written, text: Some(self.clamped(id, text, kind)) }
    }

    /// Whether everything is written, whatever it is.
    pub(crate) fn all_written(&self) -> bool {
        let dialect = self.kconfig.dialect;
        dialect.tool == Tool::Conf && dialect.vintage < Vintage::V3
    }

    /// Whether `text` is in the range of a symbol.
    pub(crate) fn fits(&self, id: SymbolId, text: &str) -> bool {
        let kind = self.kconfig.tree.symbols[id.index()].kind;
        if !matches!(kind, Kind::Int | Kind::Hex) {
            return true;
        }
        let number = leading(text, base(kind), self.kconfig.dialect.tool);
        self.range(id, kind).is_none_or(|(low, high)| low <= number && number <= high)
    }

    /// `text`, or the end of the range that it is beyond.
    fn clamped(&self, id: SymbolId, text: Arc<str>, kind: Kind) -> Arc<str> {
        let Some(range) = self.range_property(id) else { return text };
        let Dialect { tool, vintage, .. } = self.kconfig.dialect;
        let number = |text: &str| leading(text, base(kind), tool);
        let ((low, high), value) = (range.value, number(&text));
        // A number may be an end of its own range.
        let end_of = |end: SymbolId| if end == id { value } else { number(self.text(end)) };
        let end = if value < end_of(low) {
            low
        } else if value > end_of(high) {
            high
        } else {
            return text;
        };
        // As it is spelled, as in 6.1.192; older ones spell it anew.
        if tool == Tool::Conf && vintage >= Vintage::V6 {
            return self.text(end).into();
        }
        let end = number(self.text(end));
        match kind {
            Kind::Hex if end < 0 => format!("-{:#x}", -end).into(),
            Kind::Hex => format!("{end:#x}").into(),
            _ => end.to_string().into(),
        }
    }
}

/// Reads values while the mode of one choice is known but not yet told.
struct ChoiceMode<'a> {
    resolver: Resolver<'a>,
    choice: ChoiceId,
    mode: Tristate,
}

impl ChoiceMode<'_> {
    fn expr(&self, id: ExprId) -> Tristate {
        match self.resolver.kconfig.tree.exprs.get(id) {
            Expr::Choice(choice) if *choice == self.choice => self.mode,
            Expr::And(all) => all.iter().map(|operand| self.expr(*operand)).min().unwrap_or(Yes),
            Expr::Or(all) => all.iter().map(|operand| self.expr(*operand)).max().unwrap_or(No),
            Expr::Not(inner) => self.expr(*inner).inverted(),
            _ => self.resolver.expr(id),
        }
    }

    fn member_visible(&mut self, member: SymbolId, choice_kind: Kind) -> Tristate {
        let Self { resolver, .. } = self;
        let kind = resolver.kconfig.tree.symbols[member.index()].kind;
        if choice_kind == Kind::Tristate && kind != Kind::Tristate && self.mode != Yes {
            return No;
        }
        let prompts = &self.resolver.kconfig.model.symbols[member.index()].prompts;
        let visible = prompts.iter().map(|prompt| self.expr(*prompt)).max().unwrap_or(No);
        if kind == Kind::Tristate && visible == Module && self.mode == Yes {
            return No;
        }
        match self.resolver.effective(kind) {
            Kind::Tristate => visible,
            _ => visible.without_modules(),
        }
    }
}
