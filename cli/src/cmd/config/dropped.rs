//! Tells which lines of a configuration came to nothing.

use kbs_kconfig::{Configuration, Departure, Dropped, DroppedWhy, Suggestion};
use serde_json::Value;

use crate::kconfig::{ConfigText, TreeArgs};
use crate::render::{explain, explain_json};
use crate::ui::Ui;

/// Most lines that are told without `--verbose`.
const TOLD_MAX: usize = 10;
/// Most lines that suggestions are looked for.
const SUGGESTED_MAX: usize = 20;

/// A line that came to nothing.
#[derive(Debug)]
struct Loss {
    dropped: Dropped,
    /// What it may have meant.
    suggestions: Vec<Suggestion>,
    /// What became of the symbol.
    past: Vec<Departure>,
    /// Why the symbol is not visible, if that is it.
    obstacles: Vec<String>,
}

/// The lines of a configuration that came to nothing, and what they may have meant.
#[derive(Debug, Default)]
pub(super) struct Losses<'c> {
    config: Option<&'c ConfigText>,
    lines: Vec<Loss>,
}

impl<'c> Losses<'c> {
    /// Looks at what was loaded last, from the files of `tree`.
    pub(super) fn of(
        configuration: &Configuration<'_>,
        config: Option<&'c ConfigText>,
        tree: &TreeArgs,
    ) -> Self {
        let Some(ConfigText { text, .. }) = config else { return Self::default() };
        let mut suggested = 0;
        let dropped = configuration.review(text);
        let left = dropped.iter().filter(|dropped| has_left(dropped)).take(SUGGESTED_MAX);
        let mut pasts = tree.past(left.map(|dropped| dropped.symbol.clone()).collect());
        let lines = dropped.into_iter().map(|dropped| {
            let past = Some(&dropped).filter(|dropped| has_left(dropped));
            let past = past.and_then(|dropped| pasts.remove(&dropped.symbol)).unwrap_or_default();
            let is_asked = matches!(dropped.why, DroppedWhy::Unknown) && suggested < SUGGESTED_MAX;
            suggested += usize::from(is_asked);
            let suggestions =
                if is_asked { configuration.suggestions(&dropped, text) } else { vec![] };
            let hidden = Some(&dropped).filter(|dropped| dropped.why == DroppedWhy::Hidden);
            let seen = hidden.and_then(|dropped| configuration.explain(&dropped.symbol));
            let prompts = seen.into_iter().flat_map(|seen| seen.hidden);
            let obstacles = prompts.flat_map(|prompt| prompt.obstacles);
            let obstacles = obstacles.map(|obstacle| explain::need(&obstacle.need)).collect();
            Loss { dropped, suggestions, past, obstacles }
        });
        Self { config, lines: lines.collect() }
    }

    /// Warns of each line; of many, only of the first.
    pub(super) fn warn(&self, ui: &mut Ui) {
        // What follows from others was never a person's to decide: a saved file is full of it.
        let is_own = |dropped: &Dropped| dropped.why != DroppedWhy::Derived;
        let (own, derived): (Vec<_>, Vec<_>) =
            self.lines.iter().partition(|loss| is_own(&loss.dropped));
        let most = if ui.is_verbose() { usize::MAX } else { TOLD_MAX };
        for loss in own.iter().take(most) {
            ui.warn(&self.told(loss));
        }
        if own.len() > most {
            let rest = own.len() - most;
            ui.warn(&format!("{}: {rest} more lines came to nothing; -v tells them", self.name()));
        }
        for loss in &derived {
            ui.detail(&self.told(loss));
        }
        if !derived.is_empty() && !ui.is_verbose() {
            let lines = match derived.len() {
                1 => "1 line sets".to_owned(),
                count => format!("{count} lines set"),
            };
            let name = self.name();
            ui.say(&format!("{name}: {lines} what follows from others, and is not so here"));
        }
    }

    /// All of them, as JSON.
    pub(super) fn json(&self) -> Vec<Value> {
        self.lines
            .iter()
            .map(|loss| {
                let mut dropped = explain_json::dropped(&loss.dropped, &loss.suggestions);
                dropped["past"] = loss.past.iter().map(explain_json::departure).collect();
                dropped["place"] = self.config.map(|config| config.place(loss.dropped.line)).into();
                dropped
            })
            .collect()
    }

    fn name(&self) -> &str {
        self.config.map_or("", |config| &config.name)
    }

    fn told(&self, loss: &Loss) -> String {
        let Loss { dropped, suggestions, past, obstacles } = loss;
        let Dropped { line, symbol, asked, got, why } = dropped;
        let place = self.config.map(|config| config.place(*line)).unwrap_or_default();
        let beside =
            |line: &usize| self.config.map(|config| config.beside(*line)).unwrap_or_default();
        let asked = asked.as_deref().unwrap_or_default();
        let set = format!("{place}: {symbol}={asked}");
        let got = match got.as_deref() {
            Some("") => ", it is empty".to_owned(),
            Some(got) => format!(", it is {got}"),
            None => String::new(),
        };
        let text = match why {
            DroppedWhy::Unreadable => format!("{place} is no assignment: {symbol}"),
            DroppedWhy::Unknown => format!("{set}: the project defines no such symbol"),
            DroppedWhy::Value(kind) => format!("{set}: that is no value of a {kind}{got}"),
            DroppedWhy::SetAgain { line } => format!("{set}: {} sets it again{got}", beside(line)),
            DroppedWhy::Derived => format!("{set}: nobody is asked for it{got}"),
            DroppedWhy::Hidden => {
                format!("{set}: it is not visible{got}: {}", obstacles.join(", and "))
            }
            DroppedWhy::Limited => format!("{set}: it is visible up to m only"),
            DroppedWhy::Selected => format!("{set}: others select it{got}"),
            DroppedWhy::OutOfRange { low, high } => {
                format!("{set}: that is not in the range {low} to {high}{got}")
            }
            DroppedWhy::OtherMember { chosen, line: Some(line) } => {
                format!("{set}: {} sets {chosen} of the same choice", beside(line))
            }
            DroppedWhy::OtherMember { chosen, line: None } => {
                format!("{set}: its choice has {chosen}")
            }
            DroppedWhy::ChoiceDefault => {
                format!("{set}: it is the default of its choice, in which nothing else is set")
            }
            DroppedWhy::Adjusted => format!("{set}: the project's tool does not take it{got}"),
        };
        let heirs: Vec<_> = past.iter().filter_map(|it| it.successor.as_ref()).collect();
        let is_told = |it: &&Suggestion| heirs.iter().any(|heir| heir.symbol == *it.symbol());
        let others: Vec<_> = suggestions.iter().filter(|it| !is_told(it)).collect();
        let past = past.iter().map(ToString::to_string);
        let perhaps = (!others.is_empty()).then(|| perhaps(&others));
        [text].into_iter().chain(past).chain(perhaps).collect::<Vec<_>>().join("; ")
    }
}

/// Whether the symbol of a line may have been removed or moved.
fn has_left(dropped: &Dropped) -> bool {
    match dropped.why {
        DroppedWhy::Unknown => true,
        DroppedWhy::Hidden => dropped.asked.as_deref() == Some("y"),
        _ => false,
    }
}

fn perhaps(suggestions: &[&Suggestion]) -> String {
    let named = |prompt: &Option<String>| {
        prompt.as_ref().map(|prompt| format!(" (\"{prompt}\")")).unwrap_or_default()
    };
    let all: Vec<_> = suggestions
        .iter()
        .map(|suggestion| match suggestion {
            Suggestion::Similar { symbol, prompt, value: _ } => {
                format!("{symbol}{}", named(prompt))
            }
            Suggestion::Hidden { symbol, prompt } => {
                format!("{symbol}{}, once it is visible", named(prompt))
            }
        })
        .collect();
    format!("perhaps {}", all.join(" or "))
}
