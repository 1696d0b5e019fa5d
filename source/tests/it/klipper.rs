//! A real history, if there is one at hand: `KBS_TEST_KLIPPER=/path/to/klipper`.

use std::path::Path;
use std::time::Instant;

use kbs_source::{Abbrev, CommitId, Existing, ItemKind, Mirror, PathPatterns, Submodules};

use crate::fixture::{Numbers, git, project, url};

const SAMPLES: usize = 300;
const FIRMWARE: [&str; 6] = [
    "Makefile",
    "src",
    "lib",
    "scripts/buildcommands.py",
    "scripts/check-gcc.sh",
    "klippy/msgproto.py",
];

#[test]
#[expect(clippy::disallowed_methods, reason = "a test is asked for by the environment")]
fn klipper_is_read_as_git_reads_it() {
    let Ok(clone) = std::env::var("KBS_TEST_KLIPPER") else {
        eprintln!("SKIPPED: set KBS_TEST_KLIPPER to a clone of Klipper to compare with git on it");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("git");
    let mirror = Mirror::open_or_init(&store).unwrap();
    let p = project("klipper");
    mirror.add(&p, &url(Path::new(&clone)), Existing::Keep).unwrap();
    let started = Instant::now();
    mirror.sync(&p, 1, &mut |_| {}).unwrap();
    eprintln!("sync {:?}", started.elapsed());

    // What an upstream clone has: the heads and tags under their own names.
    let upstream = dir.path().join("upstream");
    git(dir.path(), &["init", "-q", "--bare", "upstream"]);
    let specs = ["refs/heads/klipper/*:refs/heads/*", "refs/tags/klipper/*:refs/tags/*"];
    let fetch = ["fetch", "-q", "--no-tags", store.to_str().unwrap(), specs[0], specs[1]];
    git(&upstream, &[&["-c", "fetch.unpackLimit=1"][..], &fetch].concat());

    for (rev, expected) in [
        ("84104bbbd7625d28b4eaaad83f4562972460ecd9", "v0.13.0-730-g84104bbbd"),
        ("v0.13.0", "v0.13.0-0-g61c0c8d2e"),
    ] {
        let commit = mirror.resolve(&p, rev).unwrap().commit;
        assert_eq!(mirror.describe(&p, commit, Abbrev::Auto).unwrap(), expected);
    }
    let listed = git(&upstream, &["rev-list", "--all"]);
    let commits: Vec<&str> = listed.lines().collect();
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    let samples: Vec<&str> = (0..SAMPLES).map(|_| commits[numbers.below(commits.len())]).collect();
    compare_describe(&mirror, &upstream, &samples);
    compare_history(&mirror, &upstream, &samples[..60]);
    compare_selection(&mirror, &upstream, &samples[..20]);
    measure(&store);
}

fn compare_describe(mirror: &Mirror, upstream: &Path, samples: &[&str]) {
    let arguments = [&["describe", "--always", "--tags", "--long"][..], samples].concat();
    let theirs = git(upstream, &arguments);
    assert_eq!(theirs.lines().count(), samples.len());
    for (sample, theirs) in samples.iter().zip(theirs.lines()) {
        let commit = mirror.resolve(&project("klipper"), sample).unwrap().commit;
        let ours = mirror.describe(&project("klipper"), commit, Abbrev::Auto).unwrap();
        assert_eq!(ours, theirs);
        assert_eq!(mirror.resolve(&project("klipper"), theirs).unwrap().commit, commit);
    }
}

fn compare_history(mirror: &Mirror, upstream: &Path, samples: &[&str]) {
    let paths = PathPatterns::new(FIRMWARE).unwrap();
    for sample in samples {
        let log = ["log", "-1", "--format=%H", sample, "--"];
        let theirs = git(upstream, &[&log[..], &FIRMWARE].concat());
        let commit = sample.parse().unwrap();
        let ours = mirror.last_touching(&project("klipper"), commit, &paths);
        match ours {
            Ok(ours) => assert_eq!(ours.to_string(), theirs, "{sample}"),
            Err(error) => assert_eq!(theirs, "", "{error}"),
        }
    }
}

fn compare_selection(mirror: &Mirror, upstream: &Path, samples: &[&str]) {
    for sample in samples {
        for chosen in [&[][..], &FIRMWARE] {
            let listing = ["ls-tree", "-r", sample, "--"];
            let mut theirs: Vec<String> = git(upstream, &[&listing[..], chosen].concat())
                .lines()
                .map(str::to_owned)
                .collect();
            let paths = PathPatterns::new(chosen).unwrap();
            let selection =
                mirror.select(sample.parse().unwrap(), &paths, Submodules::Ignore).unwrap();
            let ours = selection.items.iter().map(|item| match &item.kind {
                ItemKind::File { oid, executable } => {
                    let mode = if *executable { "100755" } else { "100644" };
                    format!("{mode} blob {oid}\t{}", item.path)
                }
                other => panic!("{}: {other:?}", item.path),
            });
            let mut ours: Vec<String> = ours.collect();
            ours.sort();
            theirs.sort();
            assert_eq!(ours, theirs, "{sample}");
        }
    }
}

/// Prints what the first and the later calls of a process cost.
fn measure(store: &Path) {
    let p = project("klipper");
    let paths = PathPatterns::new(FIRMWARE).unwrap();
    let started = Instant::now();
    let mirror = Mirror::open_or_init(store).unwrap();
    eprintln!("open {:?}", started.elapsed());
    let head: CommitId = mirror.resolve(&p, "master").unwrap().commit;
    for round in ["cold", "warm"] {
        let timed = |what: &str, work: &dyn Fn()| {
            let started = Instant::now();
            work();
            eprintln!("{round} {what} {:?}", started.elapsed());
        };
        timed("resolve master", &|| assert!(mirror.resolve(&p, "master").is_ok()));
        let old = "0d67d9c45d2dc39f8b4be7d1bb54b94b2698a2b6";
        timed("resolve a sha", &|| assert!(mirror.resolve(&p, old).is_ok()));
        timed("resolve 9 digits", &|| assert!(mirror.resolve(&p, "84104bbbd").is_ok()));
        timed("describe", &|| drop(mirror.describe(&p, head, Abbrev::Auto).unwrap()));
        timed("select the firmware", &|| {
            drop(mirror.select(head, &paths, Submodules::Ignore).unwrap());
        });
        timed("select everything", &|| {
            let all = PathPatterns::everything();
            drop(mirror.select(head, &all, Submodules::Ignore).unwrap());
        });
        timed("last touching", &|| assert!(mirror.last_touching(&p, head, &paths).is_ok()));
        timed("staleness", &|| assert!(mirror.is_stale(&p).is_ok()));
    }
}
