//! A large index: rows of many outputs, and a few of them real.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kbs_plan::id::{BlobId, BuildKey, ContentKey, TreeId};
use kbs_plan::path::RelPath;
use kbs_store::{Executable, Filling, IndexRow, OutputRecord, Phase, Store, Usage};

use super::{Args, Bench};
use crate::bench::report::{Figure, Report};
use crate::{Failure, say};

/// So many outputs go into one transaction.
const TOGETHER: u64 = 50_000;
/// So many outputs of the index have files.
const REAL: u64 = 3000;
/// Files of a small output, with their sizes in bytes.
pub(super) const SMALL: [(&str, usize); 3] =
    [("out/klipper.bin", 30_000), ("out/klipper.dict", 8000), ("config", 2000)];
const PROJECTS: [&str; 5] = ["klipper", "kalico", "linux", "u-boot", "seabios"];
/// When everything here was made.
pub(super) const NOW_UNIX_S: u64 = 1_800_000_000;

/// A state directory with many rows.
pub(super) struct Index {
    pub(super) state: PathBuf,
    pub(super) rows: u64,
    blobs: u64,
}

impl Index {
    /// Makes the rows that are not there yet.
    pub(super) fn open(bench: &Bench, args: &Args) -> Result<Self, Failure> {
        let state = args.index.clone().unwrap_or_else(|| bench.path("index"));
        let index = Self { state, rows: args.rows, blobs: args.blobs };
        let store = Store::open(&index.state)?;
        let mut done = store.totals()?.outputs.min(index.rows);
        while done < index.rows {
            say(&format!("filling the index: {done} of {} outputs", index.rows));
            let next = (done + TOGETHER).min(index.rows);
            store.fill((done..next).map(|number| index.filling(number)).collect())?;
            done = next;
        }
        for number in 0..REAL {
            commit_small(&store, number)?;
        }
        Ok(index)
    }

    /// The key of a row.
    pub(super) fn key(number: u64) -> BuildKey {
        BuildKey::of(&number.to_le_bytes())
    }

    /// Keys of outputs that have files.
    pub(super) fn real_keys() -> Vec<BuildKey> {
        (0..REAL).map(small_key).collect()
    }

    /// Rows as large as real ones are.
    pub(super) fn filling(&self, number: u64) -> Filling {
        let key = Self::key(number);
        let blobs = self.blobs * (number + 1) / self.rows - self.blobs * number / self.rows;
        let blobs = (0..blobs).map(|blob| {
            let name = format!("{number}-{blob}");
            (BlobId::of(name.as_bytes()), 1000 + number % 100_000)
        });
        let project = PROJECTS[usize::try_from(number).unwrap_or(0) % PROJECTS.len()];
        let row = IndexRow {
            tree: TreeId::of(key.as_bytes()),
            content: ContentKey::of(key.as_bytes()),
            stored_as: key,
            meta: BlobId::of(key.as_bytes()),
            entries: 6,
            size_b: 300_000,
            created_unix_s: NOW_UNIX_S - number,
            marked: false,
            project: project.to_owned(),
            stored_name: format!("printer-{}", number % 1000),
        };
        Filling { key, row, blobs: blobs.collect(), last_use_unix_s: NOW_UNIX_S + number % 1000 }
    }

    pub(super) fn database_b(&self) -> Result<u64, Failure> {
        Ok(std::fs::metadata(self.state.join("kbs.redb"))?.len())
    }

    pub(super) fn report_size(&self, report: &mut Report) -> Result<(), Failure> {
        let what = format!("database of {}", self.name());
        report.row(&what, Figure::Bytes(self.database_b()?), &[], None);
        Ok(())
    }

    /// How large it is.
    pub(super) fn name(&self) -> String {
        format!("{} outputs and {} blobs", self.rows, self.blobs)
    }
}

fn small_key(number: u64) -> BuildKey {
    BuildKey::of(format!("small {number}").as_bytes())
}

/// Stores a small output of three files that no other has.
pub(super) fn commit_small(store: &Store, number: u64) -> Result<(), Failure> {
    let key = small_key(number);
    if store.lookup(key)?.is_some() {
        return Ok(());
    }
    let mut ingest = store.ingest()?;
    for (name, size_b) in SMALL {
        let bytes = super::tree::bytes(&format!("{name} of {number}"), size_b);
        ingest.file(RelPath::new(name)?, Executable::No, &mut bytes.as_slice())?;
    }
    let record = OutputRecord {
        key,
        content: ContentKey::of(key.as_bytes()),
        name: format!("printer-{number}"),
        project: PROJECTS[0].to_owned(),
        commit: "84104bbb84104bbb84104bbb84104bbb84104bbb".to_owned(),
        asked_ref: "master".to_owned(),
        version: "v0.13.0-730-g84104bbb".to_owned(),
        config: None,
        toolchain: format!("sha256:{}", key.hex()),
        derivation: format!("{{\"number\":{number},\"recipe\":\"{}\"}}", "-".repeat(1500)),
        created_unix_s: NOW_UNIX_S,
        who: "uid 1000".to_owned(),
        phases: vec![Phase { name: "build".to_owned(), took_ms: 1200 }],
        usage: Usage::default(),
        warnings: Vec::new(),
        config_differences: Vec::new(),
        marks: BTreeSet::new(),
    };
    store.commit(&record, ingest.finish()?, None)?;
    Ok(())
}

/// The state directory of a part that needs one of its own.
pub(super) fn fresh(dir: &Path) -> Result<Store, Failure> {
    super::remove(dir)?;
    Ok(Store::open(dir)?)
}
