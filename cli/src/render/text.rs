//! Sizes, times and lines for people.

use std::time::Duration;

use kbs_plan::quantity::ByteSize;
use kbs_proto::pb;

/// A command as one can type it.
pub(crate) fn command_line(argv: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    let quoted = argv.iter().map(|word| {
        if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// A span of time, as in `0.12 s` or `3 min 20 s`.
pub(crate) fn span(span: Duration) -> String {
    match span.as_secs() {
        0..60 => format!("{:.2} s", span.as_secs_f64()),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A number of bytes, as in `412 B` or `3.2 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).rounded().to_string()
}

/// A number of things, as in `1 file` or `3 files`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// What a build used, in one line.
pub(crate) fn usage(usage: &pb::Usage) -> String {
    let pb::Usage {
        user_ms,
        system_ms,
        memory_peak_b,
        pids_peak,
        scratch_peak_b,
        scratch_files_peak,
        accounting: _,
    } = usage;
    let cpu = span(Duration::from_millis(user_ms + system_ms));
    let mut parts = vec![format!("CPU {cpu}"), format!("memory {}", size(*memory_peak_b))];
    if *pids_peak > 0 {
        parts.push(format!("{pids_peak} processes"));
    }
    if *scratch_files_peak > 0 {
        parts.push(format!("scratch {} in {scratch_files_peak} files", size(*scratch_peak_b)));
    }
    parts.join(", ")
}

/// Seconds since 1970 as `2026-11-20 22:50`, UTC; `never` for 0.
pub(crate) fn time(unix_s: u64) -> String {
    if unix_s == 0 {
        return "never".to_owned();
    }
    let (year, month, day) = date(unix_s / 86_400);
    let minute = unix_s / 60;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minute / 60 % 24, minute % 60)
}

/// The Gregorian date so many days after 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March have their leap day last; 400 of them are 146 097 days.
    let day = days + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

/// The first digits of an id, enough to tell it from others and to ask for it again.
pub(crate) fn short(id: &str) -> &str {
    let digits = id.rsplit_once(':').map_or(id, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

/// Bytes that arrive in pieces, given out in whole lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

/// A line without an end is given out in pieces of this size.
const LINE_MAX_B: usize = 64 << 10;

impl Lines {
    /// Adds bytes and returns the lines that are whole now, without their ends.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.rest.len() >= LINE_MAX_B {
                lines.extend(self.take());
            }
        }
        lines
    }

    /// What is left of a line that has no end.
    pub(crate) fn take(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.rest);
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_means_the_same_words() {
        let argv = ["make", "-j4", "KCFLAGS=-g -O0", "it's", "", "$(x)"].map(str::to_owned);
        let line = command_line(&argv);
        assert_eq!(line, "make -j4 'KCFLAGS=-g -O0' 'it'\\''s' '' '$(x)'");
    }

    #[test]
    fn quantities_read_well() {
        assert_eq!(span(Duration::from_millis(124)), "0.12 s");
        assert_eq!(span(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(span(Duration::from_mins(90)), "1 h 30 min");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (1, "1970-01-01 00:00"),
            (951_782_400, "2000-02-29 00:00"),
            (1_709_251_199, "2024-02-29 23:59"),
            (1_735_689_599, "2024-12-31 23:59"),
            (4_107_542_400, "2100-03-01 00:00"),
        ];
        for (unix_s, text) in cases {
            assert_eq!(time(unix_s), text);
        }
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let text = "eins\nzw\u{f6}lf\n\nrest";
        for at in 0..text.len() {
            let mut lines = Lines::default();
            let mut all = lines.push(&text.as_bytes()[..at]);
            all.extend(lines.push(&text.as_bytes()[at..]));
            all.extend(lines.take());
            assert_eq!(all, text.split('\n').collect::<Vec<_>>(), "cut at {at}");
        }
    }
}
