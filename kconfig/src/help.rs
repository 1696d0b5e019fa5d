//! Help texts of entries.

use std::ops::Range;
use std::sync::Arc;

/// A help text, as a part of the file that it stands in.
#[derive(Debug, Clone)]
pub(crate) struct Help {
    pub(crate) text: Arc<str>,
    pub(crate) part: Range<usize>,
}

impl Help {
    /// The lines as they stand in the file.
    pub(crate) fn raw_lines(&self) -> impl Iterator<Item = &str> {
        self.text[self.part.clone()].lines()
    }

    /// The text without the blanks that all its lines begin with, and without empty lines around.
    pub(crate) fn lines(&self) -> String {
        let lines = || self.raw_lines().map(str::trim_end);
        let least = lines().filter(|line| !line.is_empty()).map(indent).min().unwrap_or_default();
        let mut text = String::with_capacity(self.part.len());
        for line in lines() {
            let depth = indent(line).saturating_sub(least);
            text.extend(std::iter::repeat_n(' ', depth));
            text.push_str(line.trim_start_matches([' ', '\t']));
            text.push('\n');
        }
        text.trim_end().trim_start_matches('\n').to_owned()
    }
}

/// The column of the first character, with tab stops every eight.
pub(crate) fn indent(line: &str) -> usize {
    let mut column = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => column += 1,
            b'\t' => column = column / 8 * 8 + 8,
            _ => break,
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_help_text_keeps_its_shape_and_loses_its_margin() {
        let text = "\n\t  First.\n\n\t    further in\n          last \n\n\n";
        let help = Help { text: text.into(), part: 0..text.len() };
        assert_eq!(help.lines(), "First.\n\n  further in\nlast");
        let nothing = Help { text: "".into(), part: 0..0 };
        assert_eq!(nothing.lines(), "");
    }
}
