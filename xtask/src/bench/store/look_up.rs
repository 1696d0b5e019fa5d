//! Look-ups in this process: of rows, and of outputs with a look at their files.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use kbs_plan::id::BuildKey;
use kbs_store::Store;

use super::Bench;
use super::index::Index;
use crate::bench::report::{Figure, Report};
use crate::bench::rounds::{median, percentile};
use crate::{Failure, say};

const BUDGET: &str = "p99 < 100 µs";
/// Look-ups of a kind in one round.
const LOOK_UPS: u64 = 20_000;

/// The middle, and what only one in a hundred is above.
#[derive(Debug, Default)]
struct Spread {
    p50: Vec<Duration>,
    p99: Vec<Duration>,
}

impl Spread {
    fn add(&mut self, mut times: Vec<Duration>) {
        self.p50.push(percentile(&mut times, 50));
        self.p99.push(percentile(&mut times, 99));
    }
}

/// Measures look-ups of keys that are there, of others, and of outputs with files.
pub(super) fn measure(report: &mut Report, bench: &Bench, index: &Index) -> Result<(), Failure> {
    say("look-ups");
    let store = Store::open(&index.state)?;
    let mut sqlite = Sqlite::new(&bench.path("sqlite"), index.rows)
        .inspect_err(|error| report.skip("SQLite as a peer", &error.to_string()))
        .ok();
    let mut peer = Spread::default();
    let [mut present, mut absent, mut real] = [(); 3].map(|()| Spread::default());
    let mut seed = 0;
    let mut random = move || {
        seed += 1;
        let bytes = *BuildKey::of(&u64::to_le_bytes(seed)).as_bytes();
        u64::from_le_bytes(*bytes.first_chunk().expect("it has 32"))
    };
    let real_keys = Index::real_keys();
    for _ in 0..bench.runs {
        let keys = (0..LOOK_UPS).map(|_| Index::key(random() % index.rows)).collect();
        present.add(time_each(keys, &|key| Ok(store.lookup(key)?.is_some()))?);
        if let Some(sqlite) = &mut sqlite {
            sqlite.round(&mut peer)?;
        }
        let keys = (0..LOOK_UPS).map(|_| BuildKey::of(&random().to_be_bytes())).collect();
        absent.add(time_each(keys, &|key| Ok(store.lookup(key)?.is_none()))?);
        let keys = real_keys.clone();
        real.add(time_each(keys, &|key| Ok(store.output(key)?.found().is_some()))?);
    }
    let mut row = |what: &str, times: Vec<Duration>, peer: Vec<Duration>, budget| {
        let peer = (!peer.is_empty()).then(|| ("SQLite, from Python", median(peer).into()));
        report.row(what, median(times), peer.as_slice(), budget);
    };
    row("look-up of a row, median", present.p50, peer.p50, None);
    row("look-up of a row, p99", present.p99, peer.p99, Some(BUDGET));
    row("look-up of what is not there, median", absent.p50, Vec::new(), None);
    row("look-up of what is not there, p99", absent.p99, Vec::new(), Some(BUDGET));
    row("an output with a look at its files, median", real.p50, Vec::new(), None);
    row("an output with a look at its files, p99", real.p99, Vec::new(), Some(BUDGET));
    Ok(())
}

fn time_each(
    keys: Vec<BuildKey>,
    look_up: &dyn Fn(BuildKey) -> Result<bool, Failure>,
) -> Result<Vec<Duration>, Failure> {
    let mut times = Vec::with_capacity(keys.len());
    for key in keys {
        let start = Instant::now();
        let is_right = look_up(key)?;
        times.push(start.elapsed());
        if !is_right {
            return Err(format!("{key} is there, or is not, and should not be so").into());
        }
    }
    Ok(times)
}

/// A table of as many rows as the index of outputs has, which answers once for each line.
const SCRIPT: &str = r#"
import hashlib, random, sqlite3, sys, time
path, rows, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
name = lambda number: hashlib.sha256(str(number).encode()).digest()
database = sqlite3.connect(path)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA cache_size = -65536")
database.execute("CREATE TABLE outputs (key BLOB PRIMARY KEY, row BLOB) WITHOUT ROWID")
database.executemany("INSERT INTO outputs VALUES (?, ?)",
                     ((name(number), name(-number) * 5) for number in range(rows)))
database.commit()
print("ready", flush=True)
for line in sys.stdin:
    keys, times = [name(random.randrange(rows)) for _ in range(count)], []
    for key in keys:
        start = time.perf_counter_ns()
        row = database.execute("SELECT row FROM outputs WHERE key = ?", (key,)).fetchone()
        times.append(time.perf_counter_ns() - start)
        assert row
    times.sort()
    print(times[count // 2], times[count * 99 // 100], flush=True)
"#;

/// What Nix keeps its index in.
struct Sqlite {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Sqlite {
    fn new(path: &Path, rows: u64) -> Result<Self, Failure> {
        say("filling a table of SQLite");
        let mut child = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(path)
            .args([rows.to_string(), LOOK_UPS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("python3 with its sqlite3: {error}"))?;
        let asks = child.stdin.take().ok_or("it has a standard input")?;
        let answers = child.stdout.take().ok_or("it has a standard output")?;
        let mut sqlite = Self { child, asks, answers: BufReader::new(answers) };
        match sqlite.line()?.as_str() {
            "ready\n" => Ok(sqlite),
            said => Err(format!("python3 with its sqlite3 says {said:?}").into()),
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line)
    }

    fn round(&mut self, spread: &mut Spread) -> Result<(), Failure> {
        self.asks.write_all(b"\n")?;
        let line = self.line()?;
        let mut numbers = line.split_ascii_whitespace().map(str::parse).map(Result::ok);
        let (Some(Some(p50)), Some(Some(p99))) = (numbers.next(), numbers.next()) else {
            return Err(format!("python3 says {line:?}").into());
        };
        spread.p50.push(Duration::from_nanos(p50));
        spread.p99.push(Duration::from_nanos(p99));
        Ok(())
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// So many in a second.
pub(super) fn per_second(count: u64, took: Duration) -> Figure {
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are small")]
    Figure::PerSecond(count as f64 / took.as_secs_f64())
}
