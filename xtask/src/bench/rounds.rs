//! Timing what is compared so that it shares the machine's moods.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// One thing to measure, once for each round, counted from 0.
pub(crate) struct Contender<'a> {
    measure: Box<dyn FnMut(usize) -> Result<Duration, Failure> + 'a>,
}

impl<'a> Contender<'a> {
    /// A whole process; `command` prepares the round, which is not timed. The name is for messages.
    pub(crate) fn new(
        name: &'a str,
        mut command: impl FnMut(usize) -> Result<Command, Failure> + 'a,
    ) -> Self {
        Self::measured(move |round| time(name, command(round)?))
    }

    /// What measures itself.
    pub(crate) fn measured(measure: impl FnMut(usize) -> Result<Duration, Failure> + 'a) -> Self {
        Self { measure: Box::new(measure) }
    }
}

/// Runs the contenders one after the other, round by round, and returns each one's median.
///
/// The first round warms caches and does not count. Every other round goes through them backwards,
/// so that none always follows the same neighbour.
pub(crate) fn interleave(
    rounds: usize,
    mut contenders: Vec<Contender<'_>>,
) -> Result<Vec<Duration>, Failure> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let took = (contenders[index].measure)(round)?;
            if round > 0 {
                times[index].push(took);
            }
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// Runs one command to its end; its failure is one of the benchmark.
pub(crate) fn time(name: &str, mut command: Command) -> Result<Duration, Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output()?;
    let took = start.elapsed();
    if output.status.success() {
        Ok(took)
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = said.lines().rev().take(15).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Err(format!("{name} failed ({}): {command:?}\n{}", output.status, tail.join("\n")).into())
    }
}

/// The middle one; the mean of the two in the middle where their number is even.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let middle = times.len() / 2;
    match times.len() {
        0 => Duration::ZERO,
        even if even % 2 == 0 => (times[middle - 1] + times[middle]) / 2,
        _ => times[middle],
    }
}

/// What so many of a hundred are not above.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let ms = |list: &[u64]| median(list.iter().copied().map(Duration::from_millis).collect());
        assert_eq!(ms(&[9, 1, 5]), Duration::from_millis(5));
        assert_eq!(ms(&[4, 1, 2, 100]), Duration::from_millis(3));
        assert_eq!(ms(&[]), Duration::ZERO);
    }

    #[test]
    fn percentiles_are_among_the_times() {
        let mut times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut times, 50), Duration::from_millis(101));
        assert_eq!(percentile(&mut times, 99), Duration::from_millis(199));
        assert_eq!(percentile(&mut times[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&mut [], 99), Duration::ZERO);
    }

    #[test]
    fn a_round_that_fails_is_no_measurement() {
        let contender = Contender::new("false", |_| Ok(Command::new("false")));
        assert!(interleave(1, vec![contender]).is_err());
    }
}
