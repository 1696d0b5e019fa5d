//! Breaks text into lines that fit.

use ratatui::text::Span;

/// The lines of `text`, broken between words where they are wider than `width` cells.
///
/// What follows on the next line stands as far in as the line that it belongs to.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = line.replace('\t', "    ");
        if cells(&line) <= width {
            lines.push(line);
            continue;
        }
        let blank = line.len() - line.trim_start_matches(' ').len();
        let indent = " ".repeat(blank.min(width / 2));
        let mut open = indent.clone();
        let mut is_empty = true;
        for word in line.split_ascii_whitespace() {
            let (have, more) = (cells(&open), cells(word));
            if !is_empty && have + 1 + more > width {
                lines.push(std::mem::replace(&mut open, indent.clone()));
                is_empty = true;
            }
            if !is_empty {
                open.push(' ');
            }
            for c in word.chars() {
                // A word that is wider than the line is broken where it must be.
                if cells(&open) >= width.max(1) {
                    lines.push(std::mem::replace(&mut open, indent.clone()));
                }
                open.push(c);
            }
            is_empty = false;
        }
        lines.push(if is_empty { String::new() } else { open });
    }
    lines
}

/// How many cells `text` takes.
pub(super) fn cells(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_keep_their_margin() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("  one two three", 9), ["  one two", "  three"]);
        assert_eq!(wrap("a\n\nb", 8), ["a", "", "b"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert!(wrap("", 8).is_empty());
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }
}
