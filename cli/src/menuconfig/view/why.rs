//! Why a symbol has its value, and what keeps it from another, in words.

use kbs_kconfig::{
    Adjustment, Asked, Cause, ChosenBy, Explanation, Must, Need, NeededValue, ObstacleKind, Origin,
    Selects, Standing, Tristate,
};

use crate::render::screen::plain;

/// Entries of a list that are told; the rest is counted.
const LISTED_MAX: usize = 8;

/// The explanation of a symbol, line by line; fit for a terminal but for its width.
pub(super) fn words(explanation: &Explanation) -> String {
    let Explanation { value, cause, adjusted, visible, hidden, selects, range, passed, .. } =
        explanation;
    let mut lines = vec![cause_words(value, cause)];
    match adjusted {
        Some(Adjustment::Cut(most)) => {
            lines.push(format!("More than {} is not possible at the moment.", most.as_str()));
        }
        Some(Adjustment::Promoted) => lines.push("m became y: there are no modules.".to_owned()),
        Some(Adjustment::Clamped { from }) => {
            lines.push(format!("It would have been {from}, which is out of its range."));
        }
        _ => {}
    }
    if let Cause::Default(default) = cause
        && !default.because.is_empty()
    {
        let because = default.because.iter().map(|(symbol, value)| format!("{symbol}={value}"));
        lines.push(format!("  because {}", listed(because, ", ")));
    }
    if let Some(selects) = selects {
        lines.extend(select_words(selects));
    }
    if *visible == Tristate::No {
        lines.push(String::new());
        if hidden.is_empty() {
            lines.push("Nobody is asked for it.".to_owned());
        }
        for prompt in hidden {
            lines.push(format!("Hidden ({}:{}):", prompt.at.file, prompt.at.line));
            for obstacle in &prompt.obstacles {
                lines.push(format!("  {}", obstacle_words(&obstacle.what)));
                need_lines(&obstacle.need, 2, &mut lines);
            }
        }
    }
    if let Some((low, high, at)) = range {
        lines.push(format!("Range {low} to {high} ({}:{}).", at.file, at.line));
    }
    if let (Cause::Default(_) | Cause::Nothing, false) = (cause, passed.is_empty()) {
        lines.push(String::new());
        lines.push("Defaults that do not hold:".to_owned());
        for default in passed.iter().take(LISTED_MAX) {
            let at = &default.at;
            lines.push(format!("  {} ({}:{}), which needs", default.value, at.file, at.line));
            need_lines(&default.need, 2, &mut lines);
        }
        if passed.len() > LISTED_MAX {
            lines.push(format!("  and {} more", passed.len() - LISTED_MAX));
        }
    }
    plain(&lines.join("\n"))
}

fn cause_words(value: &str, cause: &Cause) -> String {
    match cause {
        Cause::Asked(asked) => format!("{value}: {}.", asked_words(asked)),
        Cause::Default(default) => {
            let condition =
                default.condition.as_ref().map(|c| format!(" if {c}")).unwrap_or_default();
            let at = &default.at;
            format!("{value}: default {}{condition} ({}:{}).", default.value, at.file, at.line)
        }
        Cause::Selected => format!("{value}: other symbols select it."),
        Cause::Implied(by) => {
            let by = by.iter().map(|one| one.symbol.clone());
            format!("{value}: implied by {}.", listed(by, ", "))
        }
        Cause::Chosen(ChosenBy::Asked(asked)) => {
            format!("{value}: chosen; {}.", asked_words(asked))
        }
        Cause::Chosen(ChosenBy::Default(at)) => {
            format!("{value}: chosen by default ({}:{}).", at.file, at.line)
        }
        Cause::Chosen(_) => format!("{value}: the first of its choice that is shown."),
        Cause::NotChosen { chosen: Some(other) } => format!("{value}: {other} is chosen."),
        Cause::NotChosen { chosen: None } => format!("{value}: nothing is chosen."),
        _ => format!("{value}: nobody set it, and no default holds."),
    }
}

fn asked_words(asked: &Asked) -> String {
    match asked.line {
        Some(line) => format!("set to {} by line {line} of the file", asked.value),
        None => format!("set to {} by you", asked.value),
    }
}

fn select_words(selects: &Selects) -> Vec<String> {
    let Selects { floor, by, chain, origin } = selects;
    let mut lines = vec![format!("At least {}, because of:", floor.as_str())];
    for one in by.iter().take(LISTED_MAX) {
        let condition = one.condition.as_ref().map(|c| format!(" if {c}")).unwrap_or_default();
        let at = &one.at;
        lines.push(format!(
            "  {}={} selects it{condition} ({}:{})",
            one.symbol,
            one.value.as_str(),
            at.file,
            at.line
        ));
    }
    if by.len() > LISTED_MAX {
        lines.push(format!("  and {} more", by.len() - LISTED_MAX));
    }
    if let [first, _, ..] = &chain[..] {
        let way = chain.iter().map(|one| one.symbol.clone());
        let why = match origin {
            Origin::Asked(asked) => asked_words(asked),
            Origin::Default(at) => format!("by default ({}:{})", at.file, at.line),
            Origin::Choice => "chosen".to_owned(),
            Origin::Implied => "implied".to_owned(),
            Origin::Unknown => "on".to_owned(),
        };
        lines.push(format!("  by way of {}; {} is {why}", listed(way, " > "), first.symbol));
    }
    lines
}

fn obstacle_words(what: &ObstacleKind) -> String {
    let quoted = |title: &Option<String>| {
        title.as_ref().map_or("the choice".to_owned(), |title| format!("the choice “{title}”"))
    };
    match what {
        ObstacleKind::PromptIf => "its prompt needs".to_owned(),
        ObstacleKind::Depends => "it depends on".to_owned(),
        ObstacleKind::If => "an `if` around it needs".to_owned(),
        ObstacleKind::Menu { title } => format!("the menu “{title}” needs"),
        ObstacleKind::VisibleIf { title } => format!("the menu “{title}” is visible only with"),
        ObstacleKind::Choice { title } => format!("{} needs", quoted(title)),
        ObstacleKind::ChoiceMode { title, mode, .. } => {
            format!("{} is {}, which needs", quoted(title), mode.as_str())
        }
    }
}

/// A need as a tree of lines.
fn need_lines(need: &Need, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let (word, parts) = match need {
        Need::Value(value) => {
            lines.push(format!("{indent}{}", value_words(value)));
            return;
        }
        Need::All(parts) => ("all of", parts),
        Need::Any(parts) => ("one of", parts),
        Need::Never => {
            lines.push(format!("{indent}what never holds"));
            return;
        }
    };
    lines.push(format!("{indent}{word}"));
    for part in parts.iter().take(LISTED_MAX) {
        need_lines(part, depth + 1, lines);
    }
    if parts.len() > LISTED_MAX {
        lines.push(format!("{indent}  and {} more", parts.len() - LISTED_MAX));
    }
}

fn value_words(value: &NeededValue) -> String {
    let NeededValue { symbol, is, must, standing } = value;
    let must = match must {
        Must::AtLeast(Tristate::Yes) => "=y".to_owned(),
        Must::AtLeast(level) => format!(" at least {}", level.as_str()),
        Must::AtMost(Tristate::No) => "=n".to_owned(),
        Must::AtMost(level) => format!(" at most {}", level.as_str()),
        Must::Compare { relation, with, with_value } => {
            let value = with_value.as_ref().map(|v| format!(" ({v})")).unwrap_or_default();
            format!(" {relation} {with}{value}")
        }
    };
    let standing = match standing {
        Standing::Settable => "",
        Standing::Hidden => ", hidden itself",
        Standing::Selected => ", others select it",
        Standing::Derived => ", follows from others",
        Standing::Undefined => ", which does not exist",
    };
    format!("{symbol}{must} (is {is}{standing})")
}

/// The first few of `all`, and how many more there are.
fn listed(all: impl Iterator<Item = String>, between: &str) -> String {
    let all: Vec<String> = all.collect();
    let mut text = all.iter().take(LISTED_MAX).cloned().collect::<Vec<_>>().join(between);
    if all.len() > LISTED_MAX {
        text.extend([format!(" and {} more", all.len() - LISTED_MAX)]);
    }
    text
}
