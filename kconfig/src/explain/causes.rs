//! What decided the value of a symbol.

use super::{Asked, Facts, Need, Selection};
use crate::dialect::Tool;
use crate::expr::{Exprs, Tristate};
use crate::ids::{ChoiceId, ExprId, SymbolId};
use crate::spot::{Span, Spot};
use crate::tree::{Kind, Property};

use Tristate::{No, Yes};

/// What decided a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A person set it.
    Asked(Asked),
    /// The first default that holds.
    Default(DefaultSeen),
    /// Other symbols select it: see [`Explanation::selects`](super::Explanation::selects).
    Selected,
    /// Other symbols imply it.
    Implied(Vec<Selection>),
    /// It is the member of its choice that is on.
    Chosen(ChosenBy),
    /// It is a member of a choice in which another one is on, or none.
    NotChosen {
        /// The member that is on.
        chosen: Option<String>,
    },
    /// Nobody set it, and no default holds.
    Nothing,
}

/// Why a member of a choice is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChosenBy {
    /// A person set it.
    Asked(Asked),
    /// A `default` of the choice.
    Default(Spot),
    /// It is the first that is visible.
    First,
}

/// A default that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultSeen {
    /// Where it stands.
    pub at: Spot,
    /// The value as written.
    pub value: String,
    /// Its `if`, as in a Kconfig file.
    pub condition: Option<String>,
    /// Symbols with the values that make it so, each once.
    pub because: Vec<(String, String)>,
}

/// A default that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultPassed {
    /// Where it stands.
    pub at: Spot,
    /// The value as written.
    pub value: String,
    /// What would have to be different for it to hold.
    pub need: Need,
}

/// What was done to a value after it was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adjustment {
    /// A person may not set more than this.
    Cut(Tristate),
    /// `m` became `y`: the symbol has no modules, or there are none at all.
    Promoted,
    /// A number was out of range.
    Clamped {
        /// What it would have been.
        from: String,
    },
}

/// A choice, as a member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceSeen {
    /// What a person is asked.
    pub title: Option<String>,
    /// Where it is defined first.
    pub at: Spot,
    /// The member that is on.
    pub chosen: Option<String>,
    /// Its members, in order.
    pub members: Vec<String>,
}

impl Facts<'_> {
    /// What decided the value of a symbol, and what was done to it afterwards.
    pub(crate) fn cause(&self, id: SymbolId) -> (Cause, Option<Adjustment>) {
        let kind = self.tree.symbols[id.index()].kind;
        if !kind.is_logic() {
            return self.text_cause(id, kind);
        }
        let known = &self.model.symbols[id.index()];
        let state = &self.values.states[id.index()];
        if let Some(choice) = known.choice
            && (state.visible == Yes || self.tool() == Tool::Kconfiglib)
        {
            return (self.member_cause(id, choice), None);
        }
        if let Some(choice) = known.choice
            && state.value == No
            && self.values.choice_states[choice.index()].mode == No
        {
            return (Cause::NotChosen { chosen: None }, None);
        }
        let asked = self.asked(id).filter(|_| state.visible != No);
        let (cause, value) = match asked {
            Some(asked) => {
                let value = match asked.value.as_str() {
                    "y" => Yes,
                    "m" => Tristate::Module,
                    _ => No,
                };
                (Cause::Asked(asked), value)
            }
            None => self.unasked(id),
        };
        let is_bool = self.resolver.effective_of(id) == Kind::Bool;
        let promoted = |value: Tristate| if is_bool { value.without_modules() } else { value };
        let floor = promoted(self.resolver.floor(id));
        let reached = promoted(value.min(match cause {
            Cause::Asked(_) => state.visible,
            _ => Yes,
        }));
        if floor > reached {
            return (Cause::Selected, None);
        }
        let adjusted = match cause {
            Cause::Asked(_) if value > state.visible => Some(Adjustment::Cut(state.visible)),
            _ if state.value > value => Some(Adjustment::Promoted),
            _ => None,
        };
        (cause, adjusted)
    }

    /// What defaults and implies make of a bool or tristate.
    fn unasked(&self, id: SymbolId) -> (Cause, Tristate) {
        let default = self.resolver.default_logic(id);
        let implied = self.resolver.implied(id);
        let direct = self.resolver.any(&self.model.symbols[id.index()].direct);
        if implied > default && direct != No {
            let by = self.active(id, |known| &known.implied_by);
            return (Cause::Implied(by), implied);
        }
        match self.resolver.default(id) {
            Some((used, _)) => (Cause::Default(self.default_seen(id, used)), default),
            None => (Cause::Nothing, No),
        }
    }

    fn text_cause(&self, id: SymbolId, kind: Kind) -> (Cause, Option<Adjustment>) {
        let state = &self.values.states[id.index()];
        let now = state.text.as_deref().unwrap_or("");
        let asked = self.asked(id).filter(|asked| {
            state.visible != No
                && (self.tool() == Tool::Conf
                    || kind == Kind::Text
                    || self.resolver.fits(id, &asked.value) && !asked.value.is_empty())
        });
        let (cause, before) = match (asked, self.resolver.default(id)) {
            (Some(asked), _) => {
                let value = asked.value.clone();
                (Cause::Asked(asked), value)
            }
            (None, Some((used, _))) => {
                let text = self.resolver.default_text_of(id);
                let text = text.as_deref().unwrap_or("").to_owned();
                (Cause::Default(self.default_seen(id, used)), text)
            }
            (None, None) => (Cause::Nothing, String::new()),
        };
        let is_clamped = matches!(kind, Kind::Int | Kind::Hex) && *now != *before;
        (cause, is_clamped.then_some(Adjustment::Clamped { from: before }))
    }

    fn member_cause(&self, id: SymbolId, choice: ChoiceId) -> Cause {
        let state = &self.values.states[id.index()];
        let chosen = self.values.choice_states[choice.index()].selection;
        if state.visible != Yes && state.value != No {
            return self.asked(id).map_or(Cause::Nothing, Cause::Asked);
        }
        if chosen != Some(id) {
            return Cause::NotChosen { chosen: chosen.map(|chosen| self.name(chosen)) };
        }
        if self.values.choice_wishes[choice.index()].selection == Some(id)
            && let Some(asked) = self.asked(id)
        {
            return Cause::Chosen(ChosenBy::Asked(asked));
        }
        let defaults = &self.model.choices[choice.index()].defaults;
        let used = defaults.iter().find(|default| {
            self.values.states[default.value.index()].visible != No
                && self.model.symbols[default.value.index()].choice == Some(choice)
                && self.resolver.expr(default.condition) != No
        });
        Cause::Chosen(match used {
            Some(used) if used.value == id => ChosenBy::Default(self.tree.spot(used.span)),
            _ => ChosenBy::First,
        })
    }

    fn default_seen(&self, id: SymbolId, used: &Property<ExprId>) -> DefaultSeen {
        let condition = self.own_condition(id, used.span);
        let mut because = self.because(used.value);
        // What the symbol depends on is part of the condition in the model.
        for fact in self.because(condition).into_iter().chain(self.because(used.condition)) {
            if !because.contains(&fact) {
                because.push(fact);
            }
        }
        DefaultSeen {
            at: self.tree.spot(used.span),
            value: self.tree.spelled(used.value),
            condition: (condition != Exprs::yes()).then(|| self.tree.spelled(condition)),
            because,
        }
    }

    /// The defaults of a symbol that do not hold, until one does.
    pub(crate) fn defaults_passed(&self, id: SymbolId) -> Vec<DefaultPassed> {
        let used = self.resolver.default(id).map(|(used, _)| used.span);
        let defaults = self.model.symbols[id.index()].defaults.iter();
        let passed = defaults.take_while(|default| Some(default.span) != used);
        let seen = passed.filter_map(|default| {
            let own = self.own_condition(id, default.span);
            // Otherwise it is the dependencies, which are told once for the symbol.
            let need = self.lacks(own, Tristate::Module)?;
            let value = self.tree.spelled(default.value);
            Some(DefaultPassed { at: self.tree.spot(default.span), value, need })
        });
        seen.collect()
    }

    /// The `if` of the default at `span`, without what is around it.
    fn own_condition(&self, id: SymbolId, span: Span) -> ExprId {
        let nodes = &self.tree.symbols[id.index()].nodes;
        let defaults = nodes.iter().flat_map(|node| &self.tree.node(*node).defaults);
        defaults
            .into_iter()
            .find(|default| default.span == span)
            .map_or(Exprs::yes(), |default| default.condition)
    }

    /// The choice that a symbol is a member of.
    pub(crate) fn choice_of(&self, id: SymbolId) -> Option<ChoiceSeen> {
        let choice = self.model.symbols[id.index()].choice?;
        let first = self.tree.choices[choice.index()].nodes.first()?;
        let node = self.tree.node(*first);
        let state = &self.values.choice_states[choice.index()];
        let members = &self.model.choices[choice.index()].members;
        Some(ChoiceSeen {
            title: self.title(node),
            at: self.tree.spot(node.span),
            chosen: state.selection.map(|chosen| self.name(chosen)),
            members: members.iter().map(|member| self.name(*member)).collect(),
        })
    }

    pub(crate) fn tool(&self) -> Tool {
        self.resolver.kconfig.dialect.tool
    }
}
