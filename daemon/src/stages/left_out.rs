//! What was asked for and cannot be kept, told in one sentence however much it is.

use std::collections::BTreeSet;
use std::fmt;

/// So many are told by name; who makes millions of them must not fill our memory.
const NAMED_MAX: usize = 10;
/// Characters of a path that are shown.
const SHOWN_MAX: usize = 200;

/// What was left out: the first in the order of their paths, and the number of all.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    named: BTreeSet<(String, &'static str)>,
    number: u64,
}

impl LeftOut {
    /// Adds one; `why` is a verb and what follows it.
    pub(super) fn note(&mut self, path: &str, why: &'static str) {
        self.number += 1;
        self.named.insert((path.to_owned(), why));
        if self.named.len() > NAMED_MAX {
            self.named.pop_last();
        }
    }

    /// All of it for people; `None` where it is nothing.
    pub(super) fn told(&self) -> Option<String> {
        let Self { named, number } = self;
        let all: Vec<_> =
            named.iter().map(|(path, why)| format!("`{}` {why}", shown(path))).collect();
        let more = number.saturating_sub(NAMED_MAX as u64);
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        (*number > 0).then(|| format!("not kept: {}{more}", all.join("; ")))
    }
}

/// A path that the build chose, in one line of bounded length that steers no terminal.
pub(super) fn shown(path: &str) -> impl fmt::Display {
    let escaped = path.escape_debug().to_string();
    match escaped.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}\u{2026}", &escaped[..end]),
        None => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ten_are_named_in_order_and_the_rest_is_counted() {
        let mut left_out = LeftOut::default();
        assert_eq!(left_out.told(), None);
        left_out.note("b\n\x1b\u{9b}\u{202e}", "is a socket");
        left_out.note("a", "is a symbolic link");
        let told = "not kept: `a` is a symbolic link; `b\\n\\u{1b}\\u{9b}\\u{202e}` is a socket";
        assert_eq!(left_out.told().as_deref(), Some(told));
        for number in (10..50).rev() {
            left_out.note(&number.to_string(), "is a socket");
        }
        let told = left_out.told().unwrap();
        assert!(told.contains("`10` is") && told.contains("`19` is") && !told.contains("`20`"));
        assert!(told.ends_with("; and 32 more"), "{told}");
    }

    #[test]
    fn a_long_path_is_cut_between_characters() {
        assert_eq!(shown(&"\u{e9}".repeat(200)).to_string(), "\u{e9}".repeat(200));
        let cut = shown(&"\u{e9}".repeat(4000)).to_string();
        assert_eq!(cut, format!("{}\u{2026}", "\u{e9}".repeat(200)));
    }
}
