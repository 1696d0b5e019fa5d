//! Where the words of a spec's configuration stand.

use std::path::Path;

use kbs_plan::spec::{ConfigAsk, INLINE, SET};
use kbs_proto::pb;
use toml_edit::{Document, Item};

/// The lines of a spec that say something of the configuration.
#[derive(Debug)]
pub(super) struct SpecLines {
    /// What to call the spec.
    name: String,
    /// That on which `inline` begins.
    inline: usize,
    /// Whether each line of its text is a line of the spec.
    is_by_line: bool,
    /// Those of the symbols in `set`, in the order of their names.
    set: Vec<usize>,
}

impl SpecLines {
    /// The lines of the spec `text`, which asks for `config`.
    pub(super) fn of(path: &Path, text: &str, config: &ConfigAsk) -> Self {
        let name = path.display().to_string();
        let mut lines = Self { name, inline: 1, is_by_line: false, set: Vec::new() };
        let Ok(document) = Document::parse(text) else { return lines };
        let line_at = |at: usize| text[..at].matches('\n').count() + 1;
        let table = document.get("config").and_then(Item::as_table_like);
        let find = |key| table.and_then(|table| table.get(key));
        if let Some((span, value)) = find("inline").and_then(|it| it.span().zip(it.as_str())) {
            let written = &text[span.start..span.end];
            // The line break after the quotes is none of the text.
            let first = ["'''\n", "\"\"\"\n"].iter().any(|quotes| written.starts_with(quotes));
            let first = usize::from(first);
            lines.inline = line_at(span.start) + first;
            let breaks = |text: &str| text.matches('\n').count();
            lines.is_by_line = breaks(written) == breaks(value) + first;
        }
        let set = find("set").and_then(Item::as_table_like);
        let line_of = |symbol: &String| {
            let keys = [symbol.clone(), format!("CONFIG_{symbol}")];
            let found = keys.iter().find_map(|key| set?.get_key_value(key))?;
            found.0.span().map(|span| line_at(span.start))
        };
        lines.set = config.set.keys().map(|symbol| line_of(symbol).unwrap_or(1)).collect();
        lines
    }

    /// What to call the line that a daemon names.
    pub(super) fn place(&self, place: &pb::ConfigPlace) -> String {
        let Self { name, inline, is_by_line, set } = self;
        let pb::ConfigPlace { origin, line } = place;
        let index = usize::try_from(*line).unwrap_or(1).saturating_sub(1);
        let (name, line) = match origin.as_str() {
            INLINE if *is_by_line => (name, inline + index),
            INLINE => (name, *inline),
            SET => (name, set.get(index).copied().unwrap_or(1)),
            _ => (origin, index + 1),
        };
        format!("{name}, line {line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbs_plan::spec::Spec;

    fn places(config: &str, origins: &[(&str, u32)]) -> Vec<String> {
        let text = format!(
            "[project]\nrecipe = 'klipper'\ngit = '/x'\nrev = 'v1'\n\n[config]\n{config}\n"
        );
        let read = |_: &str| Ok(String::new());
        let ask = Spec::read(&text, &read, &str::to_owned).unwrap().config.unwrap();
        let lines = SpecLines::of(Path::new("a.toml"), &text, &ask);
        let place = |(origin, line): &(&str, u32)| {
            lines.place(&pb::ConfigPlace { origin: (*origin).to_owned(), line: *line })
        };
        origins.iter().map(place).collect()
    }

    #[test]
    fn lines_of_the_spec_are_told_as_an_editor_counts_them() {
        let inline = [("inline", 1), ("inline", 2)];
        for (text, told) in [
            ("inline = '''\nA=y\nB=y\n'''", [8, 9]),
            ("inline = '''A=y\nB=y\n'''", [7, 8]),
            ("inline = \"\"\"\nA=y\nB=y\n\"\"\"", [8, 9]),
            ("inline = \"A=y\\nB=y\\n\"", [7, 7]),
            ("inline = \"\"\"\nA=y\\n\\\n  B=y\n\"\"\"", [8, 9]),
        ] {
            let told = told.map(|line| format!("a.toml, line {line}"));
            assert_eq!(places(text, &inline), told, "{text}");
        }
        let set = [("config.set", 1), ("config.set", 2)];
        let at = |text| places(text, &set);
        assert_eq!(at("set = { B = true, A = 1 }"), ["a.toml, line 7"; 2]);
        assert_eq!(
            at("[config.set]\nB = true\n# why\nCONFIG_A = 1"),
            ["a.toml, line 10", "a.toml, line 8"]
        );
        assert_eq!(at("set.B = true\nset.A = 1"), ["a.toml, line 8", "a.toml, line 7"]);
        assert_eq!(places("file = 'x'", &[("x", 3)]), ["x, line 3"]);
    }
}
