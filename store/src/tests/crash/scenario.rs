//! Everything that a store can be told to do, in an order in which each finds something to work on.

use std::convert::Infallible;
use std::error::Error;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kbs_plan::id::{BuildKey, ConfigureKey, ContentKey};

use super::super::{overwrite, path, record};
use super::facts::{Facts, USED, fact, file_line};
use crate::policy::Item;
use crate::{
    Executable, FailureRecord, JobOutcome, JobRow, LogFile, OutputRecord, Repair, Root, RootKind,
    Scope, SourceEntry, SourceKind, Store, Thing, Usage,
};

pub(super) type Outcome = Result<(), Box<dyn Error>>;

/// A state directory that things are done to.
pub(super) struct Stage {
    state: PathBuf,
    store: Option<Store>,
}

impl Stage {
    pub(super) fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), store: None }
    }

    pub(super) fn with(store: Store) -> Self {
        Self { state: store.paths().root().to_owned(), store: Some(store) }
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().expect("the first thing that is done opens it")
    }

    pub(super) fn is_open(&self) -> bool {
        self.store.is_some()
    }

    fn open(&mut self) -> Outcome {
        // Closed before, not when the new one is there.
        drop(self.store.take());
        self.store = Some(Store::open(&self.state)?);
        Ok(())
    }
}

/// One thing that is done and reported.
pub(super) struct Act {
    pub(super) name: &'static str,
    pub(super) run: fn(&mut Stage) -> Outcome,
    /// What is different then.
    pub(super) changes: fn(&mut Facts),
    /// What may be gone until it is done: it is being replaced, or is damaged.
    pub(super) at_stake: &'static [&'static str],
}

const fn act(
    name: &'static str,
    run: fn(&mut Stage) -> Outcome,
    changes: fn(&mut Facts),
    at_stake: &'static [&'static str],
) -> Act {
    Act { name, run, changes, at_stake }
}

const NOTHING: &[&str] = &[];

/// What happens, first to last.
pub(super) const ACTS: &[Act] = &[
    act("open", Stage::open, |_| {}, NOTHING),
    act("commit mcu in a worse sandbox", commit_worse, put_worse, NOTHING),
    act("commit rpi", |s| commit(s, "rpi"), |f| put_output(f, "rpi"), NOTHING),
    act("alias", alias, put_alias, NOTHING),
    act("touch and configure", touch_and_configure, put_configured, NOTHING),
    act("fail", |s| fail(s, "broken"), |f| put_failure(f, "broken"), NOTHING),
    act("name an image", |s| name(s, "arm", "sha256:aa"), |f| put_name(f, "sha256:aa"), NOTHING),
    act("name another", |s| name(s, "arm", "sha256:cc"), |f| put_name(f, "sha256:cc"), NOTHING),
    act("name a third", |s| name(s, "gone", "sha256:bb"), put_gone, NOTHING),
    act("unname", unname, drop_gone, NOTHING),
    act("layer 1", |s| layer(s, 1), |f| put_layer(f, 1), NOTHING),
    act("layer 2", |s| layer(s, 2), |f| put_layer(f, 2), NOTHING),
    act("image 3", |s| image(s, 3), |f| put_image(f, 3), NOTHING),
    act("image 4", |s| image(s, 4), |f| put_image(f, 4), NOTHING),
    act("commit old", |s| commit(s, "old"), |f| put_output(f, "old"), NOTHING),
    act("fail old", |s| fail(s, "old"), |f| put_failure(f, "old"), NOTHING),
    act("replace mcu", |s| commit(s, "mcu"), put_better, &["output mcu", "output again"]),
    act("keep", keep, put_roots, NOTHING),
    act("unkeep", unkeep, drop_root, NOTHING),
    act("record jobs", record_jobs, put_jobs, NOTHING),
    act("remove", remove, drop_removed, NOTHING),
    act("sweep", |s| Ok(s.store().sweep().map(drop)?), |_| {}, NOTHING),
    act("damage", damage, |_| {}, &["output rpi", "output mcu", "output again"]),
    act("repair", repair, |_| {}, &["output rpi", "output mcu", "output again"]),
    act("open again", Stage::open, |_| {}, NOTHING),
    act("commit late", |s| commit(s, "late"), |f| put_output(f, "late"), NOTHING),
];

/// What is there when the first `done` acts are.
pub(super) fn facts_after(done: usize) -> Facts {
    let mut facts = Facts::new();
    ACTS[..done].iter().for_each(|act| (act.changes)(&mut facts));
    facts
}

pub(super) fn key(name: &str) -> BuildKey {
    BuildKey::of(name.as_bytes())
}

/// Large enough that a file system that shares bytes does.
fn shared() -> Vec<u8> {
    b"every output has this".repeat(300)
}

fn firmware(name: &str) -> Vec<u8> {
    format!("firmware of {name}").into_bytes()
}

fn commit(stage: &mut Stage, name: &str) -> Outcome {
    commit_as(stage.store(), &record(name))
}

pub(super) fn commit_as(store: &Store, record: &OutputRecord) -> Outcome {
    let mut ingest = store.ingest()?;
    let bin = firmware(&record.name);
    ingest.file(path("out/fw.bin"), Executable::No, &mut bin.as_slice())?;
    ingest.file(path("out/run"), Executable::Yes, &mut shared().as_slice())?;
    ingest.file(path("dict"), Executable::No, &mut shared().as_slice())?;
    ingest.symlink(path("latest"), "out/fw.bin".to_owned())?;
    let tree = ingest.finish()?;
    store.commit(record, tree, Some(log(store, &record.name)?))?;
    Ok(())
}

fn log(store: &Store, name: &str) -> Result<LogFile, Box<dyn Error>> {
    let mut writer = store.log_writer(1 << 20)?;
    writeln!(writer, "CC {name}")?;
    Ok(writer.finish()?)
}

pub(super) fn told(name: &str, marks: &[&str]) -> String {
    let mut lines = [
        "0555 /".to_owned(),
        "0555 out/".to_owned(),
        file_line(0o444, "dict", &shared()),
        file_line(0o444, "out/fw.bin", &firmware(name)),
        file_line(0o555, "out/run", &shared()),
        "latest -> out/fw.bin".to_owned(),
    ];
    lines.sort();
    format!("{}\nlog {:?} marks {marks:?}", lines.join("\n"), Some(format!("CC {name}\n")))
}

fn put_output(facts: &mut Facts, name: &str) {
    facts.insert(format!("output {name}"), told(name, &[]));
}

const MARK: &str = "no-landlock";

fn commit_worse(stage: &mut Stage) -> Outcome {
    let mut record = record("mcu");
    record.marks.insert(MARK.to_owned());
    commit_as(stage.store(), &record)
}

fn put_worse(facts: &mut Facts) {
    facts.insert("output mcu".to_owned(), told("mcu", &[MARK]));
}

fn alias(stage: &mut Stage) -> Outcome {
    let mut record = record("again");
    record.content = ContentKey::of(b"mcu");
    stage.store().alias(&record, key("mcu"))?;
    Ok(())
}

fn put_alias(facts: &mut Facts) {
    facts.insert("output again".to_owned(), told("mcu", &[MARK]));
}

/// What equals the one that is replaced goes with it.
fn put_better(facts: &mut Facts) {
    put_output(facts, "mcu");
    facts.remove("output again");
}

/// A use is durable with the next transaction.
fn touch_and_configure(stage: &mut Stage) -> Outcome {
    stage.store().touch(Thing::Output(key("rpi")), USED + 1)?;
    Ok(stage.store().remember_configured(ConfigureKey::of(b"mcu"), b"CONFIG_X=y\n")?)
}

fn put_configured(facts: &mut Facts) {
    facts.insert(format!("configured {}", ConfigureKey::of(b"mcu")), "CONFIG_X=y\n".to_owned());
    facts.insert(format!("use of {}", key("rpi")), (USED + 1).to_string());
}

fn fail(stage: &mut Stage, name: &str) -> Outcome {
    record_failure(stage.store(), name)
}

pub(super) fn record_failure(store: &Store, name: &str) -> Outcome {
    let record = FailureRecord {
        key: key(name),
        name: name.to_owned(),
        project: "klipper".to_owned(),
        commit: "84104bbb".to_owned(),
        asked_ref: "master".to_owned(),
        version: "v1".to_owned(),
        derivation: "{}".to_owned(),
        reason: format!("{name} failed"),
        created_unix_s: 1_800_000_000,
        who: String::new(),
        phases: Vec::new(),
        usage: Usage::default(),
    };
    store.record_failure(&record, Some(log(store, name)?))?;
    Ok(())
}

pub(super) fn told_failure(name: &str) -> String {
    format!("{name} failed log {:?}", Some(format!("CC {name}\n")))
}

fn put_failure(facts: &mut Facts, name: &str) {
    facts.insert(format!("failure {name}"), told_failure(name));
}

fn name(stage: &mut Stage, name: &str, digest: &str) -> Outcome {
    Ok(stage.store().set_image_name(name, digest)?)
}

fn unname(stage: &mut Stage) -> Outcome {
    stage.store().remove_image_name("gone")?;
    Ok(())
}

fn put_name(facts: &mut Facts, digest: &str) {
    facts.insert("image name arm".to_owned(), digest.to_owned());
}

fn put_gone(facts: &mut Facts) {
    facts.insert("image name gone".to_owned(), "sha256:bb".to_owned());
}

fn drop_gone(facts: &mut Facts) {
    facts.remove("image name gone");
}

fn layer(stage: &mut Stage, number: u8) -> Outcome {
    store_layer(stage.store(), [number; 32], &number.to_string())
}

pub(super) fn store_layer(store: &Store, name: [u8; 32], text: &str) -> Outcome {
    let script = SourceKind::File { executable: Executable::Yes };
    let plain = SourceKind::File { executable: Executable::No };
    let entries = [
        SourceEntry { path: path("src/main.c"), kind: plain },
        SourceEntry { path: path("build.sh"), kind: script },
        SourceEntry { path: path("to"), kind: SourceKind::Symlink { target: "src".to_owned() } },
        SourceEntry { path: path("empty"), kind: SourceKind::Directory },
    ];
    let bytes = [firmware(text), shared(), Vec::new(), Vec::new()];
    let read = |number: usize| Ok::<_, Infallible>(bytes[number].clone());
    let layer = store.ingest_layer(name, &entries, &read, 17)?;
    Ok(store.record_layers(vec![layer])?)
}

fn put_layer(facts: &mut Facts, number: u8) {
    facts.insert(fact("layer", [number; 32]), told_layer(&number.to_string()));
}

pub(super) fn told_layer(text: &str) -> String {
    let mut lines = [
        "0755 /".to_owned(),
        "0755 src/".to_owned(),
        "0755 empty/".to_owned(),
        file_line(0o644, "src/main.c", &firmware(text)),
        file_line(0o755, "build.sh", &shared()),
        "to -> src".to_owned(),
    ];
    lines.sort();
    lines.join("\n")
}

/// Puts an image where its maker puts it, and has it adopted.
fn image(stage: &mut Stage, number: u8) -> Outcome {
    let layout = stage.store().paths();
    let (place, waiting) = (layout.image([number; 32]), layout.scratch().join("image"));
    if !place.exists() {
        let rootfs = waiting.join("rootfs");
        fs::create_dir_all(rootfs.join("bin"))?;
        for (name, bytes, mode) in [
            ("bin/make", shared(), 0o755),
            ("bin/sh", firmware(&number.to_string()), 0o755),
            ("etc", b"data".to_vec(), 0o644),
        ] {
            let file = rootfs.join(name);
            fs::write(&file, bytes)?;
            fs::set_permissions(&file, Permissions::from_mode(mode))?;
            crate::disk::set_mtime(&file)?;
        }
        std::os::unix::fs::symlink("bin/sh", rootfs.join("sh"))?;
        crate::disk::set_mtime(&rootfs.join("sh"))?;
        fs::rename(&waiting, &place)?;
    }
    Ok(stage.store().adopt_image([number; 32], 18)?)
}

fn put_image(facts: &mut Facts, number: u8) {
    let mut lines = [
        "0755 /".to_owned(),
        "0755 bin/".to_owned(),
        file_line(0o755, "bin/make", &shared()),
        file_line(0o755, "bin/sh", &firmware(&number.to_string())),
        file_line(0o644, "etc", b"data"),
        "sh -> bin/sh".to_owned(),
    ];
    lines.sort();
    facts.insert(fact("image", [number; 32]), lines.join("\n"));
}

fn keep(stage: &mut Stage) -> Outcome {
    let store = stage.store();
    let row = store.lookup(key("rpi"))?.expect("it was committed");
    let output = store.paths().output(row.stored_as, &row.stored_name);
    let link = store.paths().root().with_file_name("link");
    if link.symlink_metadata().is_err() {
        std::os::unix::fs::symlink(output, &link)?;
    }
    let link = link.into_os_string().into_string().expect("the tests have plain paths");
    for (name, kind) in
        [("kept", RootKind::Named), ("let go", RootKind::Named), (&link, RootKind::Link)]
    {
        let name = name.to_owned();
        store.add_root(&Root { name, kind, key: key("rpi"), created_unix_s: 1_800_000_000 })?;
    }
    Ok(())
}

fn put_roots(facts: &mut Facts) {
    for name in ["kept", "let go", "link"] {
        facts.insert(format!("root {name}"), key("rpi").to_string());
    }
}

fn unkeep(stage: &mut Stage) -> Outcome {
    stage.store().remove_root("let go")?;
    Ok(())
}

fn drop_root(facts: &mut Facts) {
    facts.remove("root let go");
}

pub(super) fn job(name: &str) -> JobRow {
    JobRow {
        who: "uid 1000".to_owned(),
        asked_unix_s: 1_800_000_000,
        key: None,
        name: name.to_owned(),
        outcome: JobOutcome::Reused,
        took_ms: 4,
    }
}

/// So is a job that is noted.
fn record_jobs(stage: &mut Stage) -> Outcome {
    stage.store().note_job(job("noted"))?;
    Ok(stage.store().record_jobs(&[job("recorded")])?)
}

fn put_jobs(facts: &mut Facts) {
    for name in ["noted", "recorded"] {
        facts.insert(format!("job {name}"), "uid 1000".to_owned());
    }
}

fn remove(stage: &mut Stage) -> Outcome {
    let items = [
        Item::Thing(Thing::Output(key("old")), Vec::new()),
        // Rooted, so it stays.
        Item::Thing(Thing::Output(key("rpi")), Vec::new()),
        Item::Thing(Thing::Layer([2; 32]), Vec::new()),
        Item::Thing(Thing::Image([4; 32]), Vec::new()),
        Item::Failure(key("old")),
    ];
    stage.store().remove(&items, 1_800_000_100)?;
    Ok(())
}

fn drop_removed(facts: &mut Facts) {
    facts.remove("output old");
    facts.remove("failure old");
    facts.remove(&fact("layer", [2; 32]));
    facts.remove(&fact("image", [4; 32]));
}

/// Spoils the plain file of the bytes that all outputs have; a copy that may be run stays.
fn damage(stage: &mut Stage) -> Outcome {
    let store = stage.store();
    let row = store.lookup(key("rpi"))?.expect("it was committed");
    let mut bytes = shared();
    bytes[7] ^= 1;
    overwrite(&store.paths().output(row.stored_as, &row.stored_name).join("dict"), &bytes);
    Ok(())
}

fn repair(stage: &mut Stage) -> Outcome {
    stage.store().verify(Scope::Whole, Repair::Yes, &mut |_| true)?;
    Ok(())
}
