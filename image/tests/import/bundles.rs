//! OCI layouts and docker archives.

use std::fs;
use std::path::Path;

use kbs_image::{BundleError, Digest, ImageInfo, Import, ImportError};
use serde_json::{Value, json};

use crate::pack::*;
use crate::place::{Place, told};

const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

type Pack = fn(&[u8]) -> Vec<u8>;

/// An OCI layout in the making.
struct Layout {
    dir: tempfile::TempDir,
    index: Vec<Value>,
}

impl Layout {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { dir, index: Vec::new() }
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.blob_path(&digest.to_string()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn blob_path(&self, digest: &str) -> std::path::PathBuf {
        self.dir.path().join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
    }

    /// Adds an image of these tars, each packed by its function.
    fn image(&self, layers: &[(Vec<u8>, Pack)]) -> Value {
        let diff_ids: Vec<Digest> = layers.iter().map(|(tar, _)| Digest::of(tar)).collect();
        let layers: Vec<Value> = layers
            .iter()
            .map(|(tar, pack)| self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &pack(tar)))
            .collect();
        self.manifest(&diff_ids, &layers)
    }

    fn manifest(&self, diff_ids: &[Digest], layers: &[Value]) -> Value {
        let config = json!({
            "architecture": ARCHITECTURE, "os": "linux", "config": {"Env": ["PATH=/opt/bin"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": [{"comment": "x"}],
        });
        let config =
            self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        self.blob(MANIFEST_TYPE, manifest.to_string().as_bytes())
    }

    fn list(&mut self, mut entry: Value, name: Option<&str>) -> &mut Self {
        if let Some(name) = name {
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        self.index.push(entry);
        let index = json!({"schemaVersion": 2, "manifests": self.index});
        fs::write(self.dir.path().join("index.json"), index.to_string()).unwrap();
        self
    }

    fn import(&self, place: &Place, reference: Option<&str>) -> Result<ImageInfo, ImportError> {
        place.import(Import::Layout { dir: self.dir.path(), reference })
    }

    fn refused(&self, reference: Option<&str>) -> BundleError {
        let place = Place::new();
        match self.import(&place, reference).unwrap_err() {
            ImportError::Bundle { source, .. } => {
                assert!(place.is_empty());
                source
            }
            other => panic!("{}", told(&other)),
        }
    }

    /// The layout as a tar.
    fn tar(&self) -> Vec<u8> {
        tar(&files(self.dir.path(), ""))
    }
}

fn files(dir: &Path, prefix: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            found.extend(files(&path, &format!("{name}/")));
        } else {
            found.push(Entry { data: fs::read(&path).unwrap(), ..file(&name, "") });
        }
    }
    found
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn lower() -> Vec<u8> {
    tar(&[
        file("etc/keep", "lower"),
        file("etc/gone", "lower"),
        file("opaque/old", "lower"),
        file("opaque/sub/old", "lower"),
        file("tree/a/b", "lower"),
        symlink("link", "/etc"),
    ])
}

fn upper() -> Vec<u8> {
    tar(&[
        file("etc/.wh.gone", ""),
        file("opaque/sub/new", "upper"),
        file("opaque/.wh..wh..opq", ""),
        file("opaque/late", "upper"),
        file("tree/new", "upper"),
        file(".wh.tree", ""),
        file(".wh..wh.plnk", ""),
        file("etc/.wh.absent", ""),
    ])
}

#[test]
fn layers_lie_over_each_other_and_whiteouts_hide() {
    let place = Place::new();
    let mut layout = Layout::new();
    let image = layout.image(&[(lower(), gzip), (upper(), zstd)]);
    let digest = image["digest"].as_str().unwrap().to_owned();
    let info = layout.list(image, Some("latest")).import(&place, None).unwrap();
    assert_eq!(info.digest.to_string(), digest);
    assert_eq!(info.env, ["PATH=/opt/bin"]);
    assert_eq!(info.architecture, ARCHITECTURE);
    assert_eq!(
        place.listing(&info),
        [
            "etc/",
            "etc/keep = lower",
            "link -> /etc",
            "opaque/",
            "opaque/late = upper",
            "opaque/sub/",
            "opaque/sub/new = upper",
            "tree/",
            "tree/new = upper",
        ]
    );
    place.images.verify(&info.digest).unwrap();

    let same = place.archive(&gzip(&layout.tar())).unwrap();
    assert_eq!(same, info, "the layout as an archive is the same image");
}

#[test]
fn a_layer_cannot_write_through_a_link_of_a_lower_one() {
    let mut layout = Layout::new();
    let image = layout.image(&[(lower(), plain), (tar(&[file("link/passwd", "x")]), plain)]);
    let error = layout.list(image, None).refused(None);
    assert!(told(&error).contains("not a directory"), "{}", told(&error));

    let place = Place::new();
    let mut layout = Layout::new();
    let image = layout.image(&[(lower(), plain), (tar(&[file("link/.wh.passwd", "")]), plain)]);
    layout.list(image, None).import(&place, None).unwrap();
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn every_digest_is_checked() {
    let damage = |which: fn(&Value) -> &Value| {
        let mut layout = Layout::new();
        let image = layout.image(&[(lower(), gzip)]);
        let manifest = fs::read(layout.blob_path(image["digest"].as_str().unwrap())).unwrap();
        let both = json!({"image": image, "manifest": serde_json::from_slice::<Value>(&manifest).unwrap()});
        let path = layout.blob_path(which(&both)["digest"].as_str().unwrap());
        layout.list(image, None);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 10;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        layout.refused(None)
    };
    for which in [
        (|both| &both["image"]) as fn(&Value) -> &Value,
        |both| &both["manifest"]["config"],
        |both| &both["manifest"]["layers"][0],
    ] {
        let error = damage(which);
        assert!(matches!(error, BundleError::Damaged { .. }), "{}", told(&error));
    }
}

#[test]
fn sizes_and_uncompressed_digests_are_checked() {
    let mut layout = Layout::new();
    let layer = layout.blob("application/vnd.oci.image.layer.v1.tar", &lower());
    let image = layout.manifest(&[Digest::of(b"another")], std::slice::from_ref(&layer));
    let error = layout.list(image, None).refused(None);
    assert!(matches!(error, BundleError::Damaged { .. }), "{}", told(&error));

    let mut layout = Layout::new();
    let mut layer = layout.blob("application/vnd.oci.image.layer.v1.tar", &lower());
    layer["size"] = json!(17);
    let image = layout.manifest(&[Digest::of(&lower())], std::slice::from_ref(&layer));
    let error = layout.list(image, None).refused(None);
    assert!(matches!(error, BundleError::Size { expected_b: 17, .. }), "{}", told(&error));

    let image = layout.manifest(&[], &[layer]);
    layout.index.clear();
    let error = layout.list(image, None).refused(None);
    assert!(matches!(error, BundleError::LayerCount { .. }), "{}", told(&error));
}

#[test]
fn several_images_need_a_name() {
    let place = Place::new();
    let mut layout = Layout::new();
    let one = layout.image(&[(tar(&[file("one", "")]), plain)]);
    let two = layout.image(&[(tar(&[file("two", "")]), plain)]);
    let two_digest = two["digest"].as_str().unwrap().to_owned();
    layout.list(one, Some("v1")).list(two, Some("v2"));

    let error = layout.refused(None);
    assert!(error.to_string().contains("v1, v2"), "{error}");
    assert!(matches!(layout.refused(Some("v3")), BundleError::NoReference { .. }));
    let by_name = layout.import(&place, Some("v2")).unwrap();
    assert_eq!(place.listing(&by_name), ["two = "]);
    assert_eq!(layout.import(&place, Some(&two_digest)).unwrap(), by_name);
}

#[test]
fn one_image_under_two_names_needs_none() {
    let place = Place::new();
    let mut layout = Layout::new();
    let image = layout.image(&[(tar(&[file("one", "")]), plain)]);
    layout.list(image.clone(), Some("v1")).list(image, Some("latest"));
    let info = layout.import(&place, None).unwrap();
    assert_eq!(place.listing(&info), ["one = "]);
}

#[test]
fn an_index_gives_the_image_for_this_machine() {
    let place = Place::new();
    let mut layout = Layout::new();
    let platform = |mut entry: Value, architecture: &str| {
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    };
    let own = platform(layout.image(&[(tar(&[file("own", "")]), plain)]), ARCHITECTURE);
    let other = platform(layout.image(&[(tar(&[file("other", "")]), plain)]), "s390x");
    let attestation = platform(layout.image(&[]), "unknown");
    let index = json!({"schemaVersion": 2, "manifests": [other, attestation, own]});
    let nested = layout.blob(INDEX_TYPE, index.to_string().as_bytes());
    layout.list(nested, Some("latest"));
    let info = layout.import(&place, None).unwrap();
    assert_eq!(place.listing(&info), ["own = "]);

    let mut layout = Layout::new();
    let foreign = platform(layout.image(&[]), "s390x");
    let error = layout.list(foreign, None).refused(None);
    assert!(error.to_string().contains("linux/s390x"), "{error}");
}

#[test]
fn other_things_in_layouts_are_refused() {
    let mut layout = Layout::new();
    let chart = layout.blob("application/vnd.cncf.helm.chart.content.v1", b"chart");
    let image = layout.manifest(&[Digest::of(b"chart")], &[chart]);
    assert!(matches!(layout.list(image, None).refused(None), BundleError::NotAnImage { .. }));

    let mut layout = Layout::new();
    let text = layout.blob("text/plain", b"hello");
    assert!(matches!(layout.list(text, None).refused(None), BundleError::NotAnImage { .. }));

    let mut layout = Layout::new();
    let image = layout.image(&[]);
    layout.list(image, None);
    layout.index.clear();
    fs::write(layout.dir.path().join("index.json"), r#"{"manifests":[]}"#).unwrap();
    assert!(matches!(layout.refused(None), BundleError::Empty));
    fs::write(layout.dir.path().join("index.json"), "not json").unwrap();
    assert!(matches!(layout.refused(None), BundleError::Parse { .. }));
    fs::remove_file(layout.dir.path().join("index.json")).unwrap();
    assert!(matches!(layout.refused(None), BundleError::Member { .. }));
}

#[test]
fn a_layout_is_refused_by_digest_before_it_is_unpacked() {
    let place = Place::new();
    let mut layout = Layout::new();
    let image = layout.image(&[(b"not a tar".to_vec(), plain)]);
    layout.list(image, None);
    let what = Import::Layout { dir: layout.dir.path(), reference: None };
    let expected = Digest::of(b"another");
    let error = place.images.import(what, Some(&expected), 1, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ImportError::Mismatch { .. }), "{}", told(&error));
}

/// A docker archive of the two layers, as `podman save` writes it.
fn docker(tags: &[&str]) -> Vec<Entry> {
    let config = json!({
        "architecture": ARCHITECTURE, "os": "linux", "docker_version": "20",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&lower()), Digest::of(&upper())]},
    })
    .to_string();
    let name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let list =
        json!([{"Config": name, "RepoTags": tags, "Layers": ["l1/layer.tar", "l2/layer.tar"]}]);
    vec![
        Entry { data: lower(), ..file("base.tar", "") },
        symlink("l1/layer.tar", "../base.tar"),
        Entry { data: gzip(&upper()), ..file("l2/layer.tar", "") },
        file(&name, &config),
        file("manifest.json", &list.to_string()),
        file("repositories", "{}"),
    ]
}

fn docker_refused(entries: &[Entry]) -> BundleError {
    let place = Place::new();
    match place.archive(&tar(entries)).unwrap_err() {
        ImportError::Bundle { source, .. } => {
            assert!(place.is_empty());
            source
        }
        other => panic!("{}", told(&other)),
    }
}

#[test]
fn a_docker_archive_gives_a_stable_image() {
    let place = Place::new();
    let info = place.archive(&tar(&docker(&["tool:1"]))).unwrap();
    let listing = place.listing(&info);
    assert!(listing.contains(&"tree/new = upper".to_owned()), "{listing:?}");
    assert!(!listing.contains(&"etc/gone = lower".to_owned()), "{listing:?}");
    assert_eq!(info.origin, "test.tar (tool:1)");

    let mut other = docker(&["renamed:2"]);
    other.reverse();
    assert_eq!(place.archive(&xz(&tar(&other))).unwrap(), info, "tags and order do not matter");
}

#[test]
fn a_docker_archive_is_checked() {
    let mut entries = docker(&[]);
    entries[0].data[600] ^= 1;
    let error = docker_refused(&entries);
    assert!(matches!(error, BundleError::Damaged { .. }), "{}", told(&error));

    let mut entries = docker(&[]);
    entries[3].data.push(b' ');
    let error = docker_refused(&entries);
    assert!(matches!(error, BundleError::Damaged { .. }), "{}", told(&error));

    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("layer.tar");
    fs::write(&target, lower()).unwrap();
    let mut entries = docker(&[]);
    entries[1].link = target.to_str().unwrap().into();
    let error = docker_refused(&entries);
    assert!(matches!(error, BundleError::Member { .. }), "{}", told(&error));
}

#[test]
fn a_file_called_manifest_does_not_make_an_image() {
    let place = Place::new();
    let info = place.archive(&tar(&[file("manifest.json", r#"{"name": "app"}"#)])).unwrap();
    assert_eq!(info.files, 1);
    assert_eq!(info.architecture, "unknown");
}
