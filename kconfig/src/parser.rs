//! Reads Kconfig files, statement by statement, into a [`Tree`].
//!
//! Files and blocks are on stacks of their own, never on that of the thread: how deeply a project
//! nests them is its choice.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cursor::{Cursor, Use};
use crate::dialect::{Dialect, Tool};
use crate::files::Files;
use crate::ids::{ChoiceId, FileId, NameId, NodeId};
use crate::lexer::{Lexer, Line, Lines, Token, assignment, word_length};
use crate::load_error::{LoadError, NESTING_MAX};
use crate::macros::{Macros, Note};
use crate::shell::Shell;
use crate::shown::shown;
use crate::source::{Sourced, Sources};
use crate::spot::{Span, Spot};
use crate::tree::{Choice, Clause, Item, Kind, Property, Retyped, Tree};

/// What reading gave.
pub(crate) struct Parsed {
    pub(crate) tree: Tree,
    pub(crate) notes: Vec<Note>,
    pub(crate) answers: BTreeMap<String, String>,
}

/// Reads the file at `root` and everything that it sources.
pub(crate) fn parse(
    root: &str,
    files: &dyn Files,
    dialect: Dialect,
    env: &BTreeMap<String, String>,
    shell: &dyn Shell,
) -> Result<Parsed, LoadError> {
    let mut parser = Parser {
        tool: dialect.tool,
        env,
        tree: Tree::new(),
        macros: Macros::new(dialect.tool, env, shell),
        sources: Sources::new(files, dialect.tool),
        frames: Vec::new(),
        blocks: Vec::new(),
        entry: None,
        named_choices: BTreeMap::new(),
    };
    let first = parser.sources.root(root)?;
    parser.enter(vec![first]);
    parser.run()?;
    let (notes, answers) = parser.macros.finish();
    Ok(Parsed { tree: parser.tree, notes, answers })
}

/// A file being read.
struct Frame {
    path: Arc<str>,
    file: FileId,
    lines: Lines,
    /// How many blocks were open when it began.
    blocks: usize,
    /// What the same statement names besides, the next one last.
    waiting: Vec<Sourced>,
}

struct Parser<'a> {
    tool: Tool,
    env: &'a BTreeMap<String, String>,
    tree: Tree,
    macros: Macros<'a>,
    sources: Sources<'a>,
    frames: Vec<Frame>,
    /// The blocks that are open, outermost first, and the word that closes each.
    blocks: Vec<(NodeId, &'static str)>,
    /// The entry that attributes belong to.
    entry: Option<NodeId>,
    named_choices: BTreeMap<NameId, ChoiceId>,
}

/// What a statement is read from.
struct Statement<'t> {
    word: &'t str,
    tokens: &'t [Token],
    at: &'t Spot,
    span: Span,
}

impl Parser<'_> {
    /// Begins the last of `waiting`; the others come when it ends.
    fn enter(&mut self, mut waiting: Vec<Sourced>) {
        let Some(Sourced { path, text }) = waiting.pop() else { return };
        self.sources.enter(&path);
        let file = FileId::at(self.tree.files.len());
        self.tree.files.push(Arc::clone(&path));
        let blocks = self.blocks.len();
        self.frames.push(Frame { path, file, lines: Lines::new(text), blocks, waiting });
    }

    fn run(&mut self) -> Result<(), LoadError> {
        let mut tokens = Vec::new();
        while let Some(frame) = self.frames.last_mut() {
            match frame.lines.take() {
                Some(line) => self.line(&line, &mut tokens)?,
                None => self.leave()?,
            }
        }
        let end = NodeId::at(self.tree.nodes.len());
        self.tree.nodes[0].end = end;
        Ok(())
    }

    /// Ends the file that is being read.
    fn leave(&mut self) -> Result<(), LoadError> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        self.sources.leave(&frame.path);
        self.entry = None;
        match self.blocks.get(frame.blocks) {
            None => {
                self.enter(frame.waiting);
                Ok(())
            }
            Some((node, closer)) => Err(LoadError::Syntax {
                at: self.tree.spot(self.tree.node(*node).span),
                reason: format!("`{closer}` is missing in this file"),
            }),
        }
    }

    fn line(&mut self, line: &Line, tokens: &mut Vec<Token>) -> Result<(), LoadError> {
        let text = line.text();
        let body = text.trim_start();
        if body.is_empty() || body.starts_with('#') {
            return Ok(());
        }
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let start = text.len() - body.len();
        let span = Span {
            file: frame.file,
            line: line.number,
            column: u32::try_from(start + 1).unwrap_or(u32::MAX),
        };
        let at = Spot { file: Arc::clone(&frame.path), line: span.line, column: span.column };
        if let Some((name, how, value)) = assignment(body) {
            self.entry = None;
            return self.macros.assign(name, how, value.trim_end_matches('\r'), &at);
        }
        if body.starts_with("$(") {
            let expanded = self.macros.expand(body, &at)?;
            let rest = expanded.trim();
            if rest.is_empty() || rest.starts_with('#') {
                return Ok(());
            }
            return self.statement(rest, 0, &at, span, tokens);
        }
        self.statement(text, start, &at, span, tokens)
    }

    /// Reads the statement that begins at the byte `start` of `text`.
    fn statement(
        &mut self,
        text: &str,
        start: usize,
        at: &Spot,
        span: Span,
        tokens: &mut Vec<Token>,
    ) -> Result<(), LoadError> {
        let length = word_length(&text[start..]);
        let word = &text[start..start + length];
        if word == "help" || word == "---help---" {
            return self.help(at);
        }
        tokens.clear();
        Lexer {
            tool: self.tool,
            names: &mut self.tree.names,
            macros: &mut self.macros,
            at: at.clone(),
        }
        .tokens(text, start + length, tokens)?;
        let statement = Statement { word, tokens, at, span };
        match word {
            "config" | "menuconfig" => self.config(&statement),
            "choice" => self.choice(&statement),
            "menu" | "comment" => self.titled(&statement),
            "if" => {
                let condition = self.cursor(&statement).expr(Use::Condition)?;
                let node = self.open(Item::If, "endif", &statement)?;
                self.tree.node_mut(node).depends.push(Clause { condition, span: statement.span });
                self.entry = None;
                Ok(())
            }
            "endif" | "endmenu" | "endchoice" => self.close(&statement),
            "source" | "rsource" | "osource" | "orsource" | "grsource" | "gsource" => {
                self.source(&statement)
            }
            "mainmenu" => {
                let value = self.cursor(&statement).text("a title")?;
                self.entry = None;
                let condition = crate::expr::Exprs::yes();
                self.tree.nodes[0].prompt =
                    Some(Property { value, condition, span: statement.span });
                Ok(())
            }
            _ => self.attribute(&statement),
        }
    }

    fn help(&mut self, at: &Spot) -> Result<(), LoadError> {
        let Some(entry) = self.entry else { return Err(misplaced("help", at)) };
        if let Some(frame) = self.frames.last_mut() {
            self.tree.node_mut(entry).help = Some(frame.lines.help(self.tool));
        }
        Ok(())
    }

    fn cursor<'x>(&'x mut self, statement: &'x Statement<'_>) -> Cursor<'x> {
        let Statement { tokens, at, .. } = statement;
        Cursor { tree: &mut self.tree, tokens, next: 0, at }
    }

    fn block(&self) -> NodeId {
        self.blocks.last().map_or(NodeId::at(0), |(node, _)| *node)
    }

    fn add(&mut self, item: Item, span: Span) -> NodeId {
        let block = self.block();
        let node = self.tree.add_node(item, Some(block), span);
        self.entry = Some(node);
        node
    }

    fn open(
        &mut self,
        item: Item,
        closer: &'static str,
        statement: &Statement<'_>,
    ) -> Result<NodeId, LoadError> {
        if self.blocks.len() >= NESTING_MAX {
            return Err(LoadError::TooDeep { at: statement.at.clone(), what: "blocks" });
        }
        let node = self.add(item, statement.span);
        self.blocks.push((node, closer));
        Ok(node)
    }

    fn close(&mut self, statement: &Statement<'_>) -> Result<(), LoadError> {
        let inherited = self.frames.last().map_or(0, |frame| frame.blocks);
        match self.blocks.last() {
            Some(&(node, closer)) if closer == statement.word && self.blocks.len() > inherited => {
                self.blocks.pop();
                let end = NodeId::at(self.tree.nodes.len());
                self.tree.node_mut(node).end = end;
                self.entry = None;
                Ok(())
            }
            _ => Err(LoadError::Syntax {
                at: statement.at.clone(),
                reason: format!("`{}` closes nothing", statement.word),
            }),
        }
    }

    fn config(&mut self, statement: &Statement<'_>) -> Result<(), LoadError> {
        let mut cursor = self.cursor(statement);
        let name = cursor.text("the name of a symbol")?;
        cursor.end()?;
        let symbol = self.tree.symbol(name);
        if self.tool == Tool::Kconfiglib && &**self.tree.names.text(name) == "MODULES" {
            self.tree.modules = Some(symbol);
        }
        let node = self.add(Item::Symbol(symbol), statement.span);
        self.tree.node_mut(node).opens = statement.word == "menuconfig";
        Ok(())
    }

    fn choice(&mut self, statement: &Statement<'_>) -> Result<(), LoadError> {
        let mut cursor = self.cursor(statement);
        let name = match cursor.peek() {
            Some(_) => Some(cursor.text("the name of a choice")?),
            None => None,
        };
        cursor.end()?;
        let known = name.and_then(|name| self.named_choices.get(&name).copied());
        let choice = known.unwrap_or_else(|| {
            self.tree.choices.push(Choice::default());
            ChoiceId::at(self.tree.choices.len() - 1)
        });
        if let Some(name) = name {
            self.named_choices.insert(name, choice);
        }
        self.open(Item::Choice(choice), "endchoice", statement)?;
        Ok(())
    }

    fn titled(&mut self, statement: &Statement<'_>) -> Result<(), LoadError> {
        let mut cursor = self.cursor(statement);
        let value = cursor.text("a title")?;
        let condition = cursor.condition()?;
        let node = if statement.word == "menu" {
            self.open(Item::Menu, "endmenu", statement)?
        } else {
            self.add(Item::Comment, statement.span)
        };
        self.tree.node_mut(node).prompt = Some(Property { value, condition, span: statement.span });
        Ok(())
    }

    fn source(&mut self, statement: &Statement<'_>) -> Result<(), LoadError> {
        let mut cursor = self.cursor(statement);
        let path = cursor.text("a path")?;
        cursor.end()?;
        let path = Arc::clone(self.tree.names.text(path));
        let from = self.frames.last().map(|frame| Arc::clone(&frame.path));
        let mut found = self.sources.find(
            statement.word,
            &path,
            from.as_deref().unwrap_or(""),
            statement.at,
        )?;
        self.entry = None;
        found.reverse();
        self.enter(found);
        Ok(())
    }

    fn attribute(&mut self, statement: &Statement<'_>) -> Result<(), LoadError> {
        let Some(entry) = self.entry else {
            return Err(misplaced(statement.word, statement.at));
        };
        let kind = match statement.word {
            "bool" | "boolean" | "def_bool" => Kind::Bool,
            "tristate" | "def_tristate" => Kind::Tristate,
            "int" | "def_int" => Kind::Int,
            "hex" | "def_hex" => Kind::Hex,
            "string" | "def_string" => Kind::Text,
            _ => return self.property(entry, statement),
        };
        self.set_kind(entry, kind, statement.span);
        if statement.word.starts_with("def_") {
            return self.default(entry, statement);
        }
        if statement.tokens.is_empty() {
            return Ok(());
        }
        self.prompt(entry, statement)
    }

    fn set_kind(&mut self, entry: NodeId, kind: Kind, span: Span) {
        let known = match self.tree.node(entry).item {
            Item::Symbol(symbol) => {
                let known = &mut self.tree.symbols[symbol.index()].kind;
                if *known != Kind::Unknown && *known != kind {
                    self.tree.retyped.push(Retyped { symbol, kinds: [*known, kind], span });
                }
                known
            }
            Item::Choice(choice) => &mut self.tree.choices[choice.index()].kind,
            Item::Menu | Item::Comment | Item::If => return,
        };
        // Of two types, `conf` keeps the first and kconfiglib the second.
        if *known == Kind::Unknown || self.tool == Tool::Kconfiglib {
            *known = kind;
        }
    }

    fn prompt(&mut self, entry: NodeId, statement: &Statement<'_>) -> Result<(), LoadError> {
        let mut cursor = self.cursor(statement);
        let value = cursor.text("a prompt")?;
        let condition = cursor.condition()?;
        self.tree.node_mut(entry).prompt =
            Some(Property { value, condition, span: statement.span });
        Ok(())
    }

    fn default(&mut self, entry: NodeId, statement: &Statement<'_>) -> Result<(), LoadError> {
        let mut cursor = self.cursor(statement);
        let value = cursor.expr(Use::Value)?;
        let condition = cursor.condition()?;
        self.tree.node_mut(entry).defaults.push(Property {
            value,
            condition,
            span: statement.span,
        });
        Ok(())
    }

    fn property(&mut self, entry: NodeId, statement: &Statement<'_>) -> Result<(), LoadError> {
        match statement.word {
            "prompt" => return self.prompt(entry, statement),
            "default" => return self.default(entry, statement),
            "option" => return self.option(entry, statement),
            "modules" => self.set_modules(entry),
            "transitional" => {
                if let (Tool::Conf, Item::Symbol(symbol)) = (self.tool, self.tree.node(entry).item)
                {
                    self.tree.symbols[symbol.index()].transitional = true;
                }
            }
            "optional" => {
                if let Item::Choice(choice) = self.tree.node(entry).item {
                    self.tree.choices[choice.index()].optional = true;
                }
            }
            _ => return self.relation(entry, statement),
        }
        self.cursor(statement).end()
    }

    fn relation(&mut self, entry: NodeId, statement: &Statement<'_>) -> Result<(), LoadError> {
        let mut cursor = self.cursor(statement);
        match statement.word {
            "depends" => {
                cursor.keyword("on");
                let condition = cursor.expr(Use::Condition)?;
                cursor.end()?;
                self.tree.node_mut(entry).depends.push(Clause { condition, span: statement.span });
            }
            "visible" => {
                cursor.keyword("if");
                let start = cursor.next;
                let condition = cursor.expr(Use::Condition)?;
                cursor.end()?;
                cursor.next = start;
                let title = cursor.expr(Use::Value)?;
                self.tree.node_mut(entry).visible.push(Clause { condition, span: statement.span });
                self.tree.node_mut(entry).title_visible.push(title);
            }
            "select" => {
                let value = cursor.symbol()?;
                let condition = cursor.condition()?;
                self.tree.node_mut(entry).selects.push(Property {
                    value,
                    condition,
                    span: statement.span,
                });
            }
            "imply" => {
                let value = cursor.symbol()?;
                let condition = cursor.condition()?;
                self.tree.node_mut(entry).implies.push(Property {
                    value,
                    condition,
                    span: statement.span,
                });
            }
            "range" => {
                let value = (cursor.symbol()?, cursor.symbol()?);
                let condition = cursor.condition()?;
                self.tree.node_mut(entry).ranges.push(Property {
                    value,
                    condition,
                    span: statement.span,
                });
            }
            word => {
                let reason = format!("`{}` is no statement", shown(word));
                return Err(LoadError::Syntax { at: statement.at.clone(), reason });
            }
        }
        Ok(())
    }

    fn option(&mut self, entry: NodeId, statement: &Statement<'_>) -> Result<(), LoadError> {
        let mut cursor = self.cursor(statement);
        if cursor.keyword("env") {
            // The `=` is a token like any other.
            cursor.next += 1;
            let name = cursor.text("the name of an environment variable")?;
            cursor.end()?;
            self.set_from_env(entry, name, statement.span);
            return Ok(());
        }
        let modules = cursor.keyword("modules");
        let list = !modules && cursor.keyword("defconfig_list");
        if !modules && !list && !cursor.keyword("allnoconfig_y") {
            let reason = "there is no such option".to_owned();
            return Err(LoadError::Syntax { at: cursor.spot(), reason });
        }
        cursor.end()?;
        if modules {
            self.set_modules(entry);
        }
        if let (true, Item::Symbol(symbol)) = (list, self.tree.node(entry).item) {
            self.tree.symbols[symbol.index()].hidden = true;
        }
        Ok(())
    }

    /// kconfiglib knows the symbol by its name alone.
    fn set_modules(&mut self, entry: NodeId) {
        if let (Tool::Conf, Item::Symbol(symbol)) = (self.tool, self.tree.node(entry).item) {
            self.tree.modules = Some(symbol);
        }
    }

    fn set_from_env(&mut self, entry: NodeId, name: NameId, span: Span) {
        let Item::Symbol(symbol) = self.tree.node(entry).item else { return };
        self.tree.symbols[symbol.index()].hidden = true;
        if let Some(value) = self.env.get(&**self.tree.names.text(name)) {
            let text = self.tree.names.intern(value);
            let constant = self.tree.constant(text);
            let value = self.tree.exprs.add(crate::expr::Expr::Symbol(constant));
            let condition = crate::expr::Exprs::yes();
            self.tree.node_mut(entry).defaults.push(Property { value, condition, span });
        }
    }
}

fn misplaced(word: &str, at: &Spot) -> LoadError {
    let reason = match word {
        "" => "this is no statement".to_owned(),
        word => format!("`{}` is no statement, or belongs to nothing here", shown(word)),
    };
    LoadError::Syntax { at: at.clone(), reason }
}
