//! What a power cut leaves: a copy of the device has what the disk had at that time.

use std::any::Any;
use std::convert::Infallible;
use std::fs;
use std::process::Command;

use kbs_plan::id::BlobId;

use super::file_systems::{Mounted, noise, run};
use super::{path, record};
use crate::{Executable, Ingested, NewLayer, Repair, Scope, SourceEntry, SourceKind, Store};

const KINDS: [&[&str]; 3] = [&["mkfs.btrfs", "-q"], &["mkfs.xfs", "-q"], &["mkfs.ext4", "-q"]];

/// Does `work` on file systems of all kinds, cuts the power while what it returns lives, and looks at
/// what is there then.
#[expect(clippy::print_stderr, reason = "nobody may think that this was tried")]
fn cut(work: &dyn Fn(&Store) -> Box<dyn Any>, look: &dyn Fn(&Store)) {
    for mkfs in KINDS {
        let mounted = match Mounted::make(mkfs, 512 << 20) {
            Ok(mounted) => mounted,
            Err(why) => {
                eprintln!("SKIPPED a power cut on {}: {why}", mkfs[0]);
                continue;
            }
        };
        let store = Store::open(&mounted.place.join("state")).unwrap();
        rustix::fs::syncfs(fs::File::open(&mounted.place).unwrap()).unwrap();
        let held = work(&store);
        let copy = mounted.dir.path().join("copy");
        run(Command::new("cp").arg(mounted.image()).arg(&copy)).unwrap();
        drop((held, store));
        // Two file systems of one identity cannot be mounted beside each other.
        let elsewhere = tempfile::tempdir().unwrap();
        fs::rename(copy, elsewhere.path().join("image")).unwrap();
        drop(mounted);
        let mounted = Mounted::at(elsewhere).unwrap();
        let store = Store::open(&mounted.place.join("state")).unwrap();
        let seen = store.verify(Scope::Whole, Repair::No, &mut |_| true).unwrap();
        assert_eq!(seen.findings, [], "{}", mkfs[0]);
        look(&store);
    }
}

fn layer(store: &Store, name: u8, files: usize, bytes: &[u8]) -> NewLayer {
    let kind = SourceKind::File { executable: Executable::No };
    let entries: Vec<_> = (0..files)
        .map(|it| SourceEntry { path: path(&format!("d{it}/main.c")), kind: kind.clone() })
        .collect();
    let read = |_| Ok::<_, Infallible>(bytes.to_vec());
    store.ingest_layer([name; 32], &entries, &read, 17).unwrap()
}

fn output(store: &Store, bytes: &[u8]) -> Ingested {
    let mut ingest = store.ingest().unwrap();
    let mut bytes = bytes;
    ingest.file(path("out/fw.bin"), Executable::No, &mut bytes).unwrap();
    ingest.finish().unwrap()
}

#[test]
fn layers_survive_that_were_recorded_and_others_are_unknown() {
    // Of few files each is synced by itself.
    for files in [1, 70] {
        let work = |store: &Store| -> Box<dyn Any> {
            let layers =
                vec![layer(store, 1, files, &noise(1)[..1 << 20]), layer(store, 2, files, b"x")];
            let other = layer(store, 3, files, b"other");
            store.record_layers(layers).unwrap();
            Box::new(other)
        };
        cut(&work, &|store| {
            let is_there = |name| store.layer([name; 32]).unwrap().is_some();
            assert_eq!([1, 2, 3].map(is_there), [true, true, false]);
        });
    }
}

#[test]
fn a_layer_that_is_made_again_is_unknown_until_it_is_recorded() {
    let work = |store: &Store| -> Box<dyn Any> {
        store.record_layers(vec![layer(store, 1, 3, &noise(1))]).unwrap();
        Box::new(layer(store, 1, 3, &noise(1)))
    };
    cut(&work, &|store| assert!(store.layer([1; 32]).unwrap().is_none()));
}

#[test]
fn an_output_survives_that_shares_with_what_was_not_committed() {
    for of_layer in [false, true] {
        let work = |store: &Store| -> Box<dyn Any> {
            let bytes = noise(1);
            let layer = of_layer.then(|| layer(store, 1, 2, &bytes));
            let first = (!of_layer).then(|| output(store, &bytes));
            store.commit(&record("mcu"), output(store, &bytes), None).unwrap();
            Box::new((layer, first))
        };
        cut(&work, &|store| {
            let row = store.output(record("mcu").key).unwrap().found().unwrap();
            assert!(fs::read(store.output_path(&row).join("out/fw.bin")).unwrap() == noise(1));
            assert!(store.blob_bytes(BlobId::of(&noise(1))).unwrap() == noise(1));
        });
    }
}
