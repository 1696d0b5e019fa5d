//! Compares a directory with the listing of what it should hold: quickly and a little elsewhere each
//! time before it is served, whole when it is verified.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use kbs_plan::path::RelPath;
use kbs_plan::tree::{Entry, Tree};
use rustix::fs::OFlags;

use crate::blobs::hash_of_about;
use crate::error::lacks_means;
use crate::layout::{Executable, MTIME, Purpose, Variant};

/// Most entries that one look compares.
pub(crate) const WINDOW: usize = 64;
/// Largest file that one look hashes, in bytes.
const HASHED_MAX_B: u64 = 1 << 20;

/// A path and what should stand there.
pub(crate) type Listed<'t> = (&'t RelPath, &'t Entry);

/// What a look compares.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Depth {
    /// Kind, size, mode and time of the given entries.
    Shape,
    /// Kind, size, mode and time of the given entries; the bytes of some small files.
    Glance {
        /// Decides which files.
        turn: u64,
        /// How many.
        files: usize,
    },
    /// Every byte of the given entries.
    Everything,
}

/// Whether the given entries are all that may be in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Anything else is damage.
    Whole,
    /// The rest is not looked at.
    Part,
}

/// Compares a directory with entries that it should hold; returns what is wrong first.
///
/// # Errors
/// Only where this process lacks the means to look; what cannot be read is damage.
pub(crate) fn find_damage(
    path: &Path,
    listed: &[Listed<'_>],
    (purpose, extent): (Purpose, Extent),
    depth: Depth,
) -> io::Result<Option<String>> {
    match look(path, listed, (purpose, extent), depth) {
        Ok(()) => Ok(None),
        Err(Finding::Damage(what)) => Ok(Some(what)),
        Err(Finding::Unreadable(_, error)) if lacks_means(&error) => Err(error),
        Err(Finding::Unreadable(what, error)) => {
            Ok(Some(format!("{what} cannot be read: {error}")))
        }
    }
}

/// Compares some entries of a directory with those of `tree`, and the bytes of `files` small files:
/// quickly, and elsewhere each `turn`.
///
/// # Errors
/// As [`find_damage`].
pub(crate) fn glance(
    path: &Path,
    tree: &Tree,
    purpose: Purpose,
    (turn, files): (u64, usize),
) -> io::Result<Option<String>> {
    let listed: Vec<Listed<'_>> = tree.iter().collect();
    let windows = listed.len().div_ceil(WINDOW).max(1);
    let window = usize::try_from(turn).unwrap_or(0) % windows;
    let seen = listed.chunks(WINDOW).nth(window).unwrap_or_default();
    let extent = if windows == 1 { Extent::Whole } else { Extent::Part };
    // Divided, so that the files do not follow from the window.
    let depth = Depth::Glance { turn: turn / windows as u64, files };
    find_damage(path, seen, (purpose, extent), depth)
}

enum Finding {
    Damage(String),
    Unreadable(String, io::Error),
}

fn look(
    path: &Path,
    listed: &[Listed<'_>],
    (purpose, extent): (Purpose, Extent),
    depth: Depth,
) -> Result<(), Finding> {
    let dir = Dir::open_ambient_dir(path, ambient_authority())
        .map_err(|error| Finding::Unreadable("its directory".to_owned(), error))?;
    for (path, entry) in listed {
        compare(&dir, path, entry, purpose)?;
    }
    if extent == Extent::Whole {
        let top = dir.dir_metadata();
        let top = top.map_err(|error| Finding::Unreadable("its directory".to_owned(), error))?;
        if mode(&top) != purpose.dir_mode() {
            return Err(Finding::Damage("its directory has changed".to_owned()));
        }
        count_entries(&dir, listed)?;
    }
    let files = || {
        listed.iter().filter_map(|(path, entry)| match entry {
            Entry::File { blob, size, executable: _ } => Some((path, *blob, *size)),
            Entry::Symlink { .. } | Entry::Directory => None,
        })
    };
    let hashed: Vec<_> = match depth {
        Depth::Shape => Vec::new(),
        Depth::Everything => files().collect(),
        Depth::Glance { turn, files: count } => {
            let mut small: Vec<_> = files().filter(|(_, _, size)| *size <= HASHED_MAX_B).collect();
            let chosen = turn.checked_rem(small.len() as u64).unwrap_or(0);
            small.rotate_left(usize::try_from(chosen).unwrap_or(0));
            small.truncate(count);
            small
        }
    };
    for (path, blob, size_b) in hashed {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let found = dir
            .open_with(path.as_path(), &options)
            .and_then(|mut file| hash_of_about(&mut file, size_b))
            .map_err(|error| Finding::Unreadable(format!("`{path}`"), error))?;
        if found != blob {
            return Err(Finding::Damage(format!("`{path}` holds other bytes than it should")));
        }
    }
    Ok(())
}

fn compare(dir: &Dir, path: &RelPath, entry: &Entry, purpose: Purpose) -> Result<(), Finding> {
    let unreadable = |error| Finding::Unreadable(format!("`{path}`"), error);
    let found = dir.symlink_metadata(path.as_path()).map_err(unreadable)?;
    let is_right = match entry {
        Entry::Directory => found.is_dir() && mode(&found) == purpose.dir_mode(),
        Entry::Symlink { target } => {
            found.is_symlink()
                && dir.read_link_contents(path.as_path()).map_err(unreadable)? == Path::new(target)
        }
        Entry::File { blob: _, size, executable } => {
            let variant = Variant::of(purpose, Executable::of(*executable));
            found.is_file() && found.len() == *size && mode(&found) == variant.mode
        }
    } && (found.mtime(), found.mtime_nsec()) == MTIME;
    if is_right { Ok(()) } else { Err(Finding::Damage(format!("`{path}` has changed"))) }
}

fn mode(found: &Metadata) -> u32 {
    found.mode() & 0o7777
}

/// How many entries a directory has.
fn entries_in(dir: &Dir, place: &Path) -> io::Result<usize> {
    let mut options = OpenOptions::new();
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    options.read(true).custom_flags(flags.bits().cast_signed());
    let mut found = 0;
    for entry in rustix::fs::Dir::new(dir.open_with(place, &options)?.into_std())? {
        let name = entry?;
        found += usize::from(!matches!(name.file_name().to_bytes(), b"." | b".."));
    }
    Ok(found)
}

/// Compares how many entries each directory has: with all the right ones there, more are wrong.
fn count_entries(dir: &Dir, listed: &[Listed<'_>]) -> Result<(), Finding> {
    let mut counts = BTreeMap::from([(None, 0_usize)]);
    for (path, entry) in listed {
        if **entry == Entry::Directory {
            counts.entry(Some((*path).clone())).or_default();
        }
        *counts.entry(path.parent()).or_default() += 1;
    }
    for (path, count) in counts {
        let place = path.as_ref().map_or(Path::new("."), RelPath::as_path);
        let what = || path.as_ref().map_or("its directory".to_owned(), |path| format!("`{path}`"));
        let found = entries_in(dir, place).map_err(|error| Finding::Unreadable(what(), error))?;
        if found != count {
            return Err(Finding::Damage(format!("{} holds {found} entries, not {count}", what())));
        }
    }
    Ok(())
}
