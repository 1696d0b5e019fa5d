//! Writes small projects that nobody would write.

use std::fmt::Write as _;

use crate::lottery::Lottery;

/// What a tool understands.
#[expect(clippy::struct_excessive_bools, reason = "words of a language that are there or not")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speech {
    /// The line that says which symbol means modules, if one is needed. None without tristates.
    pub(crate) modules: Option<&'static str>,
    /// `<` and its kin.
    pub(crate) order: bool,
    /// `imply`.
    pub(crate) imply: bool,
    /// `visible if`.
    pub(crate) visible: bool,
    /// `menuconfig` that asks nobody, choices that may stay open, hex numbers.
    pub(crate) late: bool,
}

impl Speech {
    pub(crate) const KCONFIGLIB: Self =
        Self { modules: Some(""), order: true, imply: true, visible: true, late: true };
    pub(crate) const LINUX: Self = Self { modules: Some("\tmodules\n"), ..Self::KCONFIGLIB };
    pub(crate) const U_BOOT: Self = Self { modules: Some("\toption modules\n"), ..Self::LINUX };
    pub(crate) const SEABIOS: Self =
        Self { modules: None, order: false, imply: false, ..Self::U_BOOT };
    pub(crate) const BUSYBOX: Self = Self { visible: false, late: false, ..Self::SEABIOS };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Bool,
    Tristate,
    Int,
    Hex,
    Text,
}

impl Sort {
    fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Tristate => "tristate",
            Self::Int => "int",
            Self::Hex => "hex",
            Self::Text => "string",
        }
    }

    fn is_logic(self) -> bool {
        matches!(self, Self::Bool | Self::Tristate)
    }
}

/// A project being written.
pub(crate) struct Grammar {
    lots: Lottery,
    speech: Speech,
    text: String,
    sorts: Vec<Sort>,
    size: usize,
    /// Symbols up to this one may be named; all of them once in a while, which makes loops.
    known: usize,
    wild: bool,
    is_member: Vec<bool>,
}

/// A Kconfig file, and configurations for it.
pub(crate) struct Written {
    pub(crate) kconfig: String,
    pub(crate) configs: Vec<String>,
}

/// Writes the project with the number `seed`.
pub(crate) fn write(seed: u64, speech: Speech) -> Written {
    let mut lots = Lottery::new(seed);
    lots.below(2);
    let size = 4 + lots.below(24);
    let wild = lots.once_in(6);
    let sorts = (0..size)
        .map(|_| match lots.below(11) {
            4..=7 if speech.modules.is_some() => Sort::Tristate,
            0..=7 => Sort::Bool,
            8 => Sort::Int,
            9 if speech.late => Sort::Hex,
            _ => Sort::Text,
        })
        .collect();
    let is_member = vec![false; size];
    let text = "mainmenu \"Fuzz\"\n\n".to_owned();
    let mut grammar = Grammar { lots, speech, text, sorts, size, known: 0, wild, is_member };
    if let Some(option) = speech.modules.filter(|_| grammar.lots.below(5) > 0) {
        grammar.modules(option);
    }
    grammar.block(0);
    let configs = (0..4).map(|_| grammar.config()).collect();
    Written { kconfig: grammar.text, configs }
}

impl Grammar {
    fn modules(&mut self, option: &str) {
        let default = if self.lots.below(3) > 0 { "\tdefault y\n" } else { "" };
        write!(self.text, "config MODULES\n\tbool \"modules\"\n{option}{default}\n").unwrap();
    }

    fn pick(&mut self, from: &[&str]) -> String {
        match from[self.lots.below(from.len())] {
            "m" if self.speech.modules.is_none() => "n".to_owned(),
            word => word.to_owned(),
        }
    }

    /// A symbol that may be named here.
    fn symbol(&mut self, wanted: impl Fn(Sort) -> bool) -> Option<String> {
        let limit = if self.wild && self.lots.once_in(4) { self.size } else { self.known };
        let fitting: Vec<usize> = (0..limit).filter(|at| wanted(self.sorts[*at])).collect();
        let at = *fitting.get(self.lots.below(fitting.len()))?;
        Some(format!("S{at}"))
    }

    fn atom(&mut self) -> String {
        let Some(left) = self.symbol(|_| true) else { return self.pick(&["y", "n", "m", "NONE"]) };
        if self.lots.once_in(12) {
            return self.pick(&["y", "n", "m", "NONE", "\"y\"", "\"text\""]);
        }
        let sort = self.sorts[left[1..].parse::<usize>().unwrap()];
        if sort.is_logic() && self.lots.below(10) < 7 {
            return left;
        }
        let right = match sort {
            _ if self.lots.once_in(5) => self.symbol(|_| true).unwrap_or(left.clone()),
            Sort::Bool | Sort::Tristate => self.pick(&["y", "m", "n", "\"y\"", "text"]),
            Sort::Int => self.pick(&["5", "0", "12", "\"5\"", "0x5", "-3", "005"]),
            Sort::Hex => self.pick(&["0x5", "5", "0X10", "\"0x12\"", "10"]),
            Sort::Text => self.pick(&["\"abc\"", "\"\"", "\"5\"", "12", "y"]),
        };
        let relations = ["=", "!=", "=", "!=", "<", "<=", ">", ">="];
        let count = if self.speech.order { relations.len() } else { 4 };
        let relation = relations[self.lots.below(count)];
        if self.lots.once_in(8) {
            format!("{right} {relation} {left}")
        } else {
            format!("{left} {relation} {right}")
        }
    }

    fn expr(&mut self, depth: usize) -> String {
        if depth > 2 {
            return self.atom();
        }
        match self.lots.below(20) {
            0..=8 => self.atom(),
            9..=11 => format!("!({})", self.expr(depth + 1)),
            12..=15 => format!("{} && {}", self.expr(depth + 1), self.expr(depth + 1)),
            16..=18 => format!("{} || {}", self.expr(depth + 1), self.expr(depth + 1)),
            _ => format!("({})", self.expr(depth + 1)),
        }
    }

    fn condition(&mut self, one_in: usize) -> String {
        if self.lots.once_in(one_in) { format!(" if {}", self.expr(0)) } else { String::new() }
    }

    fn line(&mut self, line: &str) {
        self.text += line;
        self.text += "\n";
    }

    fn block(&mut self, depth: usize) {
        while self.known < self.size {
            match self.lots.below(40) {
                0..=21 => self.entry(None),
                22..=26 => self.choice(),
                27..=28 => {
                    self.line("comment \"remark\"");
                    if self.lots.once_in(2) {
                        let on = self.expr(0);
                        self.line(&format!("\tdepends on {on}"));
                    }
                }
                29..=31 => self.again(),
                _ if depth > 3 => {}
                32..=36 => {
                    let visible = self.speech.visible && self.lots.once_in(3);
                    let number = self.known;
                    self.line(&format!("menu \"menu {number}\""));
                    // Old ones know no other order.
                    if visible {
                        let on = self.expr(0);
                        self.line(&format!("\tvisible if {on}"));
                    }
                    if self.lots.once_in(3) {
                        let on = self.expr(0);
                        self.line(&format!("\tdepends on {on}"));
                    }
                    if self.lots.below(10) > 0 {
                        self.block(depth + 1);
                    }
                    self.line("endmenu\n");
                }
                _ => {
                    let on = self.expr(0);
                    self.line(&format!("if {on}"));
                    self.block(depth + 1);
                    self.line("endif\n");
                }
            }
            if depth > 0 && self.lots.once_in(4) {
                return;
            }
        }
    }

    /// Another definition of a symbol that has one.
    fn again(&mut self) {
        let at = self.lots.below(self.known);
        if at < self.known && !self.is_member[at] {
            let known = std::mem::replace(&mut self.known, at);
            self.properties(at, None);
            self.known = known;
        }
    }

    fn entry(&mut self, member_of: Option<Sort>) {
        if self.known < self.size {
            let at = self.known;
            self.properties(at, member_of);
            self.known = at + 1;
        }
    }

    fn properties(&mut self, at: usize, member_of: Option<Sort>) {
        if let Some(sort) = member_of {
            self.is_member[at] = true;
            self.sorts[at] = sort;
        }
        let sort = self.sorts[at];
        let asks = member_of.is_some() || self.lots.below(3) > 0;
        let menu = member_of.is_none() && (asks || self.speech.late) && self.lots.once_in(3);
        let word = if menu { "menuconfig" } else { "config" };
        self.line(&format!("{word} S{at}"));
        let word = sort.word();
        if asks {
            let condition = self.condition(4);
            self.line(&format!("\t{word} \"prompt {at}\"{condition}"));
        } else {
            self.line(&format!("\t{word}"));
        }
        for _ in 0..self.lots.below(3) / 2 + usize::from(self.lots.once_in(8)) {
            let on = self.expr(0);
            self.line(&format!("\tdepends on {on}"));
        }
        if member_of.is_none() || self.lots.once_in(8) {
            for _ in 0..[0, 0, 1, 1, 2][self.lots.below(5)] {
                let value = self.default(sort);
                let condition = self.condition(3);
                self.line(&format!("\tdefault {value}{condition}"));
            }
        }
        if !self.speech.late && sort == Sort::Int {
            // busybox's `conf` asks for ever for a number that nothing suggests.
            self.line("\tdefault 6");
        }
        if matches!(sort, Sort::Int | Sort::Hex) && self.lots.once_in(2) {
            self.range(sort);
        }
        if sort.is_logic() && self.lots.once_in(3) {
            self.selects(at);
        }
        if self.lots.once_in(8) {
            self.line("\thelp\n\t  Words.\n\n\t  config NOT");
        }
        self.line("");
    }

    fn default(&mut self, sort: Sort) -> String {
        if self.lots.once_in(6)
            && let Some(other) = self.symbol(|other| other == sort)
        {
            return other;
        }
        match sort {
            Sort::Bool | Sort::Tristate if self.lots.once_in(3) => self.expr(0),
            Sort::Bool | Sort::Tristate => self.pick(&["y", "y", "m", "n"]),
            Sort::Int => self.pick(&["3", "7", "-2", "100", "\"9\"", "007"]),
            Sort::Hex => self.pick(&["0x3", "0x1f", "0X70", "10"]),
            Sort::Text => self.pick(&["\"a\"", "\"q\\\"\\\\\"", "\"\"", "word"]),
        }
    }

    fn range(&mut self, sort: Sort) {
        for _ in 0..=usize::from(self.lots.once_in(3)) {
            let low = self.lots.below(12);
            let high = low + self.lots.below(30);
            let condition = self.condition(3);
            let prefix = if sort == Sort::Hex { "0x" } else { "" };
            let mut ends = [format!("{prefix}{low}"), format!("{prefix}{high}")];
            if self.lots.once_in(8)
                && let Some(other) = self.symbol(|other| other == sort)
            {
                ends[1] = other;
            }
            let [low, high] = ends;
            self.line(&format!("\trange {low} {high}{condition}"));
        }
    }

    /// Selects what comes later, so that there is no loop.
    fn selects(&mut self, at: usize) {
        for _ in 0..=self.lots.below(2) {
            let later: Vec<usize> =
                (at + 1..self.size).filter(|other| self.sorts[*other].is_logic()).collect();
            let Some(target) = later.get(self.lots.below(later.len())) else { return };
            let imply = self.speech.imply && self.lots.once_in(2);
            let word = if imply { "imply" } else { "select" };
            let condition = self.condition(3);
            self.line(&format!("\t{word} S{target}{condition}"));
        }
    }

    fn choice(&mut self) {
        let tristate = self.lots.once_in(3) && self.speech.modules.is_some();
        let sort = if tristate { Sort::Tristate } else { Sort::Bool };
        let first = self.known;
        let count = (1 + self.lots.below(4)).min(self.size - first);
        let condition = self.condition(5);
        self.line(&format!("choice\n\tprompt \"choice {first}\"{condition}"));
        if self.lots.below(5) > 1 {
            self.line(&format!("\t{}", sort.word()));
        }
        if self.speech.late && self.lots.once_in(5) {
            self.line("\toptional");
        }
        if self.lots.once_in(4) {
            let on = self.expr(0);
            self.line(&format!("\tdepends on {on}"));
        }
        for _ in 0..self.lots.below(3) {
            let member = first + self.lots.below(count);
            let condition = self.condition(2);
            self.line(&format!("\tdefault S{member}{condition}"));
        }
        self.line("");
        let mut blocks = 0;
        for member in first..first + count {
            if self.lots.once_in(8) {
                let on = self.expr(0);
                self.line(&format!("if {on}"));
                blocks += 1;
            }
            let sort = if self.lots.once_in(8) { Sort::Bool } else { sort };
            let known = self.known;
            // Members seldom look at each other.
            let next = if self.lots.once_in(30) { member } else { first };
            self.known = next;
            self.properties(member, Some(sort));
            self.known = known;
            if blocks > 0 && self.lots.once_in(2) {
                self.line("endif");
                blocks -= 1;
            }
        }
        self.known = first + count;
        for _ in 0..blocks {
            self.line("endif");
        }
        self.line("endchoice\n");
    }

    fn config(&mut self) -> String {
        let values = [
            "y",
            "y",
            "y",
            "y",
            "m",
            "m",
            "n",
            "n",
            "7",
            "12",
            "0x12",
            "0x40",
            "\"abc\"",
            "\"q\\\"\\\\\"",
            "-3",
            "007",
            "5000",
            "yes",
            "\"open",
        ];
        let mut text = String::new();
        for _ in 0..self.lots.below(2 * self.size) {
            let at = self.lots.below(self.size + 1);
            let name = if at == self.size { "MODULES".to_owned() } else { format!("S{at}") };
            match values[self.lots.below(values.len())] {
                "n" if self.lots.below(3) > 0 => writeln!(text, "# CONFIG_{name} is not set"),
                value => writeln!(text, "CONFIG_{name}={value}"),
            }
            .unwrap();
        }
        text
    }
}
