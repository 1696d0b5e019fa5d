//! The preprocessor: variables and functions that are expanded while lines are read.

use std::collections::BTreeMap;

use crate::dialect::Tool;
use crate::load_error::LoadError;
use crate::shell::Shell;
use crate::shown::shown;
use crate::spot::Spot;

/// Deepest nesting of expansions.
const DEPTH_MAX: usize = 64;
/// Most bytes that one expansion may become: doubling variables would fill any memory.
const EXPANDED_MAX_B: usize = 1024 * 1024;
/// Most bytes of all that is expanded in a project: each use of a variable copies it.
const EXPANDED_ALL_MAX_B: usize = 100 * 1024 * 1024;
/// Most expansions in a project.
const EXPANSIONS_MAX: usize = 200_000;

/// What `$(info,…)` and `$(warning-if,…)` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub at: Spot,
    /// What.
    pub text: String,
}

/// A variable of the preprocessor.
#[derive(Debug, Clone)]
struct Variable {
    text: String,
    expanded: Expanded,
}

/// When the value of a variable is expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expanded {
    /// When it was assigned, with `:=`.
    Already,
    /// Each time it is used.
    OnUse,
}

/// How a line assigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assign {
    /// `=`
    OnUse,
    /// `:=`
    Now,
    /// `+=`
    Append,
}

/// The state of the preprocessor.
pub(crate) struct Macros<'a> {
    tool: Tool,
    env: &'a BTreeMap<String, String>,
    shell: &'a dyn Shell,
    variables: BTreeMap<String, Variable>,
    answers: BTreeMap<String, String>,
    /// Names of the variables that are being expanded, outermost first.
    active: Vec<String>,
    expansions: usize,
    /// How many bytes came of them.
    expanded_b: usize,
    notes: Vec<Note>,
}

impl<'a> Macros<'a> {
    /// Starts without variables.
    pub(crate) fn new(tool: Tool, env: &'a BTreeMap<String, String>, shell: &'a dyn Shell) -> Self {
        Self {
            tool,
            env,
            shell,
            variables: BTreeMap::new(),
            answers: BTreeMap::new(),
            active: Vec::new(),
            expansions: 0,
            expanded_b: 0,
            notes: Vec::new(),
        }
    }

    /// What was said, and what was answered to which command.
    pub(crate) fn finish(self) -> (Vec<Note>, BTreeMap<String, String>) {
        (self.notes, self.answers)
    }

    /// Carries out the assignment of `text` to the variable `name`.
    pub(crate) fn assign(
        &mut self,
        name: &str,
        how: Assign,
        text: &str,
        at: &Spot,
    ) -> Result<(), LoadError> {
        let name = self.expand(name, at)?;
        let expanded = match how {
            Assign::OnUse => Expanded::OnUse,
            Assign::Now => Expanded::Already,
            Assign::Append => {
                self.variables.get(&name).map_or(Expanded::OnUse, |variable| variable.expanded)
            }
        };
        let text = match expanded {
            Expanded::Already => self.expand(text, at)?,
            Expanded::OnUse => text.to_owned(),
        };
        match self.variables.get_mut(&name) {
            Some(variable) if how == Assign::Append => {
                if variable.text.len() + text.len() > EXPANDED_MAX_B {
                    return Err(too_long(at));
                }
                variable.text.push(' ');
                variable.text.push_str(&text);
            }
            _ => {
                self.variables.insert(name, Variable { text, expanded });
            }
        }
        Ok(())
    }

    /// Expands every `$(…)` in `text`.
    pub(crate) fn expand(&mut self, text: &str, at: &Spot) -> Result<String, LoadError> {
        self.expand_with(text, &[], at)
    }

    /// Replaces `$NAME` and `${NAME}` by the environment, as kconfiglib does in strings.
    pub(crate) fn expand_plain(&mut self, text: &str, at: &Spot) -> Result<String, LoadError> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('$') {
            expanded.push_str(&rest[..start]);
            let behind = &rest[start + 1..];
            let (name, length) = plain_name(behind);
            match self.env.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&rest[start..=start + length]),
            }
            if expanded.len() > EXPANDED_MAX_B {
                return Err(too_long(at));
            }
            rest = &behind[length..];
        }
        expanded.push_str(rest);
        self.count(expanded.len(), at)?;
        Ok(expanded)
    }

    fn expand_with(
        &mut self,
        text: &str,
        arguments: &[String],
        at: &Spot,
    ) -> Result<String, LoadError> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("$(") {
            expanded.push_str(&rest[..start]);
            let Some(end) = closing(&rest[start + 2..]) else {
                return Err(fault(at, format!("`{}` is never closed", shown(&rest[start..]))));
            };
            let inner = &rest[start + 2..start + 2 + end];
            let called = self.call(inner, arguments, at)?;
            self.count(called.len(), at)?;
            expanded.push_str(&called);
            if expanded.len() > EXPANDED_MAX_B {
                return Err(too_long(at));
            }
            rest = &rest[start + 3 + end..];
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    /// Expands what stands between `$(` and `)`.
    fn call(&mut self, inner: &str, outer: &[String], at: &Spot) -> Result<String, LoadError> {
        self.expansions += 1;
        if self.expansions > EXPANSIONS_MAX {
            return Err(fault(at, "the project expands too many macros"));
        }
        if self.active.len() > DEPTH_MAX {
            return Err(fault(at, "macros are nested too deeply, or without end"));
        }
        // Pushed for nested calls in the arguments too, so that depth is bounded there as well.
        self.active.push(String::new());
        let parts: Result<Vec<String>, LoadError> =
            split(inner).into_iter().map(|part| self.expand_with(part, outer, at)).collect();
        self.active.pop();
        let mut parts = parts?;
        let name = parts.remove(0);
        if let Ok(index) = name.parse::<usize>() {
            return Ok(match index {
                0 => self.active.last().cloned().unwrap_or_default(),
                index => outer.get(index - 1).cloned().unwrap_or_default(),
            });
        }
        match self.variables.get(&name) {
            Some(Variable { text, expanded: Expanded::Already }) => Ok(text.clone()),
            Some(Variable { text, expanded: Expanded::OnUse }) => {
                if parts.is_empty() && self.active.contains(&name) {
                    let reason = format!("the variable `{}` contains itself", shown(&name));
                    return Err(fault(at, reason));
                }
                let text = text.clone();
                self.count(text.len(), at)?;
                self.active.push(name);
                let expanded = self.expand_with(&text, &parts, at);
                self.active.pop();
                expanded
            }
            None => self.built_in(&name, &parts, at),
        }
    }

    /// Counts what was copied.
    fn count(&mut self, size_b: usize, at: &Spot) -> Result<(), LoadError> {
        self.expanded_b += size_b;
        if self.expanded_b > EXPANDED_ALL_MAX_B {
            return Err(fault(at, "the project expands macros to too much text"));
        }
        Ok(())
    }

    fn built_in(
        &mut self,
        name: &str,
        arguments: &[String],
        at: &Spot,
    ) -> Result<String, LoadError> {
        let nothing = Ok(String::new());
        match (name, arguments) {
            ("shell", [_, ..]) => self.run(&arguments.join(","), at),
            ("filename", []) => Ok(at.file.to_string()),
            ("lineno", []) => Ok(at.line.to_string()),
            ("info", [text]) => {
                self.note(at, text);
                nothing
            }
            ("warning-if", [condition, text]) => {
                if condition == "y" {
                    self.note(at, text);
                }
                nothing
            }
            ("error-if", [condition, text]) => {
                if condition == "y" {
                    return Err(LoadError::Stopped { at: at.clone(), message: shown(text) });
                }
                nothing
            }
            ("shell" | "filename" | "lineno" | "info" | "warning-if" | "error-if", _) => {
                Err(fault(at, format!("`{name}` takes another number of arguments")))
            }
            (name, []) => Ok(self.env.get(name).cloned().unwrap_or_default()),
            (name, _) => match self.tool {
                Tool::Conf => Err(fault(at, format!("there is no function `{}`", shown(name)))),
                Tool::Kconfiglib => nothing,
            },
        }
    }

    fn run(&mut self, command: &str, at: &Spot) -> Result<String, LoadError> {
        if let Some(answer) = self.answers.get(command) {
            return Ok(answer.clone());
        }
        let output = self.shell.output(command).map_err(|source| LoadError::Shell {
            at: at.clone(),
            command: shown(command),
            source,
        })?;
        let output = match self.tool {
            Tool::Kconfiglib => output.replace("\r\n", "\n").replace('\r', "\n"),
            Tool::Conf => output,
        };
        let answer = output.trim_end_matches('\n').replace('\n', " ");
        self.answers.insert(command.to_owned(), answer.clone());
        Ok(answer)
    }

    fn note(&mut self, at: &Spot, text: &str) {
        self.notes.push(Note { at: at.clone(), text: shown(text) });
    }
}

/// Where the `)` is that closes what was opened before `text`.
pub(crate) fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return Some(at),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The name at the start of what stands behind a `$`, and its length with braces.
fn plain_name(text: &str) -> (&str, usize) {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.find('}').map_or(("", 0), |end| (&braced[..end], end + 2));
    }
    let other = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let end = text.find(other).unwrap_or(text.len());
    (&text[..end], end)
}

/// The parts between the commas that stand in no parentheses; at least one.
fn split(inner: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    parts
}

fn fault(at: &Spot, reason: impl Into<String>) -> LoadError {
    LoadError::Macro { at: at.clone(), reason: reason.into() }
}

fn too_long(at: &Spot) -> LoadError {
    fault(at, format!("the text would be longer than {EXPANDED_MAX_B} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::{NoShell, ShellRefusal};

    struct Echo;

    impl Shell for Echo {
        fn output(&self, command: &str) -> Result<String, ShellRefusal> {
            Ok(format!("<{command}>\nnext\n\n"))
        }
    }

    fn here() -> Spot {
        Spot { file: "Kconfig".into(), line: 7, column: 1 }
    }

    fn expanded(assignments: &[(&str, Assign, &str)], text: &str) -> Result<String, LoadError> {
        let env = BTreeMap::from([("ENV".to_owned(), "env".to_owned())]);
        let mut macros = Macros::new(Tool::Kconfiglib, &env, &Echo);
        for (name, how, text) in assignments {
            macros.assign(name, *how, text, &here())?;
        }
        macros.expand(text, &here())
    }

    #[test]
    fn variables_are_expanded_when_their_kind_says() {
        let given = [
            ("a", Assign::OnUse, "1"),
            ("late", Assign::OnUse, "$(a)"),
            ("early", Assign::Now, "$(a)"),
            ("a", Assign::OnUse, "2"),
            ("early", Assign::Append, "$(a)"),
            ("new", Assign::Append, "x"),
        ];
        assert_eq!(
            expanded(&given, "$(late) $(early) $(new) $(ENV)$(none)!").unwrap(),
            "2 1 2 x env!"
        );
    }

    #[test]
    fn functions_get_their_arguments_blanks_and_all() {
        let given =
            [("f", Assign::OnUse, "<$(1)|$(2)|$(3)>"), ("g", Assign::OnUse, "$(f,$(2),$(1))")];
        assert_eq!(expanded(&given, "$(g, a ,(b,c))").unwrap(), "<(b,c)| a |>");
        assert_eq!(expanded(&[], "$(filename):$(lineno)").unwrap(), "Kconfig:7");
        assert_eq!(expanded(&[], "$(shell,a b,c)").unwrap(), "<a b,c> next");
    }

    #[test]
    fn what_never_ends_is_an_error() {
        assert!(expanded(&[("a", Assign::OnUse, "$(a)")], "$(a)").is_err());
        assert!(expanded(&[("f", Assign::OnUse, "$(f,$(1)x)")], "$(f,y)").is_err());
        assert!(expanded(&[], &"$(".repeat(10_000)).is_err());
        let nested = format!("{}{}", "$(x".repeat(10_000), ")".repeat(10_000));
        assert!(expanded(&[], &nested).is_err());
        let names: Vec<String> = (0..40).map(|n| format!("v{n}")).collect();
        let texts: Vec<String> = (0..40).map(|n| format!("$(v{0})$(v{0})", n + 1)).collect();
        let mut doubling: Vec<_> = names
            .iter()
            .zip(&texts)
            .map(|(n, t)| (n.as_str(), Assign::OnUse, t.as_str()))
            .collect();
        doubling.push(("v40", Assign::Now, "xxxxxxxx"));
        assert!(expanded(&doubling, "$(v0)").is_err());
    }

    #[test]
    fn programs_are_refused_unless_the_caller_answers() {
        let env = BTreeMap::new();
        let mut macros = Macros::new(Tool::Conf, &env, &NoShell);
        let error = macros.expand("$(shell,touch /tmp/x)", &here()).unwrap_err();
        assert_eq!(error.to_string(), "Kconfig:7:1: cannot run `touch /tmp/x`");
        let stop = macros.expand("$(error-if,y,no compiler)", &here()).unwrap_err();
        assert!(matches!(stop, LoadError::Stopped { .. }));
        assert!(macros.expand("$(error-if,n,no compiler)", &here()).is_ok());
    }
}
