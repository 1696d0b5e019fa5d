//! Why nobody is asked for a symbol, or only up to `m`.

use super::{Facts, Need};
use crate::expr::Tristate;
use crate::ids::{ChoiceId, ExprId, NodeId, SymbolId};
use crate::spot::{Span, Spot};
use crate::tree::{Item, Kind, Node};

use Tristate::{Module, No, Yes};

/// Something that keeps a prompt from being shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is.
    pub what: ObstacleKind,
    /// Where it stands.
    pub at: Spot,
    /// The whole condition that does not hold, as in a Kconfig file; `None` if there is none to
    /// show.
    pub condition: Option<String>,
    /// The part of it that would have to be different.
    pub need: Need,
}

/// Where a condition was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObstacleKind {
    /// `if` behind the prompt.
    PromptIf,
    /// `depends on` of the symbol itself.
    Depends,
    /// An `if` around it.
    If,
    /// `depends on` or `if` of a menu around it.
    Menu {
        /// The title of the menu.
        title: String,
    },
    /// `visible if` of a menu around it.
    VisibleIf {
        /// The title of the menu.
        title: String,
    },
    /// `depends on` or `if` of the choice that it stands in.
    Choice {
        /// What a person is asked.
        title: Option<String>,
    },
    /// The choice that it stands in is off, or may have several members at `m`.
    ChoiceMode {
        /// What a person is asked.
        title: Option<String>,
        /// The mode of the choice.
        mode: Tristate,
        /// How far the choice could be turned on.
        visible: Tristate,
    },
}

/// One place where a symbol has a prompt that is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenPrompt {
    /// Where the symbol is defined.
    pub at: Spot,
    /// What a person would be asked.
    pub prompt: String,
    /// What keeps it from being shown: all of that at once, innermost first.
    pub obstacles: Vec<Obstacle>,
}

/// How far something has to hold.
#[derive(Debug, Clone, Copy)]
struct Levels {
    own: Tristate,
    choice: Tristate,
}

impl Facts<'_> {
    /// The prompts of a symbol that are not shown as far as it can be set, if none is.
    pub(crate) fn hidden_prompts(&self, id: SymbolId) -> Vec<HiddenPrompt> {
        let Some(levels) = self.wanted(id) else { return Vec::new() };
        let symbol = &self.tree.symbols[id.index()];
        let prompts = symbol.nodes.iter().filter_map(|node| {
            let prompt = self.tree.node(*node).prompt?;
            Some(HiddenPrompt {
                at: self.tree.spot(self.tree.node(*node).span),
                prompt: self.tree.names.text(prompt.value).to_string(),
                obstacles: self.obstacles(*node, levels),
            })
        });
        prompts.collect()
    }

    /// How far conditions, and the choice that the symbol is a member of, would have to hold for it
    /// to be set to anything; `None` if they do.
    fn wanted(&self, id: SymbolId) -> Option<Levels> {
        let visible = self.values.states[id.index()].visible;
        let level = match visible {
            No => Module,
            Module if self.resolver.effective_of(id) == Kind::Tristate => Yes,
            _ => return None,
        };
        let kind = self.tree.symbols[id.index()].kind;
        let Some(choice) = self.model.symbols[id.index()].choice else {
            return Some(Levels { own: level, choice: level });
        };
        let is_tristate = self.tree.choices[choice.index()].kind == Kind::Tristate;
        let mode = self.values.choice_states[choice.index()].mode;
        Some(Levels {
            // Of a choice that is on, no member is a module.
            own: if kind == Kind::Tristate && mode == Yes { Yes } else { level },
            choice: if is_tristate && kind != Kind::Tristate { Yes } else { level },
        })
    }

    /// What keeps the prompt of an entry from being shown at `levels`.
    fn obstacles(&self, id: NodeId, levels: Levels) -> Vec<Obstacle> {
        let level = levels.own;
        let mut found = Vec::new();
        let node = self.tree.node(id);
        if let Some(prompt) = node.prompt {
            self.obstacle(prompt.condition, level, ObstacleKind::PromptIf, prompt.span, &mut found);
        }
        for clause in &node.depends {
            self.obstacle(clause.condition, level, ObstacleKind::Depends, clause.span, &mut found);
        }
        self.around(node, levels, &mut found);
        // One condition may be written at several levels; the innermost tells it all.
        let mut seen: Vec<Need> = Vec::new();
        found.retain(|obstacle| {
            let is_new = !seen.contains(&obstacle.need);
            seen.push(obstacle.need.clone());
            is_new || matches!(obstacle.what, ObstacleKind::ChoiceMode { .. })
        });
        found
    }

    /// Adds what the blocks around an entry contribute.
    fn around(&self, node: &Node, levels: Levels, found: &mut Vec<Obstacle>) {
        let level = levels.own;
        let mut block = node.block;
        // Inside a choice that is on, only `visible if` of what is around it counts.
        let mut is_decided = false;
        while let Some(id) = block {
            let node = self.tree.node(id);
            let title = || self.title(node);
            if !is_decided {
                match node.item {
                    Item::Choice(choice) => {
                        is_decided = true;
                        self.choice(choice, levels.choice, found);
                    }
                    Item::Menu => {
                        let what = || ObstacleKind::Menu { title: title().unwrap_or_default() };
                        self.conditions(node, level, what, found);
                    }
                    Item::If => self.conditions(node, level, || ObstacleKind::If, found),
                    Item::Symbol(_) | Item::Comment => {}
                }
            }
            for clause in &node.visible {
                let what = ObstacleKind::VisibleIf { title: title().unwrap_or_default() };
                self.obstacle(clause.condition, level, what, clause.span, found);
            }
            block = node.block;
        }
    }

    fn conditions(
        &self,
        node: &Node,
        level: Tristate,
        what: impl Fn() -> ObstacleKind,
        found: &mut Vec<Obstacle>,
    ) {
        for clause in &node.depends {
            self.obstacle(clause.condition, level, what(), clause.span, found);
        }
    }

    /// Adds why a choice is not on as far as its members need.
    fn choice(&self, id: ChoiceId, level: Tristate, found: &mut Vec<Obstacle>) {
        let state = &self.values.choice_states[id.index()];
        if state.mode >= level {
            return;
        }
        let before = found.len();
        if state.visible < level {
            for node in &self.tree.choices[id.index()].nodes {
                let node = self.tree.node(*node);
                let what = || ObstacleKind::Choice { title: self.title(node) };
                if let Some(prompt) = node.prompt {
                    self.obstacle(prompt.condition, level, what(), prompt.span, found);
                }
                self.conditions(node, level, what, found);
                self.around(node, Levels { own: level, choice: level }, found);
            }
        }
        let least = if self.tree.choices[id.index()].optional { No } else { Module };
        let wish = self.values.choice_wishes[id.index()];
        let wished = if wish.inconsistent { No } else { wish.mode.unwrap_or(No) }.max(least);
        let kind = self.resolver.effective(self.tree.choices[id.index()].kind);
        let wished = if kind == Kind::Bool { wished.without_modules() } else { wished };
        if (wished < level || found.len() == before)
            && let Some(node) = self.tree.choices[id.index()].nodes.first()
        {
            let node = self.tree.node(*node);
            let (mode, visible) = (state.mode, state.visible);
            found.push(Obstacle {
                what: ObstacleKind::ChoiceMode { title: self.title(node), mode, visible },
                at: self.tree.spot(node.span),
                condition: None,
                need: Need::Never,
            });
        }
    }

    fn obstacle(
        &self,
        condition: ExprId,
        level: Tristate,
        what: ObstacleKind,
        span: Span,
        found: &mut Vec<Obstacle>,
    ) {
        if let Some(need) = self.lacks(condition, level) {
            found.push(Obstacle {
                what,
                at: self.tree.spot(span),
                condition: Some(self.tree.spelled(condition)),
                need,
            });
        }
    }

    /// The title of a menu or what a choice asks.
    pub(crate) fn title(&self, node: &Node) -> Option<String> {
        node.prompt.map(|prompt| self.tree.names.text(prompt.value).to_string())
    }
}
