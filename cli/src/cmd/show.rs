//! `kbs show`.

use kbs_proto::pb;
use serde_json::Value;

use super::Session;
use crate::error::{CliError, remote};
use crate::exit::Exit;
use crate::key::KeyText;
use crate::render::screen::plain;
use crate::render::text::time;
use crate::ui::Format;

/// Show everything that is known of a key
///
/// Its derivation and files, what it took and what it used, who asked for it and when, what keeps it,
/// and whether what it was made of is still here.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// A key, 4 or more of its first digits, or the path of an output or of a link to one
    key: String,
}

/// Runs `kbs show`.
///
/// # Errors
/// What the daemon answered.
pub(crate) async fn run(args: ShowArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    let key = args.key.parse::<KeyText>()?.to_wire();
    let daemon = session.daemon().await?;
    let reply = daemon.builds().show(pb::ShowRequest { key }).await.map_err(remote)?;
    let pb::ShowReply { json } = reply.into_inner();
    let facts: Value = serde_json::from_str(&json).map_err(|error| {
        CliError::host("cannot read what the daemon answered", &error)
            .with_help("use a kbs of the same version as the daemon")
    })?;
    match session.ui.format {
        Format::Json => session.ui.json(&facts)?,
        Format::Text => {
            let mut lines = Vec::new();
            outline(&facts, 0, &mut lines);
            session.ui.data(&plain(&lines.join("\n")))?;
        }
    }
    Ok(Exit::Done)
}

/// Names and values, one pair per line, nested ones indented, lists with dashes.
fn outline(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            let shown = |name: &String| name.trim_end_matches("_unix_s").len();
            let width = fields.keys().map(shown).max().unwrap_or(0);
            for (name, value) in fields {
                if is_nested(value) {
                    lines.push(format!("{indent}{}", name.escape_debug()));
                    outline(value, depth + 1, lines);
                } else {
                    let value = match (name.strip_suffix("_unix_s"), value.as_u64()) {
                        (Some(_), Some(unix_s)) => time(unix_s),
                        _ => leaf(value),
                    };
                    let name = name.trim_end_matches("_unix_s").escape_debug().to_string();
                    lines.push(format!("{indent}{name:width$}  {value}"));
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                if is_nested(item) {
                    lines.push(format!("{indent}-"));
                    outline(item, depth + 1, lines);
                } else {
                    lines.push(format!("{indent}- {}", leaf(item)));
                }
            }
        }
        other => lines.push(format!("{indent}{}", leaf(other))),
    }
}

/// Whether a value needs lines of its own.
fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
        _ => false,
    }
}

fn leaf(value: &Value) -> String {
    match value {
        Value::Null | Value::Object(_) => "-".to_owned(),
        // A line break in a file name must not look like another line of ours.
        Value::String(text) => text.replace('\n', "\\n"),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(leaf).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_outlined() {
        let facts = serde_json::json!({
            "key": "key:00",
            "last_use_unix_s": 951_782_400,
            "derivation": { "goals": ["all", "x"], "config": null, "env": {} },
            "files": [{ "path": "a", "size_b": 3 }, { "path": "b", "size_b": 4 }],
        });
        let mut lines = Vec::new();
        outline(&facts, 0, &mut lines);
        insta::assert_snapshot!(lines.join("\n"), @r"
        derivation
          config  -
          env     -
          goals   all x
        files
          -
            path    a
            size_b  3
          -
            path    b
            size_b  4
        key         key:00
        last_use    2000-02-29 00:00
        ");
    }
}
