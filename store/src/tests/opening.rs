//! Which directories are taken, which are refused, and what opening leaves of them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use kbs_plan::error::{Class, Help as _};
use kbs_plan::id::BuildKey;

use super::{Lab, firmware, log, names_in, record};
use crate::row::Ending;
use crate::tables::SCHEMA;
use crate::{OpenError, Store};

fn refusal(state: &Path) -> OpenError {
    let error = Store::open(state).unwrap_err();
    assert_eq!(error.class(), Class::Environment);
    assert!(error.help().is_some(), "{error}");
    error
}

#[test]
fn a_missing_directory_is_made_private() {
    let lab = Lab::new();
    let store = lab.open();
    let mode = fs::metadata(&lab.state).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    assert!(store.paths().root().is_absolute());
    for dir in store.paths().directories() {
        assert!(dir.is_dir(), "{}", dir.display());
    }
}

#[test]
fn a_directory_that_others_may_enter_is_refused() {
    let lab = Lab::new();
    drop(lab.open());
    for mode in [0o755, 0o750, 0o701] {
        fs::set_permissions(&lab.state, Permissions::from_mode(mode)).unwrap();
        let error = refusal(&lab.state);
        assert!(matches!(error, OpenError::Mode { mode: found, .. } if found == mode));
        assert!(error.help().unwrap().contains("chmod 700"));
    }
    fs::set_permissions(&lab.state, Permissions::from_mode(0o700)).unwrap();
    lab.open();
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let lab = Lab::new();
    drop(lab.open());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&lab.state, Some(4321), None).unwrap();
        let error = refusal(&lab.state);
        assert!(matches!(error, OpenError::Owner { owner_uid: 4321, .. }));
    } else {
        assert!(matches!(refusal(Path::new("/")), OpenError::Owner { owner_uid: 0, .. }));
    }
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let lab = Lab::new();
    fs::create_dir_all(&lab.state).unwrap();
    fs::set_permissions(&lab.state, Permissions::from_mode(0o700)).unwrap();
    fs::write(lab.state.join("thesis.tex"), "x").unwrap();
    assert!(matches!(refusal(&lab.state), OpenError::Foreign { .. }));
    assert_eq!(names_in(&lab.state), ["thesis.tex"]);

    let file = lab.state.join("thesis.tex");
    assert!(matches!(refusal(&file), OpenError::Directory { .. }));
}

#[test]
fn a_marker_is_completed_or_refused() {
    let lab = Lab::new();
    drop(lab.open());
    let marker = lab.state.join("kbs-state");
    let text = fs::read_to_string(&marker).unwrap();
    // Killed after making it, or the power went while it was written.
    for begun in ["", "kbs st"] {
        fs::write(&marker, begun).unwrap();
        drop(lab.open());
        assert_eq!(fs::read_to_string(&marker).unwrap(), text);
    }
    fs::write(&marker, "kbs state directory, layout 2\nmore\n").unwrap();
    let error = refusal(&lab.state);
    assert!(error.to_string().ends_with("`kbs state directory, layout 2`"), "{error}");
}

#[test]
fn the_second_to_open_is_told_who_was_first() {
    let lab = Lab::new();
    let store = lab.open();
    let ours = std::process::id();
    let error = refusal(&lab.state);
    assert!(matches!(error, OpenError::InUse { pid: Some(pid), .. } if pid == ours), "{error:?}");
    drop(store);
    lab.open();
}

#[test]
fn scratch_is_swept_and_its_links_are_not_followed() {
    let lab = Lab::new();
    drop(lab.open());
    let kept = lab.state.join("images/kept");
    fs::write(&kept, "x").unwrap();
    let work = lab.state.join("scratch/work/deep");
    fs::create_dir_all(&work).unwrap();
    symlink(lab.state.join("images"), work.join("link")).unwrap();
    for dir in [&work, &lab.state.join("scratch/work")] {
        fs::set_permissions(dir, Permissions::from_mode(0o555)).unwrap();
    }
    let store = lab.open();
    assert!(names_in(&store.paths().scratch()).is_empty());
    assert!(kept.exists());
}

#[test]
fn a_newer_schema_is_refused() {
    let lab = Lab::new();
    let store = lab.open();
    let play = |txn: &redb::WriteTransaction| {
        txn.open_table(SCHEMA)?.insert("version", 3)?;
        Ok(())
    };
    store.db.write("play the future", play).unwrap();
    drop(store);
    let error = refusal(&lab.state);
    assert!(matches!(error, OpenError::Schema { found: 3, known: 2, .. }));
    assert!(error.help().unwrap().contains("a newer one"));
}

#[test]
fn a_damaged_database_is_refused_and_made_again_when_asked() {
    let lab = Lab::new();
    let store = lab.open();
    let tree = firmware(&store, "mcu");
    let row = store.commit(&record("mcu"), tree, Some(log(&store, "CC\n"))).unwrap();
    let mut other = record("mcu");
    other.key = BuildKey::of(b"same content, other commit");
    let alias = store.alias(&other, row.record.key).unwrap();
    let broken = firmware(&store, "broken");
    let broken = store.commit(&record("broken"), broken, None).unwrap();
    super::overwrite(&store.output_path(&broken).join("out/fw.bin"), b"firmware of brokeN");
    let database = store.paths().database();
    drop(store);

    let sound = fs::read(&database).unwrap();
    let mut no_magic = sound.clone();
    no_magic[..64].fill(0);
    let mut no_header = sound.clone();
    no_header[..4096].fill(0xa5);
    // redb opens this one, and panics when it reads.
    let mut no_pages = sound.clone();
    no_pages[4096..].fill(0xa5);
    for (what, bytes) in [
        ("without pages", &no_pages[..]),
        ("cut in the header", &sound[..100]),
        ("cut in the middle", &sound[..sound.len() / 2]),
        ("without magic", &no_magic),
        ("without header", &no_header),
        ("something else", b"SQLite format 3\0 and so on".as_slice()),
    ] {
        fs::write(&database, bytes).unwrap();
        let error = refusal(&lab.state);
        assert!(matches!(error, OpenError::Damaged { .. }), "{what}: {error:?}");
        assert!(error.help().unwrap().contains("kbs store rebuild-index"));
        assert_eq!(fs::read(&database).unwrap(), bytes, "what is refused is left as it was");

        let store = Store::open_rebuilt(&lab.state).unwrap();
        assert_eq!(store.output(row.record.key).unwrap().found().unwrap(), row, "{what}");
        assert_eq!(store.output(alias.record.key).unwrap().found().unwrap(), alias);
        assert_eq!(store.by_content(row.record.content).unwrap(), Some(row.record.key));
        assert!(store.output(broken.record.key).unwrap().found().is_none());
        assert!(store.read_log(row.record.key, Ending::Succeeded, 0).unwrap().is_some());
        drop(store);
        assert_eq!(fs::read(lab.state.join("kbs.redb.replaced")).unwrap(), bytes);
    }
    fs::remove_file(&database).unwrap();
    assert_eq!(lab.open().output(row.record.key).unwrap().found().unwrap(), row);
}

/// "The database can be made again from [the files]"; what is damaged is left out.
#[test]
fn damaged_image_names_do_not_stop_a_rebuild() {
    let lab = Lab::new();
    let store = lab.open();
    store.set_image_name("arm", "sha256:09").unwrap();
    let names = store.paths().image_names();
    drop(store);
    fs::write(names, "").unwrap();
    fs::write(lab.state.join("kbs.redb"), "damaged").unwrap();
    let rebuilt = Store::open_rebuilt(&lab.state);
    assert!(rebuilt.is_ok(), "{:?}", rebuilt.unwrap_err());
}

/// "The daemon by itself after it was killed": unless somebody made the index again in between.
#[test]
fn after_a_kill_the_litter_is_to_be_swept_until_somebody_has() {
    let lab = Lab::new();
    drop(lab.open());
    fs::write(lab.state.join("open"), "").unwrap();
    drop(Store::open_rebuilt(&lab.state).unwrap());
    let store = lab.open();
    assert!(store.was_left_open(), "nobody swept, and nobody will");
    store.sweep().unwrap();
    drop(store);
    assert!(!lab.open().was_left_open());
}

/// A database that cannot be reached is not one that was never made.
#[test]
fn an_index_on_a_disk_that_is_not_there_is_not_replaced() {
    let lab = Lab::new();
    drop(lab.open());
    let place = lab.state.join("kbs.redb");
    fs::remove_file(&place).unwrap();
    symlink("/not/mounted/kbs.redb", &place).unwrap();
    let opened = Store::open(&lab.state);
    assert!(opened.is_err(), "the link was replaced by an empty index");
}
