//! Keeps each text once.

#[expect(clippy::disallowed_types, reason = "only looked up, never walked: order cannot leak")]
use std::collections::HashMap;
use std::sync::Arc;

use crate::ids::NameId;

/// Texts by number.
#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "only looked up, never walked: order cannot leak")]
pub(crate) struct Names {
    texts: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, NameId>,
}

impl Names {
    /// The number of `text`, which it keeps.
    pub(crate) fn intern(&mut self, text: &str) -> NameId {
        if let Some(&id) = self.ids.get(text) {
            return id;
        }
        let id = NameId::at(self.texts.len());
        let kept: Arc<str> = text.into();
        self.texts.push(Arc::clone(&kept));
        self.ids.insert(kept, id);
        id
    }

    /// The number of `text` if it is kept.
    pub(crate) fn find(&self, text: &str) -> Option<NameId> {
        self.ids.get(text).copied()
    }

    /// The text with the number `id`.
    pub(crate) fn text(&self, id: NameId) -> &Arc<str> {
        &self.texts[id.index()]
    }
}
