//! Which entries a menu lists at the moment.

use std::collections::BTreeSet;

use crate::configuration::Configuration;
use crate::dialect::Tool;
use crate::expr::Tristate;
use crate::ids::{ChoiceId, SymbolId};
use crate::menu::entry::EntryId;
use crate::menu::layout::Menu;
use crate::tree::{Item, Kind};

use Tristate::{No, Yes};

/// Which entries are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Those that the tool shows.
    Shown,
    /// Also those that are hidden at the moment, where the tool has a mode for that.
    All,
}

/// One line of a menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The entry.
    pub id: EntryId,
    /// How many entries of the same menu it stands below.
    pub depth: usize,
    /// Whether it is shown, or listed only because everything is.
    pub shown: bool,
}

impl Configuration<'_> {
    /// Whether the tool shows the entry `id` where it stands.
    pub fn is_shown(&self, menu: &Menu, id: EntryId) -> bool {
        if self.is_asked(id) {
            return true;
        }
        // Behind what is hidden there may be something to see.
        let on = match self.kconfig.tree.node(id.0).item {
            Item::Symbol(symbol) => match self.kconfig.dialect.tool {
                Tool::Kconfiglib => true,
                Tool::Conf => self.resolver().logic(symbol) != No,
            },
            Item::Choice(choice) => {
                self.kconfig.dialect.tool == Tool::Conf
                    && self.values.choice_states[choice.index()].mode != No
            }
            Item::Menu | Item::Comment | Item::If => false,
        };
        // Not even `conf` looks behind what never has a prompt.
        let prompted = self.kconfig.dialect.tool == Tool::Kconfiglib
            || self.kconfig.tree.node(id.0).prompt.is_some();
        on && prompted && menu.below(id).iter().any(|below| self.is_shown(menu, *below))
    }

    /// What the menu that is the entry `id` lists, from the first line to the last.
    pub fn list(&self, menu: &Menu, id: EntryId, listing: Listing) -> Vec<Row> {
        let mut rows = Vec::new();
        self.list_below(menu, id, listing, 0, &mut rows);
        if let (Tool::Kconfiglib, Item::Choice(choice)) =
            (self.kconfig.dialect.tool, self.kconfig.tree.node(id.0).item)
        {
            self.list_elsewhere(menu, id, choice, listing, &mut rows);
        }
        rows
    }

    /// kconfiglib lists all members of a choice at each place where a part of it is written.
    fn list_elsewhere(
        &self,
        menu: &Menu,
        id: EntryId,
        choice: ChoiceId,
        listing: Listing,
        rows: &mut Vec<Row>,
    ) {
        let symbol = |row: &Row| match self.kconfig.tree.node(row.id.0).item {
            Item::Symbol(symbol) => Some(symbol),
            _ => None,
        };
        let places = &self.kconfig.tree.choices[choice.index()].nodes;
        if places.len() < 2 {
            return;
        }
        let here = std::mem::take(rows);
        let mut seen: BTreeSet<SymbolId> = here.iter().filter_map(symbol).collect();
        for &place in places {
            if place == id.0 {
                rows.extend(here.iter().copied());
                continue;
            }
            let mut there = Vec::new();
            self.list_below(menu, EntryId(place), listing, 0, &mut there);
            rows.extend(
                there.into_iter().filter(|row| symbol(row).is_none_or(|id| seen.insert(id))),
            );
        }
    }

    fn list_below(
        &self,
        menu: &Menu,
        id: EntryId,
        listing: Listing,
        depth: usize,
        rows: &mut Vec<Row>,
    ) {
        for &id in menu.below(id) {
            let shown = self.is_shown(menu, id);
            if !shown && !self.is_listed_anyway(id, listing) {
                continue;
            }
            rows.push(Row { id, depth, shown });
            if !self.kconfig.entry(id).opens {
                self.list_below(menu, id, listing, depth + 1, rows);
            } else if self.kconfig.dialect.tool == Tool::Conf {
                self.list_chosen(menu, id, listing, depth + 1, rows);
            }
        }
    }

    /// `conf` has what belongs to the selected member below the choice itself, and members that
    /// do not exclude each other.
    fn list_chosen(
        &self,
        menu: &Menu,
        id: EntryId,
        listing: Listing,
        depth: usize,
        rows: &mut Vec<Row>,
    ) {
        let Item::Choice(choice) = self.kconfig.tree.node(id.0).item else { return };
        let state = &self.values.choice_states[choice.index()];
        if state.mode != Yes {
            self.list_below(menu, id, listing, depth, rows);
            return;
        }
        for &member in menu.below(id) {
            let Item::Symbol(symbol) = self.kconfig.tree.node(member.0).item else { continue };
            if state.selection == Some(symbol) && !menu.below(member).is_empty() {
                rows.push(Row { id: member, depth, shown: self.is_shown(menu, member) });
                self.list_below(menu, member, listing, depth + 1, rows);
            }
        }
    }

    fn is_listed_anyway(&self, id: EntryId, listing: Listing) -> bool {
        listing == Listing::All
            && (self.kconfig.dialect.tool == Tool::Kconfiglib
                || self.kconfig.tree.node(id.0).prompt.is_some())
    }

    /// Whether the conditions of its own prompt hold.
    pub(crate) fn is_asked(&self, id: EntryId) -> bool {
        let index = id.0.index();
        let resolver = self.resolver();
        let model = &self.kconfig.model;
        let visible = match self.kconfig.tree.node(id.0).item {
            Item::Menu => resolver.expr(model.shown[index].visible) != No,
            Item::Symbol(symbol) => !self.is_too_coarse(symbol),
            _ => true,
        };
        visible && model.prompts[index].is_some_and(|prompt| resolver.expr(prompt) != No)
    }

    /// For `conf`, a bool in a choice of tristates has no place where these do not exclude each
    /// other.
    fn is_too_coarse(&self, symbol: SymbolId) -> bool {
        let tree = &self.kconfig.tree;
        let in_modules = |choice: ChoiceId| {
            tree.choices[choice.index()].kind == Kind::Tristate
                && self.values.choice_states[choice.index()].mode != Yes
        };
        self.kconfig.dialect.tool == Tool::Conf
            && tree.symbols[symbol.index()].kind != Kind::Tristate
            && self.kconfig.model.symbols[symbol.index()].choice.is_some_and(in_modules)
    }
}
