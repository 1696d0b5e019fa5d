//! Mistakes in Kconfig files that are certain ones: each is a line that cannot mean what it says.

mod checks;
mod reach;

use crate::configuration::Configuration;
use crate::explain::{Need, Selection};
use crate::expr::Tristate;
use crate::kconfig::Kconfig;
use crate::spot::Spot;

use reach::Reach;

/// A mistake in a Kconfig file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where it shows.
    pub at: Spot,
    /// The symbol it is about; of a choice without a name, what it asks.
    pub subject: String,
    /// What is wrong.
    pub what: FlawKind,
}

/// What is wrong in a Kconfig file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlawKind {
    /// A symbol is used that no file defines: it is off for ever. Told once, where it is used first.
    Undefined {
        /// How often it is used.
        uses: usize,
    },
    /// A symbol is selected or implied that no file defines.
    SelectsNothing {
        /// The symbol that is not there.
        target: String,
    },
    /// A symbol without a type.
    NoType,
    /// A line that gives a symbol another type than an earlier one.
    TwoTypes {
        /// The earlier type, and that of the line.
        kinds: [&'static str; 2],
    },
    /// A default that is no value of the symbol's type.
    DefaultType {
        /// The default.
        value: String,
        /// The type.
        kind: &'static str,
    },
    /// A default that is outside every range of the symbol.
    DefaultRange {
        /// The default.
        value: String,
        /// The ranges.
        ranges: Vec<(String, String)>,
    },
    /// A default behind one that always holds.
    DefaultUnused {
        /// The default.
        value: String,
        /// The one that always holds.
        earlier: Spot,
    },
    /// A range from a number to a smaller one.
    RangeEmpty {
        /// The ends.
        range: (String, String),
    },
    /// A select or imply of a symbol that is neither bool nor tristate.
    SelectKind {
        /// The symbol that is selected.
        target: String,
        /// Its type.
        kind: &'static str,
    },
    /// A select or imply of a member of a choice, which has no effect.
    SelectMember {
        /// The member.
        target: String,
    },
    /// A symbol that others keep on although what it depends on does not hold.
    SelectUnmet {
        /// Who selects it.
        by: Vec<Selection>,
        /// What it depends on and does not have.
        need: Need,
    },
    /// A prompt that is never shown, whatever is set.
    NeverShown {
        /// What would have to hold and never does.
        because: Vec<String>,
    },
    /// A choice without a member.
    ChoiceEmpty,
    /// A default of a choice that is none of its members.
    ChoiceDefault {
        /// The default.
        value: String,
    },
}

impl FlawKind {
    /// A short name for the kind, in lower case with `-`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Undefined { .. } => "undefined",
            Self::SelectsNothing { .. } => "selects-nothing",
            Self::NoType => "no-type",
            Self::TwoTypes { .. } => "two-types",
            Self::DefaultType { .. } => "default-type",
            Self::DefaultRange { .. } => "default-range",
            Self::DefaultUnused { .. } => "default-unused",
            Self::RangeEmpty { .. } => "range-empty",
            Self::SelectKind { .. } => "select-kind",
            Self::SelectMember { .. } => "select-member",
            Self::SelectUnmet { .. } => "select-unmet",
            Self::NeverShown { .. } => "never-shown",
            Self::ChoiceEmpty => "choice-empty",
            Self::ChoiceDefault { .. } => "choice-default",
        }
    }

    /// Whether the same files may be right elsewhere: a project that serves several architectures
    /// names symbols of all of them in each.
    pub fn may_be_meant(&self) -> bool {
        matches!(
            self,
            Self::Undefined { .. } | Self::SelectsNothing { .. } | Self::NeverShown { .. }
        )
    }
}

impl Kconfig {
    /// Lists the mistakes in the files, in the order of reading.
    pub fn lint(&self) -> Vec<Flaw> {
        let mut checks = checks::Checks::new(self, Reach::new(&self.tree, &self.model));
        checks.run();
        checks.finish()
    }
}

impl Configuration<'_> {
    /// Lists the symbols that others keep on in this configuration although what they depend on
    /// does not hold, in the order of the files.
    pub fn unmet(&self) -> Vec<Flaw> {
        let facts = self.facts();
        let found = self.defined().filter_map(|id| {
            let floor = facts.resolver.floor(id);
            let direct = &facts.model.symbols[id.index()].direct;
            if floor == Tristate::No || floor <= facts.resolver.any(direct) {
                return None;
            }
            let needs: Vec<Need> =
                direct.iter().filter_map(|direct| facts.lacks(*direct, floor)).collect();
            let need = match needs.len() {
                1 => needs.into_iter().next()?,
                _ => Need::Any(needs),
            };
            let by = facts.active(id, |known| &known.selected_by);
            let first = facts.tree.symbols[id.index()].nodes.first()?;
            let at = facts.tree.spot(facts.tree.node(*first).span);
            Some(Flaw { at, subject: facts.name(id), what: FlawKind::SelectUnmet { by, need } })
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests;
