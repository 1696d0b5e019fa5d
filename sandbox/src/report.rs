//! What a kernel offers, layer by layer.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::Wall;

/// What this kernel offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Every layer that a jail has, in the order in which they build on each other.
    pub layers: Vec<Layer>,
}

/// One layer of the jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name, like `user namespace`.
    pub name: String,
    /// Whether jails can be built without it.
    pub need: Need,
    /// Whether it is there.
    pub state: State,
    /// What was found: a version, or why it is missing.
    pub why: String,
    /// Why builds are refused without it, or what they lose.
    pub matters: String,
    /// The sysctl or kernel option that would provide it, where it is missing.
    pub fix: Option<String>,
    /// The wall that would be left out without it, where an operator may do without.
    pub wall: Option<Wall>,
}

/// Whether a jail needs a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Need {
    /// Without it every jail is refused.
    Always,
    /// Without it a jail with a source needs [`Scratch::Directory`](crate::Scratch).
    MemoryScratch,
    /// A second line of defence behind layers that are always there.
    Depth,
}

/// Whether a layer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It works.
    Ok,
    /// It does not.
    Missing,
}

impl Report {
    /// Returns the first layer without which no jail can be built.
    pub fn refused_by(&self) -> Option<&Layer> {
        self.missing().find(|layer| layer.need == Need::Always)
    }

    /// Returns the walls that a jail here would lack.
    pub fn missing_walls(&self) -> BTreeSet<Wall> {
        self.missing().filter_map(|layer| layer.wall).collect()
    }

    fn missing(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| layer.state == State::Missing)
    }

    /// Says whether [`Scratch::Memory`](crate::Scratch) works for jails with a source.
    pub fn memory_scratch(&self) -> bool {
        self.layers
            .iter()
            .all(|layer| layer.need != Need::MemoryScratch || layer.state == State::Ok)
    }
}

impl fmt::Display for Report {
    /// One line for each layer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Layer { name, need: _, state, why, matters: _, fix, wall: _ } in &self.layers {
            let state = match state {
                State::Ok => "ok",
                State::Missing => "missing",
            };
            write!(f, "{state:8}{name}: {why}")?;
            if let Some(fix) = fix {
                write!(f, "; {fix}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
