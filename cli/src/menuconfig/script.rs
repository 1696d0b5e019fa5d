//! `--script`: what somebody would do in the menu, written down.

use std::path::{Path, PathBuf};

use kbs_kconfig::{Configuration, EntryId, Kconfig};
use kbs_plan::error::{Class, Help};

use super::disk::Disk;
use super::state::{Origin, kept_back};

/// A script, step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Set { symbol: String, value: String },
    Reset { symbol: String },
    Load { path: PathBuf },
    Save { path: Option<PathBuf> },
    SaveMinimal { path: PathBuf },
}

/// A script cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptError {
    /// A step is none of those there are.
    #[error("cannot understand the step `{step}` of the script")]
    Step {
        /// The step.
        step: String,
    },
    /// The project has no such symbol.
    #[error("cannot set {symbol}: the project does not define it")]
    Unknown {
        /// The symbol.
        symbol: String,
        /// Symbols with similar names.
        similar: Vec<String>,
    },
    /// The symbol cannot get the value.
    #[error("cannot set {symbol}: {reason}")]
    Refused {
        /// The symbol.
        symbol: String,
        /// Why.
        reason: String,
        /// What would have to be set before, if that is all there is to it.
        needs: Vec<String>,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `load` or `save`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Help for ScriptError {
    fn class(&self) -> Class {
        match self {
            Self::File { .. } => Class::Environment,
            Self::Step { .. } | Self::Unknown { .. } | Self::Refused { .. } => Class::User,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Step { .. } => Some(
                "write steps as `set SYMBOL=VALUE`, `reset SYMBOL`, `load FILE`, `save`, \
                 `save FILE` and `save-minimal FILE`, with `;` between them"
                    .to_owned(),
            ),
            Self::Unknown { similar, .. } if !similar.is_empty() => {
                Some(format!("did you mean {}?", similar.join(", ")))
            }
            Self::Refused { needs, .. } if !needs.is_empty() => {
                Some(format!("set {} before it", needs.join(" and ")))
            }
            _ => None,
        }
    }
}

impl Script {
    /// Reads a script: steps with `;` or line breaks between them, outside of quotes.
    ///
    /// # Errors
    /// [`ScriptError::Step`].
    pub(crate) fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut steps = Vec::new();
        for step in pieces(text) {
            let step = step.trim();
            if !step.is_empty() {
                let read = read_step(step);
                steps.push(read.ok_or_else(|| ScriptError::Step { step: step.to_owned() })?);
            }
        }
        Ok(Self { steps })
    }

    /// Whether anything is written to a file.
    pub(crate) fn saves(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Save { .. } | Step::SaveMinimal { .. }))
    }
}

/// `text` between `;` and line breaks that are not in quotes.
fn pieces(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if matches!(c, ';' | '\n') && !quoted {
            found.push(String::new());
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        found.last_mut().expect("there is one from the start").push(c);
    }
    found
}

fn read_step(step: &str) -> Option<Step> {
    let (word, rest) = step.split_once(char::is_whitespace).unwrap_or((step, ""));
    let rest = rest.trim();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let bare = |name: &str| name.strip_prefix("CONFIG_").unwrap_or(name).to_owned();
    match word {
        "set" => {
            let (symbol, value) = rest.split_once('=')?;
            let symbol = symbol.trim();
            is_name(symbol).then_some(())?;
            Some(Step::Set { symbol: bare(symbol), value: unquoted(value.trim())? })
        }
        "reset" if is_name(rest) => Some(Step::Reset { symbol: bare(rest) }),
        "load" if !rest.is_empty() => Some(Step::Load { path: rest.into() }),
        "save" => Some(Step::Save { path: (!rest.is_empty()).then(|| rest.into()) }),
        "save-minimal" if !rest.is_empty() => Some(Step::SaveMinimal { path: rest.into() }),
        _ => None,
    }
}

/// A value, without quotes if it has them.
fn unquoted(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let mut text = String::new();
    let mut rest = inner.chars();
    loop {
        match rest.next()? {
            '"' => return rest.as_str().is_empty().then_some(text),
            '\\' => text.push(rest.next()?),
            c => text.push(c),
        }
    }
}

/// Carries a script out; says what was saved where, line by line.
///
/// # Errors
/// [`ScriptError`] of the first step that fails; what steps before it saved stays.
pub(crate) fn run(
    script: &Script,
    kconfig: &Kconfig,
    origin: &Origin,
    disk: Disk,
) -> Result<Vec<PathBuf>, ScriptError> {
    let mut now = kconfig.evaluate();
    if let Some(config) = &origin.text {
        now.load(&config.text);
    }
    let mut saved = Vec::new();
    let mut save = |path: &Path, text: &str| {
        let failed = |source| ScriptError::File { action: "save", path: path.to_owned(), source };
        disk.write(path, text).map_err(failed)?;
        saved.push(path.to_owned());
        Ok(())
    };
    for step in &script.steps {
        match step {
            Step::Set { symbol, value } => set(kconfig, &mut now, symbol, value)?,
            Step::Reset { symbol } => {
                let id = entry(kconfig, &now, symbol)?;
                now.forget(id);
            }
            Step::Load { path } => {
                let failed =
                    |source| ScriptError::File { action: "load", path: path.clone(), source };
                now.load(&Disk::read(path).map_err(failed)?);
            }
            Step::Save { path } => {
                let path = path.as_ref().unwrap_or(&origin.home.path);
                save(path, &origin.home.text_at(path, &now, kconfig))?;
            }
            Step::SaveMinimal { path } => save(path, &now.to_minimal())?,
        }
    }
    Ok(saved)
}

fn set(
    kconfig: &Kconfig,
    now: &mut Configuration<'_>,
    symbol: &str,
    value: &str,
) -> Result<(), ScriptError> {
    let id = entry(kconfig, now, symbol)?;
    // What it is already needs no permission.
    if now.value(symbol).as_deref() == Some(value) {
        return Ok(());
    }
    now.set_asked(id, value).map_err(|refusal| {
        let (reason, needs) = match kept_back(now, symbol) {
            Some((reason, needs)) => (reason, needs),
            None => (refusal.to_string(), Vec::new()),
        };
        ScriptError::Refused { symbol: symbol.to_owned(), reason, needs }
    })
}

fn entry(kconfig: &Kconfig, now: &Configuration<'_>, symbol: &str) -> Result<EntryId, ScriptError> {
    kconfig.entries_of(symbol).first().copied().ok_or_else(|| {
        let similar = now.similar(symbol).iter().map(|one| one.symbol().to_string()).collect();
        ScriptError::Unknown { symbol: symbol.to_owned(), similar }
    })
}
