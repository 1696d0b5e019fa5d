//! What normalising did to a configuration: what is refused, what is told.

use kbs_kconfig::{
    Assignments, Change, Definition, PastSearch, Pattern, Prefix, Suggestion, Symbol,
};
use kbs_plan::recipe::ConfigureRules;
use kbs_source::{CommitId, ItemKind, Mirror, Selection};

use super::past;
use crate::engine::Engine;
use crate::problem::{EngineError, Problem};

/// A configuration before and after it was normalised.
pub(crate) struct Comparison<'a> {
    pub(crate) asked: &'a Assignments,
    pub(crate) normalised: &'a Assignments,
    /// Symbols whose change the person accepts.
    pub(crate) accept: &'a [String],
    /// The version that was asked for, for messages.
    pub(crate) version: &'a str,
    /// What symbols begin with.
    pub(crate) prefix: &'a Prefix,
    /// Finds the symbols that the project's Kconfig files define.
    pub(crate) definitions: &'a dyn Fn() -> Result<Vec<Definition>, Problem>,
    /// Where the history of symbols is that are not there any more: of this commit.
    pub(crate) history: (&'a Mirror, CommitId),
}

/// Refuses a configuration that came to mean another device, and tells of lesser changes.
pub(crate) fn judge(
    rules: &ConfigureRules,
    comparison: &Comparison<'_>,
) -> Result<Vec<String>, Problem> {
    let Comparison { asked, normalised, accept, version, prefix, definitions, history } =
        comparison;
    let symbol = |source| EngineError::Symbol { source };
    let identity = rules.identity.iter().map(|name| Pattern::new(name).map_err(symbol));
    let identity = identity.collect::<Result<Vec<_>, _>>()?;
    let accept = accept.iter().map(|name| Symbol::new(name).map_err(symbol));
    let accept = accept.collect::<Result<Vec<_>, _>>()?;
    let drift = kbs_kconfig::drift(asked, normalised, &identity, &accept);
    if drift.is_empty() {
        return Ok(Vec::new());
    }
    let defined = definitions()?;
    if !drift.refused.is_empty() {
        let (mirror, commit) = *history;
        let gone = drift.refused.iter().filter(|change| change.got.is_none());
        let gone = gone.map(|change| change.symbol.clone()).collect();
        let past = past::search(mirror, commit, gone, &defined);
        let told = |change: &Change| {
            let past = past.of(&change.symbol);
            let past = past.iter().map(|departure| format!("\n    {departure}"));
            format!("  {}{}", describe(change, prefix), past.collect::<String>())
        };
        let changes: Vec<_> = drift.refused.iter().map(told).collect();
        let help = advise(&drift.refused, (&defined, &past), normalised, prefix);
        let version = (*version).to_owned();
        return Err(EngineError::Drift { version, changes: changes.join("\n"), help }.into());
    }
    // A saved configuration also lists symbols that nobody can set; losing those is no news.
    let settable = |change: &&Change| {
        let mut all = defined.iter().filter(|known| known.name == change.symbol).peekable();
        all.peek().is_none() || all.any(|known| known.prompt.is_some())
    };
    let lesser = drift.changed.iter().chain(&drift.dropped);
    Ok(lesser.filter(settable).map(|change| describe(change, prefix)).collect())
}

fn describe(change: &Change, prefix: &Prefix) -> String {
    let Change { symbol, asked, got } = change;
    match got {
        Some(got) => format!("{prefix}{symbol}: asked {asked}, is {got}"),
        None => format!("{prefix}{symbol}: asked {asked}, is not there"),
    }
}

fn advise(
    refused: &[Change],
    (defined, past): (&[Definition], &PastSearch<'_>),
    normalised: &Assignments,
    prefix: &Prefix,
) -> String {
    const ADVICE_MAX: usize = 4;
    let set = |symbol: &Symbol, prompt: Option<&String>| {
        let prompt = prompt.map(|prompt| format!(" ({prompt})")).unwrap_or_default();
        format!("set {prefix}{symbol}{prompt}")
    };
    let mut advice: Vec<String> = Vec::new();
    for Change { symbol, asked, got: _ } in refused {
        // What the project itself made of it is the best guess of all.
        let departure = past.of(symbol).pop();
        if let Some(heir) = departure.and_then(|departure| departure.successor) {
            let mut there = defined.iter().filter(|known| known.name == heir.symbol).peekable();
            if there.peek().is_some() {
                let line = set(&heir.symbol, there.find_map(|known| known.prompt.as_ref()));
                if !advice.contains(&line) && advice.len() < ADVICE_MAX {
                    advice.push(line);
                }
            }
        }
        for suggestion in kbs_kconfig::suggest(symbol, asked, defined, normalised) {
            let line = match suggestion {
                Suggestion::Similar { symbol, prompt, value: _ } => set(&symbol, prompt.as_ref()),
                Suggestion::Hidden { symbol, prompt: _ } => {
                    format!("{prefix}{symbol} still exists, but what it depends on is not set")
                }
            };
            if !advice.contains(&line) && advice.len() < ADVICE_MAX {
                advice.push(line);
            }
        }
    }
    let names: Vec<_> = refused.iter().map(|change| change.symbol.to_string()).collect();
    let accept =
        format!("accept the change with `--accept-drift {}`", names.join(" --accept-drift "));
    if advice.is_empty() {
        return format!("make the configuration again for this version, or {accept}");
    }
    format!("{}; or {accept}", advice.join("; "))
}

/// The symbols that the Kconfig files among `selection` define.
pub(crate) fn definitions(
    engine: &Engine,
    selection: &Selection,
) -> Result<Vec<Definition>, Problem> {
    let mut all = Vec::new();
    for item in &selection.items {
        let is_kconfig = past::is_kconfig(item.path.file_name().as_bytes());
        if let (true, ItemKind::File { oid, .. }) = (is_kconfig, &item.kind) {
            let bytes = engine.mirror.read(*oid)?;
            all.extend(kbs_kconfig::defined_symbols(&String::from_utf8_lossy(&bytes)));
        }
    }
    Ok(all)
}
