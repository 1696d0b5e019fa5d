//! Takes what a `.config` sets, line by line, as the project's tool would.

use std::collections::BTreeSet;

use crate::configuration::Configuration;
use crate::dialect::{Strings, Tool, Vintage};
use crate::expr::Tristate;
use crate::ids::SymbolId;
use crate::order::Unit;
use crate::resolve::{ChoiceWish, Wish};
use crate::shown::shown;
use crate::tree::Kind;

/// A line of a configuration that set nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unset {
    /// Line, counted from 1.
    pub line: usize,
    /// The symbol, fit for a terminal.
    pub symbol: String,
    /// Why.
    pub why: UnsetReason,
}

/// Why a line set nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnsetReason {
    /// No Kconfig file defines the symbol.
    Unknown,
    /// The value does not belong to the symbol's type.
    Value,
}

impl Configuration<'_> {
    /// Forgets everything that was set and takes what the text of a `.config` or defconfig sets.
    ///
    /// Reads the text exactly as the project's tool does, and decides every symbol again. Returns
    /// the assignments that set nothing.
    pub fn load(&mut self, text: &str) -> Vec<Unset> {
        self.values.wishes.fill(Wish::Open);
        self.values.lines.fill(0);
        self.values.choice_wishes.fill(ChoiceWish::default());
        self.merge(text)
    }

    /// Takes what the text of a fragment sets, on top of what was set before.
    ///
    /// As [`Configuration::load`] otherwise.
    pub fn merge(&mut self, text: &str) -> Vec<Unset> {
        let mut unset = Vec::new();
        let mut taken = BTreeSet::new();
        for (index, line) in text.lines().enumerate() {
            let Some((name, value)) = self.assignment(line) else { continue };
            let why = match self.find(name) {
                None => UnsetReason::Unknown,
                Some(id) => match self.spelled(id, value) {
                    Some(wish) => {
                        if !self.first_counts() || taken.insert(id) {
                            self.wish_for(id, wish);
                            self.values.lines[id.index()] = u32::try_from(index + 1).unwrap_or(0);
                        }
                        continue;
                    }
                    None => UnsetReason::Value,
                },
            };
            unset.push(Unset { line: index + 1, symbol: shown(name), why });
        }
        self.decide_all();
        if self.kconfig.dialect.tool == Tool::Conf {
            self.forget_misfits();
        }
        unset
    }

    /// Whether of several lines about a symbol the first one counts.
    fn first_counts(&self) -> bool {
        self.is_oldest()
    }

    fn is_oldest(&self) -> bool {
        let dialect = self.kconfig.dialect;
        dialect.tool == Tool::Conf && dialect.vintage < Vintage::V3
    }

    /// The name and the spelled value in a line, `None` for a value that is not set.
    pub(crate) fn assignment<'t>(&self, line: &'t str) -> Option<(&'t str, Option<&'t str>)> {
        let line = match self.kconfig.dialect.tool {
            Tool::Kconfiglib => line.trim_end(),
            Tool::Conf => line.strip_suffix('\r').unwrap_or(line),
        };
        let prefix = self.kconfig.prefix.as_str();
        if let Some(comment) = line.strip_prefix("# ") {
            let rest = comment.strip_prefix(prefix)?;
            let name = rest.split_once(' ')?.0;
            let tail = &rest[name.len()..];
            let unset = match self.kconfig.dialect.tool {
                Tool::Kconfiglib => tail == " is not set",
                Tool::Conf => tail.starts_with(" is not set"),
            };
            return unset.then_some((name, None));
        }
        let (name, value) = line.strip_prefix(prefix)?.split_once('=')?;
        Some((name, Some(value)))
    }

    /// What a spelled value means.
    pub(crate) fn spelled(&self, id: SymbolId, value: Option<&str>) -> Option<Wish> {
        let kind = self.kconfig.tree.symbols[id.index()].kind;
        let Some(value) = value else {
            return kind.is_logic().then_some(Wish::Logic(Tristate::No));
        };
        match kind {
            // Both tools look at the first letter only.
            Kind::Bool | Kind::Tristate => self.wish(id, value.get(..1)?),
            Kind::Text => self.wish(id, &self.unquoted(value)?),
            _ => self.wish(id, value),
        }
    }

    /// The text in quotes at the start of `value`.
    fn unquoted(&self, value: &str) -> Option<String> {
        if self.kconfig.dialect.strings == Strings::Plain {
            return value.strip_prefix('"')?.strip_suffix('"').map(str::to_owned);
        }
        let mut rest = value.strip_prefix('"')?.chars();
        let mut text = String::new();
        loop {
            match rest.next()? {
                '"' => break,
                '\\' => text.push(rest.next()?),
                plain => text.push(plain),
            }
        }
        let whole = self.kconfig.dialect.tool == Tool::Conf || rest.as_str().is_empty();
        whole.then_some(text)
    }

    /// Forgets numbers that are out of range.
    ///
    /// `conf` does so after everything was decided and decides only these symbols again: what
    /// was derived from them stays as it is, and is different when the result is loaded again.
    /// The oldest one asks for them, and each answer makes it decide everything again.
    fn forget_misfits(&mut self) {
        let units = &self.kconfig.order.units;
        let misfit = |unit: &Unit| match *unit {
            Unit::Symbol(id) => match &self.values.wishes[id.index()] {
                Wish::Text(text) => !self.resolver().fits(id, text),
                _ => false,
            },
            Unit::Choice(_) => false,
        };
        let misfits: Vec<Unit> = units.iter().copied().filter(misfit).collect();
        for unit in &misfits {
            if let Unit::Symbol(id) = unit {
                self.values.wishes[id.index()] = Wish::Open;
            }
        }
        if self.is_oldest() && !misfits.is_empty() {
            self.decide_all();
            return;
        }
        for unit in misfits {
            self.decide(unit);
        }
    }

    /// Remembers what was set, and what it says about a choice.
    pub(crate) fn wish_for(&mut self, id: SymbolId, wish: Wish) {
        let choice = self.kconfig.model.symbols[id.index()].choice;
        let first_counts = self.first_counts();
        if let (Some(choice), Wish::Logic(value)) = (choice, &wish) {
            let kind = self.kconfig.tree.choices[choice.index()].kind;
            let kept = &mut self.values.choice_wishes[choice.index()];
            match (self.kconfig.dialect.tool, *value) {
                (_, Tristate::No) => {}
                // Only a tristate has a mode between on and off.
                (Tool::Kconfiglib, Tristate::Module) if kind != Kind::Tristate => {}
                (Tool::Kconfiglib, value) => kept.mode = Some(value),
                (Tool::Conf, value) => {
                    kept.inconsistent |=
                        value == Tristate::Module && kept.mode == Some(Tristate::Yes);
                    kept.mode = kept.mode.max(Some(value));
                }
            }
            if *value == Tristate::Yes && !(first_counts && kept.selection.is_some()) {
                kept.selection = Some(id);
            }
        }
        self.values.wishes[id.index()] = wish;
    }
}
