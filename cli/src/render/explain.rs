//! Explanations of symbols, for people.

use kbs_kconfig::{
    Adjustment, Asked, Cause, ChosenBy, Consequence, DefaultSeen, DefinedAt, Explanation, Must,
    Need, NeededValue, Obstacle, ObstacleKind, Origin, Selection, Selects, Spot, Standing,
    Tristate,
};

use crate::render::screen::plain;

/// Longest condition that is shown whole, in characters.
const CONDITION_MAX: usize = 120;
/// Most of a kind that is listed.
const LIST_MAX: usize = 8;
/// Most defaults that are listed for not holding.
const PASSED_MAX: usize = 4;

/// What to call a line of the configuration that was loaded.
pub(crate) type Place<'a> = &'a dyn Fn(usize) -> String;

/// An explanation on several lines.
pub(crate) fn explanation(seen: &Explanation, place: Place<'_>) -> String {
    let mut rows = Rows::default();
    what(seen, &mut rows);
    rows.add("why", why(seen, place));
    if let Some(adjusted) = &seen.adjusted {
        rows.add("", adjustment(seen, adjusted));
    }
    asked(seen, place, &mut rows);
    for passed in seen.passed.iter().take(PASSED_MAX) {
        let (value, at) = (&passed.value, line(&passed.at));
        rows.add("not", format!("default {value} ({at}): {}", need(&passed.need)));
    }
    if seen.passed.len() > PASSED_MAX {
        rows.add("not", format!("{} more defaults", seen.passed.len() - PASSED_MAX));
    }
    limits(seen, place, &mut rows);
    let value = value_of(seen.kind, Some(&seen.value));
    let absent = if seen.is_written { "" } else { " (not in the .config)" };
    plain(&format!("{}={value}{absent}\n{}", seen.symbol, rows.text()))
}

fn what(seen: &Explanation, rows: &mut Rows) {
    let Explanation { kind, definitions, .. } = seen;
    let prompted = || definitions.iter().filter(|defined| defined.prompt.is_some());
    for DefinedAt { at, prompt, path } in prompted().take(LIST_MAX) {
        let prompt = prompt.as_deref().unwrap_or_default();
        rows.add("what", format!("{kind} \"{prompt}\" ({})", line(at)));
        if !path.is_empty() {
            rows.add("menu", path.join(" > "));
        }
    }
    if prompted().next().is_none() {
        let places: Vec<_> = definitions.iter().map(|defined| line(&defined.at)).collect();
        let places: Vec<_> = places.iter().map(String::as_str).collect();
        rows.add("what", format!("{kind}, nobody is asked ({})", several(&places)));
    }
}

/// What decided the value, as one phrase.
pub(crate) fn why(seen: &Explanation, place: Place<'_>) -> String {
    match &seen.cause {
        Cause::Asked(asked) | Cause::Chosen(ChosenBy::Asked(asked)) => set_by(asked, place),
        Cause::Default(default) => self::default(default),
        Cause::Selected => match &seen.selects {
            Some(selects) => selected(selects, place),
            None => "others select it".to_owned(),
        },
        Cause::Implied(by) => format!("implied by {}", list(by)),
        Cause::Chosen(ChosenBy::Default(at)) => format!("the default of its choice ({})", line(at)),
        Cause::Chosen(ChosenBy::First) => {
            "the first visible member of its choice, in which nobody set anything".to_owned()
        }
        Cause::NotChosen { chosen: Some(chosen) } => format!("its choice has {chosen}"),
        Cause::NotChosen { chosen: None } => "its choice is off".to_owned(),
        Cause::Nothing => "nobody set it, and no default holds".to_owned(),
    }
}

fn default(default: &DefaultSeen) -> String {
    let DefaultSeen { at, value, condition, because } = default;
    let condition = condition.as_ref().map(|text| format!(" if {}", cut(text)));
    let facts: Vec<_> = because.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let facts: Vec<_> = facts.iter().map(String::as_str).collect();
    let facts = match facts.len() {
        0 => String::new(),
        _ => format!(", for {}", several(&facts)),
    };
    let condition = condition.unwrap_or_default();
    format!("default {}{condition} ({}){facts}", cut(value), line(at))
}

fn adjustment(seen: &Explanation, adjusted: &Adjustment) -> String {
    match adjusted {
        Adjustment::Cut(value) => {
            format!("no more than {}, as far as it is visible", value.as_str())
        }
        Adjustment::Promoted => "m became y: it is no module here".to_owned(),
        Adjustment::Clamped { from } => match &seen.range {
            Some((low, high, at)) => {
                format!("brought from {from} into the range {low} to {high} ({})", line(at))
            }
            None => format!("brought from {from} into its range"),
        },
    }
}

/// What a person set, if it is not what the symbol has.
fn asked(seen: &Explanation, place: Place<'_>, rows: &mut Rows) {
    let Some(asked) = &seen.asked else { return };
    if matches!(seen.cause, Cause::Asked(_) | Cause::Chosen(ChosenBy::Asked(_)))
        || asked.value == seen.value
    {
        return;
    }
    let reason = match &seen.cause {
        _ if seen.definitions.iter().all(|defined| defined.prompt.is_none()) => {
            "nobody is asked for it"
        }
        Cause::Selected => "others select it",
        _ if seen.visible == Tristate::No => "it is not visible",
        Cause::NotChosen { .. } => "another member of its choice was set later",
        Cause::Chosen(_) => "nothing else in its choice is set",
        _ if seen.range.is_some() => "it is out of range",
        _ => "the project's tool does not take it",
    };
    rows.add("but", format!("{}, without effect: {reason}", set_by(asked, place)));
}

/// What bounds the values that a person may set.
fn limits(seen: &Explanation, place: Place<'_>, rows: &mut Rows) {
    let hidden: Vec<_> = seen.hidden.iter().filter(|hidden| !hidden.obstacles.is_empty()).collect();
    let label = if seen.visible == Tristate::No { "hidden" } else { "only m" };
    for prompt in hidden.iter().take(LIST_MAX) {
        if hidden.len() > 1 {
            rows.add(label, format!("at {}:", line(&prompt.at)));
        }
        for obstacle in &prompt.obstacles {
            rows.add(label, self::obstacle(obstacle));
        }
    }
    if let Some(selects) = seen.selects.as_ref().filter(|_| seen.cause != Cause::Selected) {
        rows.add("at least", format!("{}: {}", selects.floor.as_str(), selected(selects, place)));
    }
    if !seen.selectors.is_empty()
        && seen.selects.is_none()
        && seen.definitions.iter().all(|defined| defined.prompt.is_none())
    {
        let names: Vec<_> = seen.selectors.iter().map(String::as_str).collect();
        rows.add("through", format!("{} can select it", several(&names)));
    }
    if let (Some((low, high, at)), false) =
        (&seen.range, matches!(seen.adjusted, Some(Adjustment::Clamped { .. })))
    {
        rows.add("range", format!("{low} to {high} ({})", line(at)));
    }
    if let Some(choice) = &seen.choice {
        let title = choice.title.as_ref().map(|title| format!("\"{title}\" "));
        let members: Vec<_> = choice.members.iter().map(String::as_str).collect();
        let (title, at) = (title.unwrap_or_default(), line(&choice.at));
        rows.add("choice", format!("{title}({at}): {}", several(&members)));
    }
}

/// What keeps a prompt from being shown, and where that is written.
pub(crate) fn obstacle(obstacle: &Obstacle) -> String {
    let Obstacle { what, at, condition, need } = obstacle;
    let condition = condition.as_deref().map(cut).unwrap_or_default();
    let title = |title: &Option<String>| {
        title.as_ref().map(|title| format!(" \"{title}\"")).unwrap_or_default()
    };
    let written = match what {
        ObstacleKind::PromptIf => format!("prompt if {condition}"),
        ObstacleKind::Depends => format!("depends on {condition}"),
        ObstacleKind::If => format!("if {condition}"),
        ObstacleKind::Menu { title } => format!("menu \"{title}\" depends on {condition}"),
        ObstacleKind::VisibleIf { title } => format!("menu \"{title}\" visible if {condition}"),
        ObstacleKind::Choice { title: asked } => {
            format!("choice{} if {condition}", title(asked))
        }
        ObstacleKind::ChoiceMode { title: asked, mode, visible: _ } => {
            return format!("the choice{} is {} ({})", title(asked), mode.as_str(), line(at));
        }
    };
    format!("{} ({}: {written})", self::need(need), line(at))
}

/// What would have to be different, as one phrase.
pub(crate) fn need(need: &Need) -> String {
    phrase(need, false)
}

fn phrase(need: &Need, is_inside: bool) -> String {
    let join = |parts: &[Need], word: &str| {
        let shown: Vec<_> = parts.iter().take(LIST_MAX).map(|part| phrase(part, true)).collect();
        let rest = parts.len().saturating_sub(LIST_MAX);
        let rest = if rest > 0 { format!("{word}{rest} more") } else { String::new() };
        let text = format!("{}{rest}", shown.join(word));
        if is_inside { format!("({text})") } else { text }
    };
    match need {
        Need::All(parts) => join(parts, " and "),
        Need::Any(parts) => match none_of(parts) {
            Some(text) => text,
            None => join(parts, " or "),
        },
        Need::Never => "that never holds".to_owned(),
        Need::Value(needed) => needed_value(needed),
    }
}

/// `none of A, B is y`, if that says it all.
fn none_of(parts: &[Need]) -> Option<String> {
    let names = parts.iter().map(|part| match part {
        Need::Value(NeededValue { symbol, is, must: Must::AtLeast(Tristate::Yes), .. })
            if is == "n" =>
        {
            Some(symbol.as_str())
        }
        _ => None,
    });
    let names = names.collect::<Option<Vec<_>>>()?;
    Some(format!("none of {} is y", several(&names)))
}

/// Names, of many only the first.
fn several(names: &[&str]) -> String {
    match names.len().saturating_sub(LIST_MAX) {
        0 => names.join(", "),
        rest => format!("{} and {rest} more", names[..LIST_MAX].join(", ")),
    }
}

fn needed_value(needed: &NeededValue) -> String {
    let NeededValue { symbol, is, must, standing, through, follows } = needed;
    let is = if is.is_empty() { "\"\"" } else { is };
    let text = match must {
        Must::AtLeast(Tristate::Module) => format!("{symbol} is {is}, not m or y"),
        Must::AtLeast(_) => format!("{symbol} is {is}, not y"),
        Must::AtMost(Tristate::Module) => format!("{symbol} is {is}, not n or m"),
        Must::AtMost(_) => format!("{symbol} is {is}, not n"),
        Must::Compare { relation, with, with_value } => {
            let with = match with_value {
                Some(value) => format!("{with} ({value})"),
                None => with.clone(),
            };
            match *relation {
                "=" => format!("{symbol} is {is}, not {with}"),
                "!=" => format!("{symbol} is {is}, which it must not be"),
                relation => format!("{symbol} is {is}, not {relation} {with}"),
            }
        }
    };
    let names: Vec<_> = through.iter().map(String::as_str).collect();
    match standing {
        Standing::Settable => text,
        Standing::Hidden => format!("{text} [hidden itself]"),
        Standing::Derived if through.is_empty() => match follows {
            Some(follows) => format!("{text} [since {}]", phrase(follows, false)),
            None => format!("{text} [nobody is asked for it]"),
        },
        Standing::Derived => format!("{text} [{} can select it]", several(&names)),
        Standing::Selected => format!("{text} [selected by {}]", several(&names)),
        Standing::Undefined => format!("{text} [defined nowhere]"),
    }
}

/// The symbols that a person would have to set, if that is all there is to it.
pub(crate) fn to_set(need: &Need) -> Option<Vec<String>> {
    match need {
        Need::Value(NeededValue { symbol, must, standing: Standing::Settable, .. }) => {
            let value = match must {
                Must::AtLeast(value) | Must::AtMost(value) => value.as_str(),
                Must::Compare { relation: "=", with, with_value: None } => with,
                Must::Compare { .. } => return None,
            };
            Some(vec![format!("{symbol}={value}")])
        }
        Need::Value(NeededValue { follows: Some(follows), .. }) => to_set(follows),
        Need::Value(_) | Need::Never => None,
        Need::All(parts) => {
            let all: Option<Vec<_>> = parts.iter().map(to_set).collect();
            all.map(|parts| parts.concat())
        }
        Need::Any(parts) => parts.iter().find_map(to_set),
    }
}

fn selected(selects: &Selects, place: Place<'_>) -> String {
    let Selects { floor: _, by, chain, origin } = selects;
    let mut text = String::new();
    // From the symbol back to what nothing selects.
    for (index, link) in chain.iter().rev().enumerate() {
        let start = if index == 0 { "selected by " } else { ", which is selected by " };
        text.push_str(start);
        text.push_str(&selection(link));
    }
    let origin = match origin {
        Origin::Asked(asked) => format!(", {}", set_by(asked, place)),
        Origin::Default(at) => format!(", on by default ({})", line(at)),
        Origin::Choice => ", chosen in its choice".to_owned(),
        Origin::Implied => ", implied by others".to_owned(),
        Origin::Unknown => String::new(),
    };
    let others = by.iter().filter(|one| chain.last() != Some(one)).count();
    let others = match others {
        0 => String::new(),
        1 => "; by 1 other, too".to_owned(),
        count => format!("; by {count} others, too"),
    };
    format!("{text}{origin}{others}")
}

fn selection(selection: &Selection) -> String {
    let Selection { symbol, value: _, at, condition } = selection;
    match condition {
        Some(condition) => format!("{symbol} if {} ({})", cut(condition), line(at)),
        None => format!("{symbol} ({})", line(at)),
    }
}

fn list(all: &[Selection]) -> String {
    let shown: Vec<_> = all.iter().take(LIST_MAX).map(selection).collect();
    match all.len().saturating_sub(LIST_MAX) {
        0 => shown.join(", "),
        rest => format!("{} and {rest} more", shown.join(", ")),
    }
}

fn set_by(asked: &Asked, place: Place<'_>) -> String {
    let Asked { value, line } = asked;
    let value = if value.is_empty() { "\"\"" } else { value };
    match line {
        Some(line) => format!("set to {value} by {}", place(*line)),
        None => format!("set to {value}"),
    }
}

/// A place without the column.
pub(crate) fn line(at: &Spot) -> String {
    format!("{}:{}", at.file, at.line)
}

/// What setting something changes, one line each.
pub(crate) fn changes(changes: &[Consequence]) -> String {
    let mut rows = Rows::default();
    for Consequence { symbol, kind, before, after } in changes {
        let (before, after) = (value_of(kind, before.as_deref()), value_of(kind, after.as_deref()));
        rows.add(symbol, format!("{before} -> {after}"));
    }
    plain(&rows.text())
}

/// A value as a `.config` spells it; `-` for none.
pub(crate) fn value_of(kind: &str, value: Option<&str>) -> String {
    match value {
        None => "-".to_owned(),
        Some(text) if kind == "string" => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Some(value) => value.to_owned(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CONDITION_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Labels and texts, the texts aligned; a label that repeats is shown once.
#[derive(Debug, Default)]
struct Rows {
    rows: Vec<(String, String)>,
}

impl Rows {
    fn add(&mut self, label: &str, text: String) {
        self.rows.push((label.to_owned(), text));
    }

    fn text(&self) -> String {
        let width = self.rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let mut last = "";
        let mut lines = Vec::new();
        for (label, text) in &self.rows {
            let shown = if label == last { "" } else { label };
            lines.push(format!("  {shown:width$}  {text}").trim_end().to_owned());
            last = label;
        }
        lines.join("\n")
    }
}
