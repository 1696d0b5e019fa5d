//! A state directory for one test.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use kbs_image::{ImageDigest, ImageInfo, Images, Import, ImportError, Limits, Progress};
use tempfile::TempDir;

pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) images: Images,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let images = Images::new(dir.path().join("images"), dir.path().join("scratch"));
        Self { dir, images }
    }

    pub(crate) fn limited(unpacked_b: u64, entries: u64) -> Self {
        let mut place = Self::new();
        place.images.limits = Limits { unpacked_b, entries };
        place
    }

    pub(crate) fn import(&self, what: Import<'_>) -> Result<ImageInfo, ImportError> {
        let result = self.images.import(what, None, 11, &mut |_| {});
        assert_eq!(fs::read_dir(self.dir.path().join("scratch")).unwrap().count(), 0);
        result
    }

    pub(crate) fn archive(&self, mut bytes: &[u8]) -> Result<ImageInfo, ImportError> {
        self.import(Import::Archive { name: "test.tar", stream: &mut bytes, reference: None })
    }

    pub(crate) fn expecting(
        &self,
        mut bytes: &[u8],
        expected: &ImageDigest,
    ) -> Result<ImageInfo, ImportError> {
        let what = Import::Archive { name: "test.tar", stream: &mut bytes, reference: None };
        self.images.import(what, Some(expected), 11, &mut |_| {})
    }

    pub(crate) fn reports(&self, mut bytes: &[u8]) -> Vec<Progress> {
        let mut reports = Vec::new();
        let what = Import::Archive { name: "test.tar", stream: &mut bytes, reference: None };
        self.images.import(what, None, 11, &mut |report| reports.push(report)).unwrap();
        reports
    }

    pub(crate) fn rootfs(&self, info: &ImageInfo) -> PathBuf {
        self.images.rootfs(&info.digest).unwrap()
    }

    /// Every path below the root file system, with what it is, in order.
    pub(crate) fn listing(&self, info: &ImageInfo) -> Vec<String> {
        let root = self.rootfs(info);
        let mut found = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let shown = path.strip_prefix(&root).unwrap().display().to_string();
                let about = path.symlink_metadata().unwrap();
                if about.is_dir() {
                    open.push(path);
                    found.push(format!("{shown}/"));
                } else if about.is_symlink() {
                    found.push(format!("{shown} -> {}", fs::read_link(path).unwrap().display()));
                } else {
                    found.push(format!("{shown} = {}", fs::read_to_string(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.images.list().unwrap().is_empty()
            && fs::read_dir(self.dir.path().join("images")).map_or(0, Iterator::count) == 0
    }
}

/// Yields one byte at a time, as a slow pipe may.
pub(crate) struct Trickle<'a>(pub(crate) &'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = into.len().min(1);
        self.0.read(&mut into[..count])
    }
}

/// The error and its causes on one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
