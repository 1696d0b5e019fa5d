//! Specs on disk: finding one, reading it with the files it names, changing it by options.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use kbs_plan::error::{Class, Help};
use kbs_plan::spec::{ImageAsk, Spec, SpecError, ToolchainAsk};

/// No spec and no configuration is larger.
const TEXT_MAX_B: u64 = 16 << 20;

/// The names under which a directory holds its spec.
const SPEC_NAMES: [&str; 2] = ["spec.toml", "kbs.toml"];

/// Which spec, and what to change in it
#[derive(Debug, clap::Args)]
pub(crate) struct SpecArgs {
    /// A spec file, a directory with a spec.toml or kbs.toml, or `-` for stdin
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
    /// Take this tag, branch or commit instead of the spec's
    #[arg(long, value_name = "REV", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    rev: Option<String>,
    /// Build in this image: `host`, a name, a digest, NAME@DIGEST or a path
    #[arg(long, value_name = "IMAGE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    toolchain: Option<String>,
    /// Accept that the project's configure step changes this symbol (repeatable)
    #[arg(long, value_name = "SYMBOL")]
    accept_drift: Vec<String>,
}

/// A spec cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpecFileError {
    /// There is no such file, or it cannot be read.
    #[error("cannot read the spec {}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A directory without a spec.
    #[error("{} has no spec.toml and no kbs.toml", dir.display())]
    NoSpec {
        /// The directory.
        dir: PathBuf,
    },
    /// Symbols are to be accepted where none are.
    #[error("--accept-drift needs a spec with a configuration")]
    NoConfig,
    /// What the spec says.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

impl Help for SpecFileError {
    fn class(&self) -> Class {
        match self {
            Self::Spec(error) => error.class(),
            Self::Read { .. } | Self::NoSpec { .. } | Self::NoConfig => Class::User,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Spec(error) => error.help(),
            Self::NoSpec { .. } => Some("give the path of a spec".to_owned()),
            Self::Read { .. } | Self::NoConfig => None,
        }
    }
}

impl SpecArgs {
    /// The spec at `path` as it is.
    pub(crate) fn of(path: &Path) -> Self {
        Self { spec: path.to_owned(), rev: None, toolchain: None, accept_drift: Vec::new() }
    }

    /// The spec's own path, absolute, and its text.
    ///
    /// # Errors
    /// [`SpecFileError`].
    pub(crate) fn file(&self) -> Result<(PathBuf, String), SpecFileError> {
        let path = self.spec.canonicalize().map_err(at(&self.spec))?;
        let path = if path.is_dir() {
            let inside = SPEC_NAMES.iter().map(|name| path.join(name)).find(|path| path.exists());
            inside.ok_or_else(|| SpecFileError::NoSpec { dir: self.spec.clone() })?
        } else {
            path
        };
        let text = File::open(&path).and_then(text_of).map_err(at(&path))?;
        Ok((path, text))
    }

    /// Reads the spec and the files it names, and changes what the options say.
    ///
    /// # Errors
    /// [`SpecFileError`].
    pub(crate) fn read(&self) -> Result<Spec, SpecFileError> {
        let (text, dir) = self.text()?;
        let absolute = |path: &str| clean(&dir.join(path)).to_string_lossy().into_owned();
        let read_file = |path: &str| File::open(dir.join(path)).and_then(text_of);
        let mut spec = Spec::read(&text, &read_file, &absolute)?;
        if let Some(rev) = &self.rev {
            spec.rev.clone_from(rev);
        }
        if let Some(image) = &self.toolchain {
            spec.toolchain = toolchain(image)?;
        }
        if !self.accept_drift.is_empty() {
            let config = spec.config.as_mut().ok_or(SpecFileError::NoConfig)?;
            let bare = |symbol: &String| symbol.trim_start_matches("CONFIG_").to_owned();
            config.accept_drift.extend(self.accept_drift.iter().map(bare));
        }
        Ok(spec)
    }

    /// The spec's text, and the directory its paths are relative to, absolute.
    fn text(&self) -> Result<(String, PathBuf), SpecFileError> {
        if self.spec == Path::new("-") {
            let name = Path::new("stdin");
            let text = text_of(std::io::stdin().lock()).map_err(at(name))?;
            return Ok((text, Path::new(".").canonicalize().map_err(at(name))?));
        }
        let (path, text) = self.file()?;
        let dir = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok((text, dir))
    }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SpecFileError + '_ {
    move |source| SpecFileError::Read { path: path.to_owned(), source }
}

fn text_of(file: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    let read_b = file.take(TEXT_MAX_B + 1).read_to_string(&mut text)?;
    if read_b as u64 > TEXT_MAX_B {
        return Err(std::io::Error::other("it is larger than 16 MiB"));
    }
    Ok(text)
}

/// `path` without `.` and `..`, as written: symbolic links are not looked at.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}

/// An image as an option gives it, spelled as a spec spells it.
fn toolchain(image: &str) -> Result<ToolchainAsk, SpecFileError> {
    let at_path = |path: &str| -> Result<ImageAsk, SpecFileError> {
        let path = std::path::absolute(path).map_err(at(Path::new(path)))?;
        Ok(ImageAsk::Path(clean(&path).to_string_lossy().into_owned()))
    };
    let is_path = |text: &str| {
        text.contains('/') || Path::new(text).extension().is_some_and(|end| end == "tar")
    };
    let (image, digest) = match image.split_once('@') {
        Some((name, digest)) if !is_path(image) => (name, Some(digest.to_owned())),
        _ => (image, None),
    };
    let image = match image {
        "host" => ImageAsk::Host,
        path if is_path(path) => at_path(path)?,
        name => ImageAsk::Named(name.to_owned()),
    };
    Ok(ToolchainAsk { image, digest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbs_plan::spec::SourceAsk;

    const TEXT: &str = "[project]\nrecipe='klipper'\ngit='../src/./klipper'\nrev='v1'\n\
                        [config]\nfile='a.config'\n";

    fn args(spec: &Path) -> SpecArgs {
        SpecArgs { spec: spec.to_owned(), rev: None, toolchain: None, accept_drift: Vec::new() }
    }

    fn dir_with(name: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), TEXT).unwrap();
        std::fs::write(dir.path().join("a.config"), "CONFIG_A=y\n").unwrap();
        dir
    }

    #[test]
    fn files_are_relative_to_the_spec_and_sources_absolute() {
        for name in SPEC_NAMES {
            let dir = dir_with(name);
            for given in [dir.path().to_owned(), dir.path().join(name)] {
                let spec = args(&given).read().unwrap();
                assert_eq!(spec.config.unwrap().base.unwrap().text, "CONFIG_A=y\n");
                let real = dir.path().canonicalize().unwrap();
                let source = real.parent().unwrap().join("src/klipper");
                assert_eq!(spec.source, SourceAsk::Git(source.to_str().unwrap().to_owned()));
            }
        }
    }

    #[test]
    fn options_replace_what_the_spec_says() {
        let dir = dir_with("spec.toml");
        let mut args = args(dir.path());
        args.rev = Some("v2".into());
        args.toolchain = Some("arm@sha256:00".into());
        args.accept_drift = vec!["CONFIG_MCU".into(), "X".into()];
        let spec = args.read().unwrap();
        assert_eq!(spec.rev, "v2");
        assert_eq!(spec.toolchain.image, ImageAsk::Named("arm".into()));
        assert_eq!(spec.toolchain.digest.as_deref(), Some("sha256:00"));
        assert_eq!(spec.config.unwrap().accept_drift, ["MCU", "X"]);
    }

    #[test]
    fn a_directory_without_a_spec_and_an_endless_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(args(dir.path()).read(), Err(SpecFileError::NoSpec { .. })));
        assert!(matches!(args(Path::new("/dev/zero")).read(), Err(SpecFileError::Read { .. })));
    }
}
