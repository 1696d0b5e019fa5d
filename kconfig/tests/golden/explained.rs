//! Explanations, held against what happens when they are acted upon.

use std::collections::BTreeSet;

use kbs_kconfig::{
    Cause, Configuration, Explanation, Files, Must, Need, NeededValue, Standing, Tristate,
};

/// Names of the symbols in the files of a project.
pub(crate) fn symbols(files: &dyn Files, paths: &[std::sync::Arc<str>]) -> BTreeSet<String> {
    let texts = paths.iter().filter_map(|path| files.read(path).unwrap());
    texts
        .flat_map(|text| kbs_kconfig::defined_symbols(&String::from_utf8_lossy(&text)))
        .map(|definition| definition.name.to_string())
        .collect()
}

/// What explanations of `symbols` say that is not so.
pub(crate) fn untrue(
    configuration: &Configuration<'_>,
    symbols: &BTreeSet<String>,
    tried: &mut usize,
) -> Vec<String> {
    let explained = symbols.iter().filter_map(|symbol| configuration.explain(symbol));
    explained.filter_map(|seen| wrong(configuration, &seen, tried)).collect()
}

fn wrong(
    configuration: &Configuration<'_>,
    seen: &Explanation,
    tried: &mut usize,
) -> Option<String> {
    let told = |text: &str| Some(format!("{}: {text}: {seen:#?}", seen.symbol));
    let has_prompt = seen.definitions.iter().any(|defined| defined.prompt.is_some());
    if has_prompt && seen.visible == Tristate::No && seen.hidden.is_empty() {
        return told("nothing hides it");
    }
    if seen.hidden.iter().any(|prompt| prompt.obstacles.is_empty()) {
        return told("it has a prompt that nothing hides");
    }
    if (seen.cause == Cause::Selected) && seen.selects.is_none() {
        return told("nothing selects it");
    }
    if let Some(selects) = &seen.selects
        && (selects.chain.is_empty() || selects.by.is_empty())
    {
        return told("nobody is told to select it");
    }
    // Doing what is needed removes what hides the symbol, as far as a person can do it.
    for prompt in &seen.hidden {
        let needs: Option<Vec<_>> =
            prompt.obstacles.iter().map(|obstacle| settings(&obstacle.need)).collect();
        let Some(needs) = needs.map(|needs| needs.concat()) else { continue };
        let mut changed = configuration.clone();
        for (symbol, value) in &needs {
            changed.set(symbol, value).unwrap();
        }
        // One of them may undo another, as members of a choice do.
        let is_done =
            needs.iter().all(|(name, value)| changed.value(name).as_deref() == Some(value));
        if is_done {
            *tried += 1;
            // What was set may have brought new obstacles, but none of these.
            let then = changed.explain(&seen.symbol)?;
            let mut left = then.hidden.iter().flat_map(|prompt| &prompt.obstacles);
            let is_shown = then.visible > seen.visible;
            if !is_shown && left.clone().next().is_none()
                || left.any(|obstacle| prompt.obstacles.contains(obstacle))
            {
                return told(&format!("it stays hidden after {needs:?}"));
            }
        }
    }
    None
}

/// What a person has to set, if that is enough.
fn settings(need: &Need) -> Option<Vec<(String, String)>> {
    match need {
        Need::Value(NeededValue { symbol, must, standing: Standing::Settable, .. }) => {
            let value = match must {
                Must::AtLeast(value) | Must::AtMost(value) => value.as_str().to_owned(),
                Must::Compare { relation: "=", with, with_value: None } => {
                    with.trim_matches('"').to_owned()
                }
                Must::Compare { .. } => return None,
            };
            Some(vec![(symbol.clone(), value)])
        }
        Need::Value(NeededValue { follows: Some(follows), .. }) => settings(follows),
        Need::Value(_) | Need::Never => None,
        Need::All(parts) => {
            parts.iter().map(settings).collect::<Option<Vec<_>>>().map(|parts| parts.concat())
        }
        Need::Any(parts) => parts.iter().find_map(settings),
    }
}
