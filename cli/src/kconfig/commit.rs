//! The Kconfig files of a commit, which a daemon has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kbs_kconfig::{FileMap, Kconfig, Shell, ShellRefusal};
use kbs_plan::error::Class;
use kbs_plan::kconfig::KconfigRules;
use kbs_plan::recipe::{RecipePatch, builtin};
use kbs_plan::spec::{ConfigAsk, ImageAsk, SourceAsk, Spec, ToolchainAsk};
use kbs_proto::border::need;
use kbs_proto::pb;
use kbs_proto::pb::event::Event;
use tokio::runtime::Handle;

use super::past::History;
use super::places::SpecLines;
use super::text::ConfigText;
use super::{Rules, of_rules, snippet};
use crate::cmd::Session;
use crate::connect::Daemon;
use crate::error::{CliError, gone, remote};
use crate::follow::each;
use crate::spec::SpecArgs;

/// Which commit
#[derive(Debug, clap::Args)]
pub(crate) struct CommitArgs {
    /// Take the files and the configuration of a spec's commit, and no tree
    #[arg(
        long,
        value_name = "SPEC",
        value_hint = clap::ValueHint::AnyPath,
        conflicts_with_all = ["tree", "recipe", "root", "dialect", "env", "run_shell", "project"]
    )]
    pub(super) spec: Option<PathBuf>,
    /// Take the files of a commit of this source (`kbs source ls`), and no tree
    #[arg(
        long,
        value_name = "NAME",
        requires = "rev",
        conflicts_with_all = ["tree", "root", "dialect", "env", "run_shell"]
    )]
    pub(super) project: Option<String>,
    /// The tag, branch or commit
    #[arg(long = "ref", id = "rev", value_name = "REF", requires = "project")]
    pub(super) rev: Option<String>,
}

/// What a daemon handed out.
#[derive(Debug)]
pub(super) struct Fetched {
    /// What to call it: project and version.
    name: String,
    rules: Rules,
    files: FileMap,
    config: ConfigText,
    answers: BTreeMap<String, String>,
    pub(super) history: History,
}

impl Shell for Fetched {
    fn output(&self, command: &str) -> Result<String, ShellRefusal> {
        let refused = || ShellRefusal { reason: "the daemon did not run it".to_owned() };
        self.answers.get(command).cloned().ok_or_else(refused)
    }
}

impl CommitArgs {
    /// Whether a commit is meant.
    pub(super) fn is_given(&self) -> bool {
        self.spec.is_some() || self.project.is_some()
    }

    /// Gets the files; `recipe` is that of a project, where it is not named like one.
    ///
    /// # Errors
    /// A wrong spec or name, or what the daemon answered.
    pub(super) async fn fetch(
        &self,
        recipe: Option<&str>,
        session: &mut Session<'_>,
    ) -> Result<(Fetched, Daemon), CliError> {
        let spec = self.spec(recipe)?;
        let daemon = session.daemon().await?;
        let request = pb::KconfigRequest { spec: Some(spec.clone().into()) };
        let events = daemon.builds().kconfig(request).await.map_err(remote)?.into_inner();
        let mut handed = None;
        each(events, |event| {
            match event.event {
                Some(Event::Kconfig(tree)) => handed = Some(tree),
                Some(Event::Notice(notice)) if notice.kind == "progress" => {
                    session.ui.detail(&notice.text);
                }
                Some(Event::Notice(notice)) => session.ui.warn(&notice.text),
                _ => {}
            }
            Ok(())
        })
        .await?;
        let lines = self.lines(spec.config.as_ref())?;
        let handed = handed.ok_or_else(|| gone(None))?;
        let history = History {
            runtime: Handle::current(),
            builds: daemon.builds(),
            commit: handed.commit.clone(),
        };
        Ok((Fetched::new(handed, lines.as_ref(), history)?, daemon))
    }

    /// The lines of the spec, which asks for `config`.
    fn lines(&self, config: Option<&ConfigAsk>) -> Result<Option<SpecLines>, CliError> {
        let (Some(path), Some(config)) = (&self.spec, config) else { return Ok(None) };
        if path == Path::new("-") {
            return Ok(None);
        }
        let (found, text) = SpecArgs::of(path).file()?;
        let name = found.file_name().filter(|_| path.is_dir()).map(|name| path.join(name));
        Ok(Some(SpecLines::of(name.as_ref().unwrap_or(path), &text, config)))
    }

    /// What a build of that commit would be asked for by; `recipe` as for [`Self::fetch`].
    ///
    /// # Errors
    /// A wrong spec or name.
    pub(super) fn spec(&self, recipe: Option<&str>) -> Result<Spec, CliError> {
        if let Some(path) = &self.spec {
            return Ok(SpecArgs::of(path).read()?);
        }
        let (project, rev) = self.project.clone().zip(self.rev.clone()).unwrap_or_default();
        let recipe = recipe.unwrap_or(&project);
        let known = builtin(recipe).map_err(|error| {
            CliError::new(Class::User, error.to_string())
                .with_help("name a built-in one with --recipe, or give --spec")
        })?;
        if known.kconfig.is_none() {
            let text = format!("the recipe {recipe} does not say where Kconfig files are");
            return Err(CliError::new(Class::User, text)
                .with_help("give a --spec that says so in a [recipe.kconfig] table"));
        }
        Ok(Spec {
            builtin: Some(recipe.to_owned()),
            recipe: RecipePatch::default(),
            source: SourceAsk::Named(project),
            rev,
            config: Some(ConfigAsk::default()),
            toolchain: ToolchainAsk { image: ImageAsk::Host, digest: None },
            env: [].into(),
            limits: kbs_plan::limits::Limits::default(),
        })
    }
}

impl Fetched {
    fn new(
        tree: pb::KconfigTree,
        lines: Option<&SpecLines>,
        history: History,
    ) -> Result<Self, CliError> {
        let pb::KconfigTree {
            project,
            commit: _,
            version,
            rules,
            env,
            files,
            config: text,
            answers,
            places,
        } = tree;
        let rules = need("rules", rules).and_then(KconfigRules::try_from).map_err(|error| {
            CliError::host("cannot read what the daemon answered", &error)
                .with_help("use a kbs of the same version as the daemon")
        })?;
        let env = env.into_iter().collect();
        Ok(Self {
            rules: of_rules(&project, rules, env, None)?,
            name: format!("{project} {version}"),
            files: files.into_iter().map(|file| (file.path, file.text)).collect(),
            config: ConfigText {
                name: "the spec".to_owned(),
                text,
                places: lines.map_or_else(Vec::new, |lines| {
                    places.iter().map(|place| lines.place(place)).collect()
                }),
            },
            answers: answers.into_iter().collect(),
            history,
        })
    }

    /// Understands the files.
    ///
    /// # Errors
    /// What is wrong with them, with the line.
    pub(super) fn load(&self) -> Result<Kconfig, CliError> {
        let Rules { root, dialect, prefix, env, generated: _, subdir: _ } = &self.rules;
        let loaded = Kconfig::load(root, &self.files, *dialect, env, self);
        loaded.map(|kconfig| kconfig.with_prefix(prefix.clone())).map_err(|error| {
            let mut chain = vec![format!("cannot read the Kconfig files of {}", self.name)];
            chain.extend(snippet::told(&error, &self.files));
            CliError::Told { class: Class::User, chain, help: error.help() }
        })
    }

    /// What the spec asks for, not normalised.
    pub(super) fn config(&self) -> ConfigText {
        self.config.clone()
    }
}
