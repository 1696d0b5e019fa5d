//! Explanations of symbols, as `--json` prints them.

use kbs_kconfig::{
    Adjustment, Asked, Cause, ChoiceSeen, ChosenBy, CommitSeen, Consequence, DefaultPassed,
    DefaultSeen, DefinedAt, Departure, Dropped, DroppedWhy, Explanation, Fate, Flaw, FlawKind,
    FoundIn, HiddenPrompt, Hit, Must, Need, NeededValue, Obstacle, ObstacleKind, Origin, Selection,
    Selects, Spot, Standing, Successor, Suggestion, Tristate,
};
use serde_json::{Value, json};

/// A place in a file.
fn spot(at: &Spot) -> Value {
    let Spot { file, line, column: _ } = at;
    json!({ "file": &**file, "line": line })
}

/// An explanation.
pub(crate) fn explanation(seen: &Explanation) -> Value {
    let Explanation {
        symbol,
        kind,
        value,
        is_written,
        cause,
        passed,
        adjusted,
        asked,
        definitions,
        visible,
        hidden,
        selects,
        selectors,
        range,
        choice,
        help,
    } = seen;
    let passed = passed.iter().map(|passed| {
        let DefaultPassed { at, value, need } = passed;
        json!({ "at": spot(at), "value": value, "need": self::need(need) })
    });
    let definitions = definitions.iter().map(|defined| {
        let DefinedAt { at, prompt, path } = defined;
        json!({ "at": spot(at), "prompt": prompt, "path": path })
    });
    let hidden = hidden.iter().map(|hidden| {
        let HiddenPrompt { at, prompt, obstacles } = hidden;
        let obstacles: Vec<_> = obstacles.iter().map(obstacle).collect();
        json!({ "at": spot(at), "prompt": prompt, "obstacles": obstacles })
    });
    let range =
        range.as_ref().map(|(low, high, at)| json!({ "low": low, "high": high, "at": spot(at) }));
    let choice = choice.as_ref().map(|choice| {
        let ChoiceSeen { title, at, chosen, members } = choice;
        json!({ "title": title, "at": spot(at), "chosen": chosen, "members": members })
    });
    json!({
        "symbol": symbol,
        "type": kind,
        "value": value,
        "written": is_written,
        "cause": self::cause(cause),
        "passed": passed.collect::<Vec<_>>(),
        "adjusted": adjusted.as_ref().map(adjustment),
        "asked": asked.as_ref().map(self::asked),
        "definitions": definitions.collect::<Vec<_>>(),
        "visible": visible.as_str(),
        "hidden": hidden.collect::<Vec<_>>(),
        "selects": selects.as_ref().map(self::selects),
        "selectors": selectors,
        "range": range,
        "choice": choice,
        "help": help,
    })
}

fn asked(asked: &Asked) -> Value {
    let Asked { value, line } = asked;
    json!({ "value": value, "line": line })
}

fn cause(cause: &Cause) -> Value {
    match cause {
        Cause::Asked(asked) => json!({ "kind": "set", "set": self::asked(asked) }),
        Cause::Default(default) => {
            let DefaultSeen { at, value, condition, because } = default;
            let because =
                because.iter().map(|(symbol, value)| json!({ "symbol": symbol, "value": value }));
            json!({
                "kind": "default",
                "at": spot(at),
                "value": value,
                "condition": condition,
                "because": because.collect::<Vec<_>>(),
            })
        }
        Cause::Selected => json!({ "kind": "selected" }),
        Cause::Implied(by) => {
            json!({ "kind": "implied", "by": by.iter().map(selection).collect::<Vec<_>>() })
        }
        Cause::Chosen(ChosenBy::Asked(asked)) => {
            json!({ "kind": "chosen", "set": self::asked(asked) })
        }
        Cause::Chosen(ChosenBy::Default(at)) => json!({ "kind": "chosen", "default": spot(at) }),
        Cause::Chosen(ChosenBy::First) => json!({ "kind": "chosen" }),
        Cause::NotChosen { chosen } => json!({ "kind": "not-chosen", "chosen": chosen }),
        Cause::Nothing => json!({ "kind": "nothing" }),
    }
}

fn adjustment(adjusted: &Adjustment) -> Value {
    match adjusted {
        Adjustment::Cut(value) => json!({ "kind": "cut", "to": value.as_str() }),
        Adjustment::Promoted => json!({ "kind": "promoted" }),
        Adjustment::Clamped { from } => json!({ "kind": "clamped", "from": from }),
    }
}

fn selection(selection: &Selection) -> Value {
    let Selection { symbol, value, at, condition } = selection;
    json!({
        "symbol": symbol,
        "value": value.as_str(),
        "at": spot(at),
        "condition": condition,
    })
}

fn selects(selects: &Selects) -> Value {
    let Selects { floor, by, chain, origin } = selects;
    let origin = match origin {
        Origin::Asked(asked) => json!({ "kind": "set", "set": self::asked(asked) }),
        Origin::Default(at) => json!({ "kind": "default", "at": spot(at) }),
        Origin::Choice => json!({ "kind": "chosen" }),
        Origin::Implied => json!({ "kind": "implied" }),
        Origin::Unknown => json!({ "kind": "unknown" }),
    };
    json!({
        "floor": floor.as_str(),
        "by": by.iter().map(selection).collect::<Vec<_>>(),
        "chain": chain.iter().map(selection).collect::<Vec<_>>(),
        "origin": origin,
    })
}

fn obstacle(obstacle: &Obstacle) -> Value {
    let Obstacle { what, at, condition, need } = obstacle;
    let (kind, title) = match what {
        ObstacleKind::PromptIf => ("prompt-if", None),
        ObstacleKind::Depends => ("depends", None),
        ObstacleKind::If => ("if", None),
        ObstacleKind::Menu { title } => ("menu", Some(title)),
        ObstacleKind::VisibleIf { title } => ("visible-if", Some(title)),
        ObstacleKind::Choice { title } => ("choice", title.as_ref()),
        ObstacleKind::ChoiceMode { title, mode: _, visible: _ } => ("choice-mode", title.as_ref()),
    };
    json!({
        "kind": kind,
        "title": title,
        "at": spot(at),
        "condition": condition,
        "need": self::need(need),
    })
}

/// What would have to be different.
pub(crate) fn need(need: &Need) -> Value {
    match need {
        Need::All(parts) => json!({ "all": parts.iter().map(self::need).collect::<Vec<_>>() }),
        Need::Any(parts) => json!({ "any": parts.iter().map(self::need).collect::<Vec<_>>() }),
        Need::Never => json!({ "never": true }),
        Need::Value(NeededValue { symbol, is, must, standing, through, follows }) => {
            let (relation, value) = match must {
                Must::AtLeast(value) => (">=", value.as_str().to_owned()),
                Must::AtMost(value) => ("<=", value.as_str().to_owned()),
                Must::Compare { relation, with, with_value } => {
                    (*relation, with_value.clone().unwrap_or_else(|| with.clone()))
                }
            };
            let standing = match standing {
                Standing::Settable => "settable",
                Standing::Hidden => "hidden",
                Standing::Selected => "selected",
                Standing::Derived => "derived",
                Standing::Undefined => "undefined",
            };
            json!({
                "symbol": symbol,
                "is": is,
                "relation": relation,
                "must": value,
                "standing": standing,
                "through": through,
                "follows": follows.as_deref().map(self::need),
            })
        }
    }
}

/// A symbol that has another value.
pub(crate) fn change(change: &Consequence) -> Value {
    let Consequence { symbol, kind, before, after } = change;
    json!({ "symbol": symbol, "type": kind, "before": before, "after": after })
}

/// A line that came to nothing.
pub(crate) fn dropped(dropped: &Dropped, suggestions: &[Suggestion]) -> Value {
    let Dropped { line, symbol, asked, got, why } = dropped;
    let mut value = json!({
        "line": line,
        "symbol": symbol,
        "asked": asked,
        "got": got,
        "why": why_dropped(why),
        "suggestions": suggestions.iter().map(suggestion).collect::<Vec<_>>(),
    });
    match why {
        DroppedWhy::SetAgain { line } => value["again"] = json!(line),
        DroppedWhy::OtherMember { chosen, line } => {
            value["chosen"] = json!({ "symbol": chosen, "line": line });
        }
        DroppedWhy::OutOfRange { low, high } => {
            value["range"] = json!({ "low": low, "high": high });
        }
        _ => {}
    }
    value
}

fn why_dropped(why: &DroppedWhy) -> &'static str {
    match why {
        DroppedWhy::Unreadable => "unreadable",
        DroppedWhy::Unknown => "unknown",
        DroppedWhy::Value(_) => "value",
        DroppedWhy::SetAgain { .. } => "set-again",
        DroppedWhy::Derived => "derived",
        DroppedWhy::Hidden => "hidden",
        DroppedWhy::Limited => "limited",
        DroppedWhy::Selected => "selected",
        DroppedWhy::OutOfRange { .. } => "range",
        DroppedWhy::OtherMember { .. } => "other-member",
        DroppedWhy::ChoiceDefault => "choice-default",
        DroppedWhy::Adjusted => "adjusted",
    }
}

fn suggestion(suggestion: &Suggestion) -> Value {
    match suggestion {
        Suggestion::Similar { symbol, prompt, value } => json!({
            "symbol": symbol.as_str(),
            "prompt": prompt,
            "value": value.as_ref().map(ToString::to_string),
        }),
        Suggestion::Hidden { symbol, prompt } => {
            json!({ "symbol": symbol.as_str(), "prompt": prompt, "hidden": true })
        }
    }
}

/// What became of a symbol.
pub(crate) fn departure(departure: &Departure) -> Value {
    let Departure { symbol, fate, by, prompt, choice, successor } = departure;
    let CommitSeen { commit, day, subject } = by;
    let successor = successor
        .as_ref()
        .map(|Successor { symbol, prompt }| json!({ "symbol": symbol.as_str(), "prompt": prompt }));
    let fate = match fate {
        Fate::Removed => "removed",
        Fate::Moved => "moved",
    };
    json!({
        "symbol": symbol.as_str(),
        "fate": fate,
        "commit": commit,
        "day": day,
        "subject": subject,
        "prompt": prompt,
        "choice": choice,
        "successor": successor,
    })
}

/// A symbol that is not there: what became of it, and what may have been meant.
pub(crate) fn unknown(symbol: &str, past: &[Departure], similar: &[Suggestion]) -> Value {
    json!({
        "symbol": symbol,
        "unknown": true,
        "past": past.iter().map(departure).collect::<Vec<_>>(),
        "suggestions": similar.iter().map(suggestion).collect::<Vec<_>>(),
    })
}

/// A symbol that was found.
pub(crate) fn hit(hit: &Hit, value: &str, visible: Tristate) -> Value {
    let Hit { symbol, kind, prompt, at, found } = hit;
    let (place, text) = match found {
        FoundIn::Name => ("name", None),
        FoundIn::Prompt => ("prompt", None),
        FoundIn::Choice(title) => ("choice", Some(title)),
        FoundIn::Help(line) => ("help", Some(line)),
    };
    json!({
        "symbol": symbol,
        "type": kind,
        "prompt": prompt,
        "at": spot(at),
        "value": value,
        "visible": visible.as_str(),
        "found": place,
        "text": text,
    })
}

/// A mistake in a Kconfig file, with its text.
pub(crate) fn flaw(flaw: &Flaw, text: &str) -> Value {
    let Flaw { at, subject, what } = flaw;
    let mut value = json!({
        "at": spot(at),
        "subject": subject,
        "kind": what.name(),
        "may_be_meant": what.may_be_meant(),
        "text": text,
    });
    if let FlawKind::SelectUnmet { by, need } = what {
        value["by"] = by.iter().map(selection).collect();
        value["need"] = self::need(need);
    }
    value
}
