//! A project's Kconfig files, understood.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::configuration::Configuration;
use crate::dialect::Dialect;
use crate::files::Files;
use crate::load_error::LoadError;
use crate::macros::Note;
use crate::model::{Model, derive};
use crate::order::{Order, order};
use crate::parser::{Parsed, parse};
use crate::shell::Shell;
use crate::symbol::Prefix;
use crate::tree::Tree;

/// Which engine this is. Raised whenever the same files and assignments may come to mean another
/// configuration than before, so that nothing an older one decided is taken for this one's.
pub const ENGINE: u32 = 2;

/// A project's Kconfig files: every symbol, and what decides its value.
#[derive(Debug)]
pub struct Kconfig {
    pub(crate) dialect: Dialect,
    pub(crate) prefix: Prefix,
    pub(crate) tree: Tree,
    pub(crate) model: Model,
    pub(crate) order: Order,
    notes: Vec<Note>,
    answers: BTreeMap<String, String>,
}

impl Kconfig {
    /// Reads the Kconfig file at `root` and all that it sources.
    ///
    /// `root` is relative to the root of the tree, as `src/Kconfig`. `env` is the environment that
    /// the files may ask for; that of the process is not looked at.
    ///
    /// # Errors
    /// [`LoadError`] naming the file and the line.
    pub fn load(
        root: &str,
        files: &dyn Files,
        dialect: Dialect,
        env: &BTreeMap<String, String>,
        shell: &dyn Shell,
    ) -> Result<Self, LoadError> {
        let Parsed { mut tree, notes, answers } = parse(root, files, dialect, env, shell)?;
        let model = derive(&mut tree, dialect.tool)?;
        let order = order(&tree, &model, dialect.tool)?;
        let prefix = Prefix::default();
        Ok(Self { dialect, prefix, tree, model, order, notes, answers })
    }

    /// Makes symbols carry `prefix` in configurations, in place of `CONFIG_`.
    #[must_use]
    pub fn with_prefix(self, prefix: Prefix) -> Self {
        Self { prefix, ..self }
    }

    /// Decides every symbol as if nobody had set anything.
    pub fn evaluate(&self) -> Configuration<'_> {
        Configuration::new(self)
    }

    /// The name of a symbol without the prefix of configurations.
    pub fn bare<'t>(&self, symbol: &'t str) -> &'t str {
        match symbol.strip_prefix(self.prefix.as_str()) {
            Some(bare) if self.tree.find(symbol).is_none() => bare,
            _ => symbol,
        }
    }

    /// What the files said while they were read.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// What the caller answered to which command.
    pub fn answers(&self) -> &BTreeMap<String, String> {
        &self.answers
    }

    /// Paths of the files in the order of reading, each as often as it was read.
    pub fn files(&self) -> &[Arc<str>] {
        &self.tree.files
    }
}
