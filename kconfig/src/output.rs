//! Writes configurations, byte for byte as the project's tool does.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::configuration::Configuration;
use crate::dialect::{HeaderOff, Strings, Tool, Vintage};
use crate::expr::Tristate;
use crate::ids::{NodeId, SymbolId};
use crate::tree::{Item, Kind, Node};

use Tristate::{Module, No, Yes};

impl Configuration<'_> {
    /// Writes the whole configuration, as `olddefconfig` leaves it.
    pub fn to_dotconfig(&self) -> String {
        let mut out = Dotconfig {
            configuration: self,
            text: String::new(),
            written: vec![false; self.kconfig.tree.symbols.len()],
            blank_line: false,
        };
        if self.kconfig.dialect.tool == Tool::Conf {
            let title = self.title();
            out.text = format!("#\n# Automatically generated file; DO NOT EDIT.\n# {title}\n#\n");
        }
        out.nodes();
        out.text
    }

    /// Writes the assignments that do not follow by themselves, as `savedefconfig` does with what
    /// [`Configuration::to_dotconfig`] writes.
    pub fn to_minimal(&self) -> String {
        match self.kconfig.dialect.tool {
            Tool::Kconfiglib => self.minimal(),
            // Loading once more settles what `conf` leaves from numbers out of range.
            Tool::Conf => {
                let mut settled = self.clone();
                settled.load(&self.to_dotconfig());
                settled.minimal()
            }
        }
    }

    fn minimal(&self) -> String {
        let mut text = String::new();
        for id in self.defined().filter(|id| self.stands_alone(*id)) {
            self.line(id, &mut text);
        }
        text
    }

    /// The symbols that do not follow by themselves, in the order of the files.
    pub fn set_apart(&self) -> Vec<&str> {
        let ids = self.defined().filter(|id| self.stands_alone(*id));
        ids.map(|id| &**self.kconfig.tree.symbol_name(id)).collect()
    }

    fn stands_alone(&self, id: SymbolId) -> bool {
        self.values.states[id.index()].written && self.is_settable(id) && !self.is_default(id)
    }

    /// Writes the header that C code includes.
    ///
    /// The order is that of definition. kconfiglib's is the same; `conf` has one of its own.
    pub fn to_autoconf(&self) -> String {
        let prefix = &self.kconfig.prefix;
        let zero = self.kconfig.dialect.header_off == HeaderOff::Zero;
        let mut text = String::new();
        if self.kconfig.dialect.tool == Tool::Conf {
            let title = self.title();
            let blank = if self.kconfig.dialect.vintage < Vintage::V6 { " *\n" } else { "" };
            text = format!(
                "/*\n{blank} * Automatically generated file; DO NOT EDIT.\n * {title}\n{blank} */\n"
            );
        }
        for id in self.defined() {
            let symbol = &self.kconfig.tree.symbols[id.index()];
            let state = &self.values.states[id.index()];
            if !state.written && !zero {
                continue;
            }
            let name = self.kconfig.tree.symbol_name(id);
            let value = state.text.as_deref().unwrap_or("");
            let done = match (symbol.kind, state.value) {
                (Kind::Bool | Kind::Tristate, Yes) => writeln!(text, "#define {prefix}{name} 1"),
                (Kind::Bool | Kind::Tristate, Module) => {
                    writeln!(text, "#define {prefix}{name}_MODULE 1")
                }
                (Kind::Bool | Kind::Tristate, No) if zero => {
                    writeln!(text, "#define {prefix}{name} 0")
                }
                (Kind::Text, _) => {
                    writeln!(text, "#define {prefix}{name} \"{}\"", self.quotable(value))
                }
                (Kind::Hex, _)
                    if value.is_empty() && zero && self.kconfig.dialect.tool == Tool::Conf =>
                {
                    writeln!(text, "#define {prefix}{name} 0")
                }
                (Kind::Hex, _) if !is_prefixed(value) => {
                    writeln!(text, "#define {prefix}{name} 0x{value}")
                }
                (Kind::Int, _) if value.is_empty() && zero => {
                    writeln!(text, "#define {prefix}{name} 0")
                }
                (Kind::Int | Kind::Hex, _) => writeln!(text, "#define {prefix}{name} {value}"),
                _ => Ok(()),
            };
            done.expect("writing to a String cannot fail");
        }
        text
    }

    /// The symbols that the project defines, in the order of their first definitions.
    pub(crate) fn defined(&self) -> impl Iterator<Item = SymbolId> + '_ {
        let nodes = self.kconfig.tree.nodes.iter().enumerate();
        nodes.filter_map(|(index, node)| match node.item {
            Item::Symbol(id) => {
                let first = self.kconfig.tree.symbols[id.index()].nodes.first();
                (first == Some(&NodeId::at(index))).then_some(id)
            }
            _ => None,
        })
    }

    /// Appends the line of a symbol to a `.config`.
    fn line(&self, id: SymbolId, text: &mut String) {
        let name = self.kconfig.tree.symbol_name(id);
        let prefix = &self.kconfig.prefix;
        let state = &self.values.states[id.index()];
        let value = state.text.as_deref().unwrap_or("");
        let done = match (self.kconfig.tree.symbols[id.index()].kind, state.value) {
            (Kind::Unknown, _) => Ok(()),
            (Kind::Bool | Kind::Tristate, No) => writeln!(text, "# {prefix}{name} is not set"),
            (Kind::Bool | Kind::Tristate, on) => writeln!(text, "{prefix}{name}={}", on.as_str()),
            (Kind::Text, _) => writeln!(text, "{prefix}{name}=\"{}\"", self.quotable(value)),
            (Kind::Hex, _)
                if self.resolver().all_written() && !value.is_empty() && !is_prefixed(value) =>
            {
                writeln!(text, "{prefix}{name}=0x{value}")
            }
            (Kind::Int, _) if value.is_empty() && self.resolver().all_written() => {
                writeln!(text, "{prefix}{name}=0")
            }
            (Kind::Int | Kind::Hex, _) => writeln!(text, "{prefix}{name}={value}"),
        };
        done.expect("writing to a String cannot fail");
    }

    /// A string as it stands between quotes.
    fn quotable<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.kconfig.dialect.strings {
            Strings::Plain => text.into(),
            Strings::Escaped => text.replace('\\', "\\\\").replace('"', "\\\"").into(),
        }
    }

    fn title(&self) -> &str {
        let prompt = self.kconfig.tree.nodes[0].prompt;
        prompt.map_or("Main menu", |prompt| self.kconfig.tree.names.text(prompt.value))
    }

    /// Whether a person could give it another value.
    fn is_settable(&self, id: SymbolId) -> bool {
        let state = &self.values.states[id.index()];
        let known = &self.kconfig.model.symbols[id.index()];
        known.choice.is_some() && self.kconfig.dialect.tool == Tool::Kconfiglib
            || state.visible > self.resolver().floor(id)
    }

    /// Whether it has the value that it would have if nobody had set it.
    fn is_default(&self, id: SymbolId) -> bool {
        let resolver = self.resolver();
        let known = &self.kconfig.model.symbols[id.index()];
        let symbol = &self.kconfig.tree.symbols[id.index()];
        if *resolver.text(id) == *self.default_of(id) {
            return true;
        }
        known.choice.is_some_and(|choice| {
            !self.kconfig.tree.choices[choice.index()].optional
                && symbol.kind == Kind::Bool
                && resolver.logic(id) == Yes
                && resolver.default_selection(choice) == Some(id)
        })
    }

    /// The value that a symbol would have if nobody had set it, ranges aside.
    fn default_of(&self, id: SymbolId) -> String {
        let resolver = self.resolver();
        let known = &self.kconfig.model.symbols[id.index()];
        let symbol = &self.kconfig.tree.symbols[id.index()];
        if !symbol.kind.is_logic() {
            return resolver.default_text_of(id).map_or_else(String::new, |text| text.to_string());
        }
        if known.choice.is_some() && self.kconfig.dialect.tool == Tool::Kconfiglib {
            return "n".to_owned();
        }
        let mut value = resolver.default_logic(id);
        value = value.max(resolver.floor(id)).max(resolver.implied(id));
        let kind = match self.kconfig.dialect.tool {
            // A member of a choice remains a tristate there, whatever the mode and the modules.
            Tool::Conf if known.choice.is_some() => symbol.kind,
            _ => resolver.effective_of(id),
        };
        if kind == Kind::Bool {
            value = value.without_modules();
        }
        value.as_str().to_owned()
    }
}

fn is_prefixed(hex: &str) -> bool {
    hex.starts_with("0x") || hex.starts_with("0X")
}

/// A `.config` being written.
struct Dotconfig<'c> {
    configuration: &'c Configuration<'c>,
    text: String,
    written: Vec<bool>,
    /// Whether the next symbol is set off by a blank line.
    blank_line: bool,
}

impl<'c> Dotconfig<'c> {
    fn nodes(&mut self) {
        let nodes = &self.configuration.kconfig.tree.nodes;
        // Menus that are open: where they end, and their titles if they are shown.
        let mut menus: Vec<(NodeId, Option<&'c str>)> = Vec::new();
        for (index, node) in nodes.iter().enumerate().skip(1) {
            self.close(&mut menus, NodeId::at(index));
            match node.item {
                Item::Symbol(id) => self.symbol(id),
                Item::Menu => {
                    let title = self.title(index, node);
                    // kconfiglib does not end what has nothing in it.
                    let inside = &nodes[index + 1..node.end.index()];
                    let ended = self.configuration.kconfig.dialect.tool == Tool::Conf
                        || inside.iter().any(|node| node.item != Item::If);
                    menus.push((node.end, title.filter(|_| ended)));
                }
                Item::Comment => {
                    self.title(index, node);
                }
                Item::Choice(_) | Item::If => {}
            }
        }
        self.close(&mut menus, NodeId::at(nodes.len()));
    }

    fn symbol(&mut self, id: SymbolId) {
        let configuration = self.configuration;
        // The oldest `conf` repeats what is defined again.
        let repeats = configuration.resolver().all_written();
        if std::mem::replace(&mut self.written[id.index()], true) && !repeats {
            return;
        }
        if !configuration.values.states[id.index()].written
            || configuration.kconfig.tree.symbols[id.index()].kind == Kind::Unknown
        {
            // `conf` looks again where it is defined the next time; the answer is the same.
            return;
        }
        if std::mem::take(&mut self.blank_line) {
            self.text.push('\n');
        }
        configuration.line(id, &mut self.text);
    }

    /// Writes the title of a menu or comment, and returns it if it is shown.
    fn title(&mut self, index: usize, node: &Node) -> Option<&'c str> {
        let configuration = self.configuration;
        let shown = configuration.kconfig.model.shown[index];
        let resolver = configuration.resolver();
        if resolver.expr(shown.condition) == No || resolver.expr(shown.visible) == No {
            return None;
        }
        let prompt = node.prompt?;
        if resolver.expr(prompt.condition) == No {
            return None;
        }
        let title: &str = configuration.kconfig.tree.names.text(prompt.value);
        write!(self.text, "\n#\n# {title}\n#\n").expect("writing to a String cannot fail");
        self.blank_line = false;
        Some(title)
    }

    fn close(&mut self, menus: &mut Vec<(NodeId, Option<&str>)>, at: NodeId) {
        while let Some((_, title)) = menus.pop_if(|(end, _)| *end <= at) {
            let dialect = self.configuration.kconfig.dialect;
            let told = dialect.tool == Tool::Kconfiglib || dialect.vintage >= Vintage::V6;
            let Some(title) = title.filter(|_| told) else { continue };
            writeln!(self.text, "# end of {title}").expect("writing to a String cannot fail");
            self.blank_line = true;
        }
    }
}
