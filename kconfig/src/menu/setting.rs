//! What an entry is set to, and what it can be set to.

use crate::configuration::{Configuration, SetError};
use crate::dialect::Tool;
use crate::expr::Tristate;
use crate::ids::{ChoiceId, SymbolId};
use crate::menu::entry::{EntryId, EntryKind, ValueKind, value_kind};
use crate::order::Unit;
use crate::resolve::{ChoiceWish, Wish};
use crate::tree::{Item, Kind};

use Tristate::{Module, No, Yes};

/// What an entry can be set to at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settable {
    /// To nothing: it has no value, or has to keep the one it has.
    Fixed,
    /// To one of these, from off to on.
    Logic(Vec<Tristate>),
    /// To a number, from the first to the last of the range, both included.
    Number {
        /// Whether it is spelled to base 16.
        hex: bool,
        /// Not more and not less than this; anything where nothing is said.
        range: Option<(i128, i128)>,
    },
    /// To any text.
    Text,
}

/// What an entry is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value as [`Configuration::set`] takes it; of a choice, how far it is on.
    pub value: Option<String>,
    /// The member of a choice that is on.
    pub selected: Option<EntryId>,
    /// What it can be set to.
    pub settable: Settable,
    /// Whether somebody set it, and not the files.
    pub by_user: bool,
    /// The least that others leave it, by selecting it.
    pub floor: Tristate,
}

/// An entry cannot be set like that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetAsked {
    /// A menu or a comment.
    #[error("there is nothing to set")]
    Nothing,
    /// It has the only value that it can have.
    #[error("it cannot be changed at the moment")]
    Fixed,
    /// Something else was asked for.
    #[error("`{value}` is not possible: {}", expected(settable))]
    Value {
        /// What was asked for, fit for a terminal.
        value: String,
        /// What is possible.
        settable: Settable,
    },
    /// The engine refused it.
    #[error(transparent)]
    Set(SetError),
}

/// What is possible, in words.
fn expected(settable: &Settable) -> String {
    match settable {
        Settable::Fixed => "it cannot be changed".to_owned(),
        Settable::Text => "a text on one line".to_owned(),
        Settable::Logic(values) => {
            let values: Vec<_> = values.iter().map(|value| value.as_str()).collect();
            format!("one of {}", values.join(", "))
        }
        Settable::Number { hex: true, range: None } => "a number to base 16, as 0x1f".to_owned(),
        Settable::Number { hex: false, range: None } => "a whole number".to_owned(),
        Settable::Number { hex: true, range: Some((low, high)) } => {
            format!("from {low:#x} to {high:#x}")
        }
        Settable::Number { hex: false, range: Some((low, high)) } => {
            format!("from {low} to {high}")
        }
    }
}

impl Settable {
    /// What is possible, in words: `from 1 to 8`.
    pub fn words(&self) -> String {
        expected(self)
    }
}

impl Configuration<'_> {
    /// What the entry `id` is set to, and what it can be set to.
    pub fn setting(&self, id: EntryId) -> Setting {
        match self.kconfig.tree.node(id.0).item {
            Item::Symbol(symbol) => self.symbol_setting(symbol),
            Item::Choice(choice) => self.choice_setting(id, choice),
            Item::Menu | Item::Comment | Item::If => Setting {
                value: None,
                selected: None,
                settable: Settable::Fixed,
                by_user: false,
                floor: No,
            },
        }
    }

    /// Sets what the entry `id` is about, if the person who looks at the menu can.
    ///
    /// A choice takes `y`, `m` or `n`; its members are set by themselves.
    ///
    /// # Errors
    /// [`SetAsked`]; nothing was changed.
    pub fn set_asked(&mut self, id: EntryId, value: &str) -> Result<(), SetAsked> {
        let Setting { settable, .. } = self.setting(id);
        let refused = |settable: Settable| {
            let value = crate::shown::shown(value);
            Err(SetAsked::Value { value, settable })
        };
        let item = self.kconfig.tree.node(id.0).item;
        match (&settable, item) {
            (_, Item::Menu | Item::Comment | Item::If) => return Err(SetAsked::Nothing),
            (Settable::Fixed, _) => return Err(SetAsked::Fixed),
            (Settable::Logic(values), _) => {
                let Some(wanted) = values.iter().find(|one| one.as_str() == value) else {
                    return refused(settable);
                };
                if let Item::Choice(choice) = item {
                    self.set_mode(choice, *wanted);
                    return Ok(());
                }
            }
            (Settable::Number { .. }, Item::Symbol(symbol))
                if self.wish(symbol, value).is_none() || !self.resolver().fits(symbol, value) =>
            {
                return refused(settable);
            }
            (Settable::Text, _) if value.contains(crate::shown::breaks_the_line) => {
                return refused(settable);
            }
            _ => {}
        }
        let Item::Symbol(symbol) = item else { return Err(SetAsked::Nothing) };
        let name = std::sync::Arc::clone(self.kconfig.tree.symbol_name(symbol));
        self.set(&name, value).map_err(SetAsked::Set)
    }

    /// Forgets what was set of the entry `id`: its value follows from the files again.
    ///
    /// Of a member of a choice, forgets what was set of all of them.
    pub fn forget(&mut self, id: EntryId) {
        let choice = match self.kconfig.tree.node(id.0).item {
            Item::Symbol(symbol) => {
                let Some(choice) = self.kconfig.model.symbols[symbol.index()].choice else {
                    self.values.wishes[symbol.index()] = Wish::Open;
                    return self.decide_again(&[Unit::Symbol(symbol)]);
                };
                choice
            }
            Item::Choice(choice) => choice,
            Item::Menu | Item::Comment | Item::If => return,
        };
        self.values.choice_wishes[choice.index()] = ChoiceWish::default();
        let mut changed = vec![Unit::Choice(choice)];
        for member in &self.kconfig.model.choices[choice.index()].members {
            self.values.wishes[member.index()] = Wish::Open;
            changed.push(Unit::Symbol(*member));
        }
        self.decide_again(&changed);
    }

    fn symbol_setting(&self, id: SymbolId) -> Setting {
        let resolver = self.resolver();
        let kind = self.kconfig.tree.symbols[id.index()].kind;
        let state = &self.values.states[id.index()];
        let settable = match kind {
            _ if state.visible == No => Settable::Fixed,
            Kind::Unknown => Settable::Fixed,
            Kind::Bool | Kind::Tristate => self.logic_settable(id),
            Kind::Int | Kind::Hex => {
                Settable::Number { hex: kind == Kind::Hex, range: resolver.range(id, kind) }
            }
            Kind::Text => Settable::Text,
        };
        Setting {
            value: value_kind(kind).map(|_| resolver.text(id).to_owned()),
            selected: None,
            by_user: self.values.wishes[id.index()] != Wish::Open && state.visible != No,
            settable,
            floor: resolver.floor(id),
        }
    }

    fn logic_settable(&self, id: SymbolId) -> Settable {
        let resolver = self.resolver();
        let visible = self.values.states[id.index()].visible;
        let known = &self.kconfig.model.symbols[id.index()];
        if let (Some(_), Yes) = (known.choice, visible) {
            // Another member has to be set for this one to be off.
            return Settable::Logic(vec![Yes]);
        }
        let effective = resolver.effective_of(id);
        let floor = match effective {
            Kind::Bool => resolver.floor(id).without_modules(),
            _ => resolver.floor(id),
        };
        let implied = self.kconfig.dialect.tool == Tool::Kconfiglib && resolver.implied(id) == Yes;
        let possible = |value: &Tristate| {
            floor <= *value
                && *value <= visible
                && (*value != Module || effective == Kind::Tristate && !implied)
        };
        let values: Vec<_> = [No, Module, Yes].into_iter().filter(possible).collect();
        if values.len() > 1 { Settable::Logic(values) } else { Settable::Fixed }
    }

    fn choice_setting(&self, id: EntryId, choice: ChoiceId) -> Setting {
        let known = &self.kconfig.tree.choices[choice.index()];
        let state = &self.values.choice_states[choice.index()];
        let kind = self.resolver().effective(known.kind);
        let least = if known.optional { No } else { Module };
        let possible = |value: &Tristate| match (kind, *value) {
            (Kind::Tristate, value) => least <= value && value <= state.visible,
            (Kind::Bool, No) => known.optional,
            (Kind::Bool, Yes) => state.visible != No,
            _ => false,
        };
        let values: Vec<_> = [No, Module, Yes].into_iter().filter(possible).collect();
        let fixed = state.visible == No || values.len() < 2;
        let member = state.selection.and_then(|selection| {
            let nodes = &self.kconfig.tree.symbols[selection.index()].nodes;
            let inside = self.kconfig.tree.node(id.0).end;
            nodes.iter().find(|node| id.0 < **node && **node < inside).or(nodes.first()).copied()
        });
        let wish = self.values.choice_wishes[choice.index()];
        Setting {
            value: Some(state.mode.as_str().to_owned()),
            selected: member.map(EntryId),
            settable: if fixed { Settable::Fixed } else { Settable::Logic(values) },
            by_user: state.visible != No && (wish.selection.is_some() || wish.mode.is_some()),
            floor: No,
        }
    }

    fn set_mode(&mut self, choice: ChoiceId, mode: Tristate) {
        let kept = &mut self.values.choice_wishes[choice.index()];
        *kept = ChoiceWish { mode: Some(mode), inconsistent: false, ..*kept };
        self.decide_again(&[Unit::Choice(choice)]);
    }
}

impl Setting {
    /// What somebody who asks for the next value gets: the one above, or the first after the last.
    pub fn next(&self) -> Option<Tristate> {
        let Settable::Logic(values) = &self.settable else { return None };
        let at = values.iter().position(|value| Some(value.as_str()) == self.value.as_deref());
        let next = at.map_or(values.len().saturating_sub(1), |at| (at + 1) % values.len().max(1));
        values.get(next).copied()
    }
}

impl EntryKind {
    /// Whether it has a value.
    pub fn has_value(self) -> bool {
        matches!(self, Self::Symbol | Self::Choice)
    }
}

impl ValueKind {
    /// Its word in Kconfig files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Tristate => "tristate",
            Self::Int => "int",
            Self::Hex => "hex",
            Self::Text => "string",
        }
    }
}
