//! Makes text from strangers fit to be shown.

const SHOWN_MAX: usize = 100;

/// `text` on one line that cannot drive a terminal: escaped where needed, cut after 100
/// characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(SHOWN_MAX) {
        if breaks_the_line(c) || reorders(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// `U+2028` and `U+2029` are no control characters, but some readers end a line at them.
pub(crate) fn breaks_the_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether it makes a terminal show the text around it in another order.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_shown_as_it_is_and_the_rest_escaped() {
        assert_eq!(shown("CONFIG_A=\"é\" 'x' \\"), "CONFIG_A=\"é\" 'x' \\");
        assert_eq!(shown("a\x1b[2J\n\u{202e}b"), "a\\u{1b}[2J\\u{a}\\u{202e}b");
        assert_eq!(shown(&"é".repeat(101)), format!("{}…", "é".repeat(100)));
    }
}
