//! Puts together what is asked of a configuration.

use kbs_kconfig::{Assignments, Notation, Place, Strings};
use kbs_plan::recipe::{ConfigureRules, Recipe};
use kbs_plan::spec::{ConfigAsk, ConfigText, SET};
use kbs_source::{Item, ItemKind};

use super::pin::{self, Pinned};
use crate::engine::Engine;
use crate::problem::{EngineError, Problem};

/// Everything asked for, as one configuration.
pub(crate) struct Asked {
    pub(crate) assignments: Assignments,
    /// Lines that had no effect.
    pub(crate) warnings: Vec<String>,
    /// Symbols as a defconfig of this very commit has them: what becomes of those is what the
    /// project means, and never the doing of a configuration from another version.
    pub(crate) accept: Vec<String>,
}

/// Puts together everything asked for, to be written in `notation`.
pub(crate) fn merge(
    engine: &Engine,
    (recipe, rules): (&Recipe, &ConfigureRules),
    ask: &ConfigAsk,
    pinned: &Pinned,
    notation: &Notation,
) -> Result<Asked, Problem> {
    let ConfigAsk { base, defconfig, fragments, set, accept_drift: _ } = ask;
    let mut warnings = Vec::new();
    let mut asked = Assignments::new(notation.clone());
    let named =
        defconfig.as_deref().map(|name| read_defconfig(engine, (recipe, rules), name, pinned));
    let named = named.transpose()?;
    for ConfigText { origin, text } in base.iter().chain(named.iter()).chain(fragments) {
        let (assignments, ignored) = parse(text, origin, notation)?;
        warnings.extend(ignored);
        asked.merge(assignments);
    }
    // A spec spells them the same for all projects.
    let escaped = Notation { strings: Strings::Escaped, ..notation.clone() };
    let prefix = &notation.prefix;
    let single: Vec<_> =
        set.iter().map(|(symbol, value)| format!("{prefix}{symbol}={value}")).collect();
    let (single, ignored) = parse(&single.join("\n"), SET, &escaped)?;
    warnings.extend(ignored);
    asked.merge(single);
    let is_own = |place: &Place| named.as_ref().is_some_and(|named| *place.origin == named.origin);
    let own = asked.iter().filter(|assignment| assignment.place.as_ref().is_some_and(is_own));
    let accept = own.map(|assignment| assignment.symbol.to_string()).collect();
    Ok(Asked { assignments: asked, warnings, accept })
}

/// Reads one text, and tells of the lines that mean nothing.
pub(crate) fn parse(
    text: &str,
    origin: &str,
    notation: &Notation,
) -> Result<(Assignments, Vec<String>), EngineError> {
    let reading = kbs_kconfig::parse(text, origin, notation)
        .map_err(|source| EngineError::Config { source })?;
    let mut warnings: Vec<_> = reading
        .ignored
        .iter()
        .map(|line| {
            format!(
                "{origin}, line {}: not an assignment, without effect: {}",
                line.line, line.text
            )
        })
        .collect();
    if reading.ignored_total > warnings.len() {
        warnings.push(format!("{origin}: {} lines without effect in all", reading.ignored_total));
    }
    Ok((reading.assignments, warnings))
}

fn read_defconfig(
    engine: &Engine,
    (recipe, rules): (&Recipe, &ConfigureRules),
    name: &str,
    pinned: &Pinned,
) -> Result<ConfigText, Problem> {
    let is_file = |kind: &ItemKind| matches!(kind, ItemKind::File { .. });
    let plain =
        !name.is_empty() && !name.contains(['*', '?', '[', '{', '\\']) && !name.starts_with('/');
    for place in rules.defconfigs.iter().filter(|_| plain) {
        let path = place.replace("{}", name);
        let selection = engine.select(pinned.commit, &[path], pin::submodules(recipe))?;
        for Item { path, kind } in &selection.items {
            if let ItemKind::File { oid, .. } = kind {
                let text = String::from_utf8_lossy(&engine.mirror.read(*oid)?).into_owned();
                return Ok(ConfigText { origin: format!("{path} of the project"), text });
            }
        }
    }
    let all: Vec<_> = rules.defconfigs.iter().map(|place| place.replace("{}", "*")).collect();
    let mut known = Vec::new();
    if !all.is_empty() {
        let found = engine.select(pinned.commit, &all, pin::submodules(recipe))?;
        known.extend(
            found.items.iter().filter(|item| is_file(&item.kind)).map(|i| i.path.to_string()),
        );
    }
    let help = if known.is_empty() {
        "this project names no defconfigs; give config.file or config.inline".to_owned()
    } else {
        let shown: Vec<_> = known.iter().take(60).map(String::as_str).collect();
        format!("choose one of {}", shown.join(", "))
    };
    let commit = pinned.commit.to_string();
    Err(EngineError::Defconfig { name: name.to_owned(), commit, help }.into())
}
