//! Shows the line of a Kconfig file that an error is about.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use kbs_kconfig::{Files, LoadError, Spot};
use std::error::Error as _;

/// Longest line that is shown, in characters.
const LINE_MAX: usize = 200;

/// The messages of an error, the first with the line that it is about.
pub(super) fn told(error: &LoadError, files: &dyn Files) -> Vec<String> {
    let mut messages = vec![match spot(error) {
        Some(at) => shown(error, at, files).unwrap_or_else(|| error.to_string()),
        None => error.to_string(),
    }];
    messages.extend(error.source().map(ToString::to_string));
    messages
}

/// Where the mistake is, and what it is without the place.
fn spot(error: &LoadError) -> Option<&Spot> {
    match error {
        LoadError::Missing { at, .. }
        | LoadError::Outside { at, .. }
        | LoadError::Read { at, .. } => at.as_ref(),
        LoadError::RecursiveSource { at, .. }
        | LoadError::TooDeep { at, .. }
        | LoadError::Syntax { at, .. }
        | LoadError::Macro { at, .. }
        | LoadError::Stopped { at, .. }
        | LoadError::Shell { at, .. }
        | LoadError::Loop { at, .. } => Some(at),
        _ => None,
    }
}

fn shown(error: &LoadError, at: &Spot, files: &dyn Files) -> Option<String> {
    let content = files.read(&at.file).ok()??;
    let text = String::from_utf8_lossy(&content);
    let number = usize::try_from(at.line).ok()?;
    let line: String = text.lines().nth(number.checked_sub(1)?)?.chars().take(LINE_MAX).collect();
    let message = error.to_string();
    let place = format!("{at}: ");
    let message = message.strip_prefix(&place).unwrap_or(&message);
    // A column may be that of a joined line.
    let start = usize::try_from(at.column).ok()?.saturating_sub(1).min(line.len());
    let start = (0..=start).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    let rest = &line[start..];
    let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let snippet = Snippet::source(line.as_str())
        .path(&*at.file)
        .line_start(number)
        .annotation(AnnotationKind::Primary.span(start..start + word));
    let report = [Level::ERROR.no_name().primary_title(message).element(snippet)];
    let rendered = Renderer::plain().render(&report);
    // The renderer leaves the mark of the level it does not name.
    Some(rendered.trim_start_matches([':', ' ']).to_owned())
}
