//! From an image as asked to its digest and root file system.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kbs_image::{HostRequest, ImageDigest, ImageInfo, Images, Import, Progress};
use kbs_plan::id::BlobId;
use kbs_plan::recipe::ToolchainRules;
use kbs_plan::spec::{ImageAsk, ToolchainAsk};
use kbs_store::{Lease, Store, Thing};

use crate::engine::watch::Watch;
use crate::engine::{Engine, now_unix_s};
use crate::problem::{EngineError, Problem};

/// An image that is here.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    pub(crate) digest: ImageDigest,
    pub(crate) rootfs: PathBuf,
    /// Keeps the image from being removed as long as somebody means to use it.
    _lease: Arc<Lease>,
}

/// Finds the image, importing it if it can be had without a network.
pub(crate) fn resolve(
    engine: &Engine,
    ask: &ToolchainAsk,
    recipe: &str,
    rules: &ToolchainRules,
    watch: &Watch,
) -> Result<Toolchain, Problem> {
    let expected = ask.digest.as_deref().map(str::parse::<ImageDigest>).transpose()?;
    let digest = match &ask.image {
        ImageAsk::Named(name) => named(engine, name)?,
        ImageAsk::Host => host(engine, recipe, rules, watch)?,
        ImageAsk::Path(path) => path_image(engine, Path::new(path), watch)?,
    };
    if let Some(expected) = expected.filter(|expected| *expected != digest) {
        let text = format!("the image is {digest}, and the spec wants {expected}");
        let help =
            Some("import the image that the spec names, or correct toolchain.digest".to_owned());
        return Err(EngineError::Request { text, help }.into());
    }
    hold(engine, digest).ok_or_else(|| {
        let text = format!("the image {digest} is not in the store any more");
        let help = Some("import it again with `kbs image import`".to_owned());
        EngineError::NotFound { text, help }.into()
    })
}

/// Whether an image is known without importing one; not whether it is still here.
pub(crate) fn is_known(
    engine: &Engine,
    ask: &ToolchainAsk,
    recipe: &str,
    rules: &ToolchainRules,
) -> Result<bool, Problem> {
    let name = match &ask.image {
        ImageAsk::Named(_) => return Ok(true),
        ImageAsk::Host => host_name(recipe, rules),
        ImageAsk::Path(path) => path_note(Path::new(path))?,
    };
    Ok(engine.store.image_name(&name)?.is_some())
}

/// Looks at some files of an image that a jail is about to use, and refuses one that is damaged. It
/// stays as it is: others may be using it.
pub(crate) fn inspect(engine: &Engine, toolchain: &Toolchain) -> Result<(), Problem> {
    let thing = Thing::Image(*toolchain.digest.as_bytes());
    let Some(problem) = engine.store.inspect(thing)? else { return Ok(()) };
    let text = format!("the image {} is damaged: {problem}", toolchain.digest);
    let help = "run `kbs store verify --repair`, then import it again if it is gone";
    Err(EngineError::Damaged { text, help: help.to_owned() }.into())
}

/// The image of this digest, which nobody removes meanwhile; `None` where it is not here.
pub(crate) fn hold(engine: &Engine, digest: ImageDigest) -> Option<Toolchain> {
    let thing = Thing::Image(*digest.as_bytes());
    let lease = Arc::new(engine.store.lease(thing));
    let rootfs = rootfs(engine, &digest)?;
    engine.touch(thing);
    Some(Toolchain { digest, rootfs, _lease: lease })
}

/// Whether an image is here; if so, it stays as long as the request lasts.
fn is_here(engine: &Engine, digest: &ImageDigest, watch: &Watch) -> bool {
    watch.hold(engine.store.lease(Thing::Image(*digest.as_bytes())));
    rootfs(engine, digest).is_some()
}

/// The files of an image that the store has; one that merely lies in its place is not believed.
fn rootfs(engine: &Engine, digest: &ImageDigest) -> Option<PathBuf> {
    match engine.store.has_image(*digest.as_bytes()) {
        Ok(is_here) => engine.images.rootfs(digest).filter(|_| is_here),
        Err(error) => {
            tracing::warn!(%digest, %error, "an image is not looked up");
            None
        }
    }
}

/// Takes an image that lies in its place into the store, if it is what its name says: one that came
/// before the store knew of images, or just before a kill, or that the index was made without.
pub(crate) fn adopt_found(
    store: &Store,
    images: &Images,
    digest: &ImageDigest,
) -> Result<(), Problem> {
    if !store.has_image(*digest.as_bytes())? {
        images.verify(digest)?;
        store.adopt_found_image(*digest.as_bytes(), now_unix_s())?;
    }
    Ok(())
}

fn named(engine: &Engine, name: &str) -> Result<ImageDigest, Problem> {
    if let Ok(digest) = name.parse::<ImageDigest>() {
        return Ok(digest);
    }
    if let Some(digest) = engine.store.image_name(name)? {
        return Ok(digest.parse()?);
    }
    let known: Vec<_> = public_names(engine)?.into_iter().map(|(name, _)| name).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let text = format!("there is no toolchain image `{name}`");
    let help = Some(format!("import one with `kbs image import --name {name}`; here are: {known}"));
    Err(EngineError::NotFound { text, help }.into())
}

/// Names that people gave; those that begin with `@` are our notes of what a path held.
pub(crate) fn public_names(engine: &Engine) -> Result<Vec<(String, String)>, Problem> {
    let names = engine.store.image_names()?;
    Ok(names.into_iter().filter(|(name, _)| !name.starts_with('@')).collect())
}

/// The snapshot of this host for a recipe: made once, then pinned until its name is removed.
/// The name of the snapshot of this host that a recipe wants.
fn host_name(recipe: &str, rules: &ToolchainRules) -> String {
    let ToolchainRules { programs, optional_programs, optional_packages } = rules;
    let wanted = format!("{programs:?} {optional_programs:?} {optional_packages:?}");
    format!("host.{recipe}.{}", &BlobId::of(wanted.as_bytes()).hex()[..8])
}

fn host(
    engine: &Engine,
    recipe: &str,
    rules: &ToolchainRules,
    watch: &Watch,
) -> Result<ImageDigest, Problem> {
    let ToolchainRules { programs, optional_programs, optional_packages } = rules;
    let name = host_name(recipe, rules);
    let known = |engine: &Engine| match engine.store.image_name(&name) {
        Ok(Some(digest)) => digest.parse().ok().filter(|digest| is_here(engine, digest, watch)),
        _ => None,
    };
    if let Some(digest) = known(engine) {
        if packages_changed_since(engine, &name) {
            let text = format!(
                "packages of this host have changed since its snapshot {name}; \
                 `kbs image rm {name}` has a new one taken"
            );
            watch.notice("image", text);
        }
        return Ok(digest);
    }
    let _guard = engine.importing.hold(&name);
    if let Some(digest) = known(engine) {
        return Ok(digest);
    }
    let request = HostRequest {
        programs: programs.clone(),
        optional_programs: optional_programs.clone(),
        packages: Vec::new(),
        optional_packages: optional_packages.clone(),
        ..HostRequest::default()
    };
    let info = watch.phase("image", format!("snapshot of this host as {name}"), || {
        import(engine, Import::Host(&request), None, watch)
    })?;
    engine.store.set_image_name(&name, &info.digest.to_string())?;
    // The image may be an older one that turned out to be the same.
    engine.store.set_image_name(&taken_note(&name), &now_unix_s().to_string())?;
    Ok(info.digest)
}

/// The note of when the host snapshot `name` was taken.
fn taken_note(name: &str) -> String {
    format!("@taken.{name}")
}

/// Whether dpkg has installed or removed anything since the snapshot `name` was taken.
fn packages_changed_since(engine: &Engine, name: &str) -> bool {
    let Ok(Some(taken)) = engine.store.image_name(&taken_note(name)) else { return false };
    let Ok(taken_unix_s) = taken.parse::<i64>() else { return false };
    let status = std::fs::metadata("/var/lib/dpkg/status");
    status.is_ok_and(|status| status.mtime() > taken_unix_s)
}

/// The note of what was imported from a path, as it is there now.
fn path_note(path: &Path) -> Result<String, Problem> {
    let marker = if path.is_dir() { path.join("index.json") } else { path.to_owned() };
    let stat = std::fs::metadata(&marker).map_err(|error| EngineError::NotFound {
        text: format!("cannot read the toolchain image {}: {error}", path.display()),
        help: Some("name an OCI layout directory or an archive, relative to the spec".to_owned()),
    })?;
    let what = format!(
        "{} {} {} {} {}",
        path.display(),
        stat.ino(),
        stat.size(),
        stat.mtime(),
        stat.mtime_nsec()
    );
    Ok(format!("@{}", BlobId::of(what.as_bytes()).hex()))
}

/// An image at a path, imported again only when the file has changed.
fn path_image(engine: &Engine, path: &Path, watch: &Watch) -> Result<ImageDigest, Problem> {
    let host = |action, path: &Path| {
        let path = path.to_owned();
        move |source| EngineError::Host { action, path, source }
    };
    let note = path_note(path)?;
    let _guard = engine.importing.hold(&note);
    if let Some(digest) = engine.store.image_name(&note)? {
        let digest: ImageDigest = digest.parse()?;
        if is_here(engine, &digest, watch) {
            return Ok(digest);
        }
    }
    let info = watch.phase("image", path.display().to_string(), || {
        if path.is_dir() {
            return import(engine, Import::Layout { dir: path, reference: None }, None, watch);
        }
        let mut file = std::fs::File::open(path).map_err(host("open the toolchain image", path))?;
        import(
            engine,
            Import::Archive { name: &path.to_string_lossy(), stream: &mut file, reference: None },
            None,
            watch,
        )
    })?;
    engine.store.set_image_name(&note, &info.digest.to_string())?;
    Ok(info.digest)
}

/// Imports an image, telling the client how it goes.
pub(crate) fn import(
    engine: &Engine,
    what: Import<'_>,
    expected: Option<&ImageDigest>,
    watch: &Watch,
) -> Result<ImageInfo, Problem> {
    let mut last = std::time::Instant::now();
    let mut was_here = false;
    let mut tell = |progress: Progress| {
        if let Progress::Named { digest, is_here } = &progress {
            // From here on it can be collected, and whoever asked has yet to name it or use it.
            watch.hold(engine.store.lease(Thing::Image(*digest.as_bytes())));
            was_here = *is_here;
            return;
        }
        let rare = matches!(progress, Progress::Skipped { .. } | Progress::Absent { .. });
        if rare || last.elapsed().as_millis() >= 200 {
            last = std::time::Instant::now();
            watch.progress(describe(&progress));
        }
    };
    let info = engine.images.import(what, expected, now_unix_s(), &mut tell)?;
    // One that the store has already may be in use, and stays as it is.
    if was_here {
        adopt_found(&engine.store, &engine.images, &info.digest)?;
    } else {
        engine.store.adopt_image(*info.digest.as_bytes(), now_unix_s())?;
    }
    Ok(info)
}

fn describe(progress: &Progress) -> String {
    let mib = |bytes: &u64| bytes >> 20;
    match progress {
        Progress::Unpacked { entries, size_b } => {
            format!("unpacked {entries} entries, {} MiB", mib(size_b))
        }
        Progress::Copied { files, files_total, size_b } => {
            format!("copied {files} of {files_total} files, {} MiB", mib(size_b))
        }
        Progress::Skipped { path, kind } => format!("left out {path}: a {kind}"),
        Progress::Absent { name } => format!("{name} is not on this host and not in the image"),
        _ => String::new(),
    }
}
