//! The help texts of entries.

use std::ops::Range;
use std::sync::Arc;

/// A help text: a part of its file, as indented there.
#[derive(Debug, Clone)]
pub(crate) struct HelpText {
    pub(crate) file: Arc<str>,
    pub(crate) part: Range<usize>,
}

impl HelpText {
    /// The lines as they stand in the file.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.file[self.part.clone()].lines()
    }

    /// The text without the indentation of its first line.
    pub(crate) fn to_text(&self) -> String {
        let mut lines = self.lines().skip_while(|line| line.trim().is_empty()).peekable();
        let first = lines.peek().copied().unwrap_or_default();
        let margin = &first[..first.len() - first.trim_start().len()];
        let outdented = |line: &str| {
            let text = line.strip_prefix(margin).unwrap_or_else(|| line.trim_start());
            text.trim_end().to_owned()
        };
        lines.map(outdented).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_help_text_loses_its_margin_and_keeps_what_is_further_in() {
        let file = "x\n\n\t  First\n\n\t    more\n\t  last  \n";
        let help = HelpText { file: file.into(), part: 2..file.len() };
        assert_eq!(help.to_text(), "First\n\n  more\nlast");
        let none = HelpText { file: file.into(), part: 2..2 };
        assert_eq!(none.to_text(), "");
    }
}
