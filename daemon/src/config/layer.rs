//! The layers of the sandbox that an operator may do without.

use std::fmt;
use std::str::FromStr;

/// A layer of the sandbox that an operator may do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The source stays as it was handed over: writes go to a layer above it.
    Overlay,
    /// A `/proc` that shows only the build's own processes.
    Proc,
    /// What a build may open and connect to, by Landlock.
    Landlock,
    /// The filter of system calls.
    Filter,
}

/// The text names no layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no layer of the sandbox; the layers are overlay, proc, landlock, filter")]
pub struct LayerError {
    text: String,
}

impl Layer {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Overlay, Self::Proc, Self::Landlock, Self::Filter];

    fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Proc => "proc",
            Self::Landlock => "landlock",
            Self::Filter => "filter",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layer {
    type Err = LayerError;

    fn from_str(text: &str) -> Result<Self, LayerError> {
        let named = Self::ALL.into_iter().find(|layer| layer.name() == text);
        named.ok_or_else(|| LayerError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_is_read_as_it_is_shown_and_told_to_who_names_another() {
        let refusal = "Overlay".parse::<Layer>().unwrap_err().to_string();
        for layer in Layer::ALL {
            assert_eq!(layer.to_string().parse(), Ok(layer));
            assert!(refusal.contains(&layer.to_string()), "{refusal}");
        }
    }
}
