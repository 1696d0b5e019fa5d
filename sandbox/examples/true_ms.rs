//! Prints how long `true` takes from start to exit in a jail: median and 95th percentile.
//!
//! `cargo run -p kbs-sandbox --example true_ms [RUNS [IMAGE]]`. Without an image, the host's own root
//! is taken, which has more entries than most.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs::File,
    io::{Write, stdout},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use kbs_sandbox::{
    Console, Helper, JailPath, JailSpec, Limits, Outcome, Scratch, Step, helper_main_if_asked,
};

fn main() -> Result<(), Box<dyn Error>> {
    helper_main_if_asked();
    let runs = std::env::args().nth(1).map_or(Ok(200), |runs| runs.parse())?;
    let source = tempfile::tempdir()?;
    let spec = JailSpec {
        root: std::env::args().nth(2).unwrap_or_else(|| "/".to_owned()).into(),
        source: Some(source.path().to_owned()),
        inputs: vec![],
        files: vec![],
        steps: vec![Step { argv: vec!["/usr/bin/true".into()], cwd: JailPath::new("/build/src")? }],
        env: BTreeMap::new(),
        limits: Limits::default(),
        scratch: Scratch::Memory,
        sample_every: Duration::from_secs(3),
        without: BTreeSet::new(),
    };
    let helper = Helper::start(&std::env::current_exe()?, None)?;
    let null = || File::options().write(true).open("/dev/null");

    report("jail", runs, || {
        let finished = helper.run(&spec, Console::Log(null()?.into()), |_| {})?.wait()?;
        if finished.outcome == Outcome::Succeeded {
            Ok(())
        } else {
            Err(format!("{finished:?}").into())
        }
    })?;
    if Path::new("/usr/bin/unshare").exists() {
        report("unshare", runs, || {
            let mut unshare = Command::new("/usr/bin/unshare");
            unshare.args(["-Urmpinuf", "--cgroup", "--mount-proc", "/usr/bin/true"]);
            let status = unshare.status()?;
            if status.success() { Ok(()) } else { Err(format!("unshare: {status}").into()) }
        })?;
    }
    report("plain", runs, || Ok(Command::new("/usr/bin/true").status().map(drop)?))
}

fn report(
    name: &str,
    runs: usize,
    mut run: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        took.push(start.elapsed());
    }
    took.sort_unstable();
    let at = |part: usize| took.get((runs * part / 100).min(runs.saturating_sub(1)));
    writeln!(stdout(), "{name:8} median {:?}, p95 {:?}", at(50), at(95))?;
    Ok(())
}
