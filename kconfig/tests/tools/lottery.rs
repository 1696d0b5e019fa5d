//! Makes configurations that nobody would write.

/// Numbers that look random and are the same in each run (xorshift).
pub(crate) struct Lottery(u64);

impl Lottery {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Drops, changes, repeats and moves lines of `text`, and adds lines about `symbols`.
    pub(crate) fn disturb(&mut self, text: &str, symbols: &[String]) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let drop_one_in = [2, 3, 5, 20, 1000][self.below(5)];
        lines.retain(|_| !self.once_in(drop_one_in));
        let change_one_in = [3, 10, 50, 1000][self.below(4)];
        for line in &mut lines {
            if self.once_in(change_one_in) {
                *line = self.changed(line);
            }
        }
        for _ in 0..[0, 1, 5, 30, 200][self.below(5)] {
            let symbol = &symbols[self.below(symbols.len())];
            let value = self.value();
            let at = self.below(lines.len() + 1);
            lines.insert(
                at,
                match value.as_str() {
                    "n" => format!("# CONFIG_{symbol} is not set"),
                    value => format!("CONFIG_{symbol}={value}"),
                },
            );
        }
        let text = lines.join("\n") + "\n";
        if self.once_in(2) { self.shuffled(&text) } else { text }
    }

    /// The lines of `text` in another order.
    pub(crate) fn shuffled(&mut self, text: &str) -> String {
        let mut lines: Vec<&str> = text.lines().collect();
        for at in (1..lines.len()).rev() {
            lines.swap(at, self.below(at + 1));
        }
        lines.join("\n") + "\n"
    }

    fn changed(&mut self, line: &str) -> String {
        let name = line.strip_prefix("# ").unwrap_or(line);
        let name = name.split([' ', '=']).next().unwrap_or_default();
        match self.value().as_str() {
            "n" => format!("# {name} is not set"),
            value => format!("{name}={value}"),
        }
    }

    fn value(&mut self) -> String {
        match self.below(16) {
            0..=5 => "y".to_owned(),
            6..=8 => "n".to_owned(),
            9 => "m".to_owned(),
            10 => format!("{}", self.below(400_000)),
            11 => format!("{:#x}", self.below(1 << 28)),
            12 => "-5".to_owned(),
            13 => "\"te\\\\xt \\\" #\"".to_owned(),
            14 => "yes".to_owned(),
            _ => "0X1F".to_owned(),
        }
    }
}
