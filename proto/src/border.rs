//! From messages to checked values and back.

use kbs_plan::error::{Class, Help};
use kbs_plan::kconfig::{Configurer, DialectName, HeaderOffName, KconfigRules, KconfigShell};
use kbs_plan::limits::Limits;
use kbs_plan::quantity::{ByteSize, Span};
use kbs_plan::recipe::{RecipeError, RecipePatch};
use kbs_plan::spec::{ConfigAsk, ConfigText, ImageAsk, SourceAsk, Spec, ToolchainAsk};

use crate::pb;

/// A message does not say what it must.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BorderError {
    /// A field that every client sends is absent.
    #[error("the request has no {field}")]
    Missing {
        /// The field's name.
        field: &'static str,
    },
    /// The recipe part of a spec cannot be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}

impl Help for BorderError {
    fn class(&self) -> Class {
        Class::User
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("use a kbs of the same version as the daemon".to_owned()),
            Self::Recipe(error) => error.help(),
        }
    }
}

/// Returns the field, or says that it is absent.
///
/// # Errors
/// [`BorderError::Missing`].
pub fn need<T>(field: &'static str, value: Option<T>) -> Result<T, BorderError> {
    value.ok_or(BorderError::Missing { field })
}

impl TryFrom<pb::Spec> for Spec {
    type Error = BorderError;

    fn try_from(spec: pb::Spec) -> Result<Self, BorderError> {
        let pb::Spec { recipe, recipe_toml, source, rev, config, toolchain, env, limits } = spec;
        Ok(Self {
            builtin: Some(recipe).filter(|name| !name.is_empty()),
            recipe: RecipePatch::parse(&recipe_toml)?,
            source: match need("source", source)? {
                pb::spec::Source::Git(url) => SourceAsk::Git(url),
                pb::spec::Source::SourceName(name) => SourceAsk::Named(name),
            },
            rev,
            config: config.map(config_from),
            toolchain: toolchain_from(need("toolchain", toolchain)?)?,
            env: env.into_iter().collect(),
            limits: limits.map(limits_from).unwrap_or_default(),
        })
    }
}

impl From<Spec> for pb::Spec {
    fn from(spec: Spec) -> Self {
        let Spec { builtin, recipe, source, rev, config, toolchain, env, limits } = spec;
        Self {
            recipe: builtin.unwrap_or_default(),
            recipe_toml: recipe.to_toml(),
            source: Some(match source {
                SourceAsk::Git(url) => pb::spec::Source::Git(url),
                SourceAsk::Named(name) => pb::spec::Source::SourceName(name),
            }),
            rev,
            config: config.map(config_to),
            toolchain: Some(toolchain_to(toolchain)),
            env: env.into_iter().collect(),
            limits: Some(limits_to(&limits)),
        }
    }
}

fn config_from(config: pb::Config) -> ConfigAsk {
    let pb::Config { base, defconfig, fragments, set, accept_drift } = config;
    ConfigAsk {
        base: base.map(text_from),
        defconfig,
        fragments: fragments.into_iter().map(text_from).collect(),
        set: set.into_iter().collect(),
        accept_drift,
    }
}

fn config_to(config: ConfigAsk) -> pb::Config {
    let ConfigAsk { base, defconfig, fragments, set, accept_drift } = config;
    pb::Config {
        base: base.map(text_to),
        defconfig,
        fragments: fragments.into_iter().map(text_to).collect(),
        set: set.into_iter().collect(),
        accept_drift,
    }
}

fn text_from(text: pb::ConfigText) -> ConfigText {
    let pb::ConfigText { origin, text } = text;
    ConfigText { origin, text }
}

fn text_to(text: ConfigText) -> pb::ConfigText {
    let ConfigText { origin, text } = text;
    pb::ConfigText { origin, text }
}

fn toolchain_from(toolchain: pb::Toolchain) -> Result<ToolchainAsk, BorderError> {
    let pb::Toolchain { image, digest } = toolchain;
    Ok(ToolchainAsk {
        image: match need("toolchain.image", image)? {
            pb::toolchain::Image::Host(_) => ImageAsk::Host,
            pb::toolchain::Image::Name(name) => ImageAsk::Named(name),
            pb::toolchain::Image::Path(path) => ImageAsk::Path(path),
        },
        digest: Some(digest).filter(|digest| !digest.is_empty()),
    })
}

fn toolchain_to(toolchain: ToolchainAsk) -> pb::Toolchain {
    let ToolchainAsk { image, digest } = toolchain;
    pb::Toolchain {
        image: Some(match image {
            ImageAsk::Host => pb::toolchain::Image::Host(true),
            ImageAsk::Named(name) => pb::toolchain::Image::Name(name),
            ImageAsk::Path(path) => pb::toolchain::Image::Path(path),
        }),
        digest: digest.unwrap_or_default(),
    }
}

fn limits_from(limits: pb::Limits) -> Limits {
    let pb::Limits {
        wall_s,
        scratch_b,
        log_b,
        output_b,
        open_files,
        jobs,
        memory_b,
        pids,
        scratch_files,
        output_files,
    } = limits;
    Limits {
        wall: wall_s.map(|seconds| Span(std::time::Duration::from_secs(seconds))),
        memory: memory_b.map(ByteSize),
        pids,
        scratch: scratch_b.map(ByteSize),
        scratch_files,
        log: log_b.map(ByteSize),
        output: output_b.map(ByteSize),
        output_files,
        open_files,
        jobs,
    }
}

fn limits_to(limits: &Limits) -> pb::Limits {
    let Limits {
        wall,
        memory,
        pids,
        scratch,
        scratch_files,
        log,
        output,
        output_files,
        open_files,
        jobs,
    } = limits;
    pb::Limits {
        wall_s: wall.map(|span| span.0.as_secs()),
        scratch_b: scratch.map(|size| size.0),
        log_b: log.map(|size| size.0),
        output_b: output.map(|size| size.0),
        open_files: *open_files,
        jobs: *jobs,
        memory_b: memory.map(|size| size.0),
        pids: *pids,
        scratch_files: *scratch_files,
        output_files: *output_files,
    }
}

impl TryFrom<pb::KconfigRules> for KconfigRules {
    type Error = BorderError;

    fn try_from(rules: pb::KconfigRules) -> Result<Self, BorderError> {
        let dialect = match rules.dialect() {
            pb::kconfig_rules::Dialect::Conf => DialectName::Conf,
            pb::kconfig_rules::Dialect::UBoot => DialectName::UBoot,
            pb::kconfig_rules::Dialect::Seabios => DialectName::Seabios,
            pb::kconfig_rules::Dialect::Busybox => DialectName::Busybox,
            pb::kconfig_rules::Dialect::Kconfiglib => DialectName::Kconfiglib,
            pb::kconfig_rules::Dialect::Unspecified => need("kconfig.dialect", None)?,
        };
        let pb::KconfigRules {
            root,
            dialect: _,
            header_off_is_zero,
            prefix,
            kbs_configures,
            paths,
            env,
            generated,
            runs_commands,
        } = rules;
        Ok(Self {
            configure: if kbs_configures { Configurer::Kbs } else { Configurer::Project },
            root,
            dialect,
            header_off: if header_off_is_zero { HeaderOffName::Zero } else { HeaderOffName::Left },
            prefix,
            paths,
            env: env.into_iter().collect(),
            shell: if runs_commands { KconfigShell::Run } else { KconfigShell::Refuse },
            generated: generated.into_iter().collect(),
        })
    }
}

impl From<KconfigRules> for pb::KconfigRules {
    fn from(rules: KconfigRules) -> Self {
        let KconfigRules {
            configure,
            root,
            dialect,
            header_off,
            prefix,
            paths,
            env,
            shell,
            generated,
        } = rules;
        let dialect = match dialect {
            DialectName::Conf => pb::kconfig_rules::Dialect::Conf,
            DialectName::UBoot => pb::kconfig_rules::Dialect::UBoot,
            DialectName::Seabios => pb::kconfig_rules::Dialect::Seabios,
            DialectName::Busybox => pb::kconfig_rules::Dialect::Busybox,
            DialectName::Kconfiglib => pb::kconfig_rules::Dialect::Kconfiglib,
        };
        Self {
            root,
            dialect: dialect.into(),
            header_off_is_zero: header_off == HeaderOffName::Zero,
            prefix,
            kbs_configures: configure == Configurer::Kbs,
            paths,
            env: env.into_iter().collect(),
            generated: generated.into_iter().collect(),
            runs_commands: shell == KconfigShell::Run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_survives_the_wire() {
        let text = "[project]\nrecipe='klipper'\ngit='/k'\nrev='v1'\nsubmodules=true\n\
                    [config]\ninline='CONFIG_A=y'\nset={B=true}\naccept-drift=['MCU']\n\
                    [toolchain]\nimage='arm@sha256:0'\n[limits]\nwall='5m'\nscratch='1G'\njobs=3\n\
                    memory='2GiB'\npids=5\nscratch-files=6\nlog=7\noutput=8\noutput-files=9\nopen-files=10\n\
                    [version]\nexact='v1-2-gabc'\n[make]\nargs=['W=1']\n\
                    [recipe.build]\nenv-allowed=['FOO']\n[env]\nFOO='x'";
        let spec = Spec::read(text, &|_| Ok(String::new()), &str::to_owned).unwrap();
        let there = pb::Spec::from(spec.clone());
        assert_eq!(Spec::try_from(there).unwrap(), spec);
    }

    #[test]
    fn how_kconfig_files_are_read_survives_the_wire() {
        let kalico = kbs_plan::recipe::builtin("kalico").unwrap().finish().unwrap();
        let other = |dialect| KconfigRules {
            configure: Configurer::Project,
            root: "a".to_owned(),
            dialect,
            header_off: HeaderOffName::Left,
            prefix: "A_".to_owned(),
            paths: Vec::new(),
            env: [("B".to_owned(), "c".to_owned())].into(),
            shell: KconfigShell::Run,
            generated: [].into(),
        };
        let others =
            [DialectName::Conf, DialectName::UBoot, DialectName::Seabios, DialectName::Busybox];
        let others = others.map(other);
        for rules in others.into_iter().chain(kalico.kconfig) {
            let there = pb::KconfigRules::from(rules.clone());
            assert_eq!(KconfigRules::try_from(there).unwrap(), rules);
        }
        assert!(KconfigRules::try_from(pb::KconfigRules::default()).is_err());
    }

    #[test]
    fn an_empty_message_is_refused_by_field() {
        let error = Spec::try_from(pb::Spec::default()).unwrap_err();
        assert!(error.to_string().contains("source"), "{error}");
    }
}
