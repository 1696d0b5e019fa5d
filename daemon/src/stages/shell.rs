//! Opens the sandbox of a build to a person.

use std::path::Path;

use kbs_plan::id::BuildKey;
use kbs_plan::spec::Spec;
use kbs_sandbox::{Finished, JailSpec, Outcome};
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::termios::Winsize;

use super::kept::Kept;
use super::streams::{self, Inputs};
use super::{build, ingest, realize, verdict};
use crate::engine::Engine;
use crate::engine::watch::{Happening, Opened, Watch};
use crate::problem::{EngineError, Problem};

/// What a client asks for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) sandbox: Sandbox,
    pub(crate) command: Command,
}

/// What is to run, and where the client sits.
#[derive(Debug)]
pub(crate) struct Command {
    /// Empty runs a shell.
    pub(crate) argv: Vec<String>,
    pub(crate) terminal: Option<Terminal>,
}

/// Whose sandbox.
#[derive(Debug)]
pub(crate) enum Sandbox {
    /// As the build of a spec begins.
    Fresh(Box<Spec>),
    /// As a failed build left it.
    Failed(BuildKey),
}

/// The client's terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// Its kind, as in `TERM`; may be empty.
    pub(crate) kind: String,
    pub(crate) size: Winsize,
}

/// How a command in an open sandbox ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// With everything in the sandbox killed; why, for people.
    Killed(String),
}

/// Opens a sandbox and carries bytes until the command there has ended.
pub(crate) fn shell(
    engine: &Engine,
    ask: Ask,
    inputs: Inputs,
    watch: &Watch,
) -> Result<End, Problem> {
    engine.check_open()?;
    let Ask { sandbox, command } = ask;
    command.check()?;
    match sandbox {
        Sandbox::Fresh(spec) => {
            let planned = realize::plan(engine, &spec, watch)?;
            let order = realize::order(engine, planned, &spec, "")?;
            let source = watch.phase("ingest", "", || ingest::ingest(engine, &order.selection))?;
            let room = engine.scratch(order.limits.scratch_b)?;
            let jail = build::jail_spec(&order, &source, room.scratch.clone());
            let opened = opened(&jail, order.derivation.project.clone());
            run(engine, jail, opened, command, inputs, watch)
        }
        Sandbox::Failed(key) => {
            let kept = Kept::open(engine, key)?;
            let opened = opened(&kept.jail, kept.project.clone());
            let opened = Opened { kept: Some(kept.tree.clone()), ..opened };
            run(engine, kept.jail.clone(), opened, command, inputs, watch)
        }
    }
}

/// What a client is told of the jail of a build.
fn opened(jail: &JailSpec, project: String) -> Opened {
    let directory = jail.steps.last().map(|step| step.cwd.to_string());
    Opened {
        project,
        commands: jail.steps.iter().map(|step| step.argv.clone()).collect(),
        directory: directory.unwrap_or_default(),
        kept: None,
    }
}

impl Command {
    /// Refuses what no process can be given.
    fn check(&self) -> Result<(), EngineError> {
        let Self { argv, terminal } = self;
        let kind = terminal.as_ref().map(|terminal| &terminal.kind);
        let has_name = argv.first().is_none_or(|program| !program.is_empty());
        if has_name && !argv.iter().chain(kind).any(|word| word.contains('\0')) {
            return Ok(());
        }
        let text = "the command has no name, or a word that no command can have".to_owned();
        Err(EngineError::Request { text, help: None })
    }

    /// Takes the place of a build's own commands; nobody hurries it.
    fn enter(self, jail: &mut JailSpec, project: &str) {
        let Self { argv, terminal } = self;
        let argv = if argv.is_empty() {
            if terminal.is_some() {
                jail.env.insert("PS1".to_owned(), format!("kbs {project}:$PWD$ "));
            }
            shell_of(&jail.root, terminal.as_ref())
        } else {
            argv
        };
        if let Some(Terminal { kind, size: _ }) = terminal.filter(|it| !it.kind.is_empty()) {
            jail.env.insert("TERM".to_owned(), kind);
        }
        jail.limits.wall = None;
        // All steps of a build run in one directory.
        jail.steps.truncate(1);
        for step in &mut jail.steps {
            step.argv.clone_from(&argv);
        }
    }
}

/// The shell of an image, told to read no file that could change the build's environment.
fn shell_of(root: &Path, terminal: Option<&Terminal>) -> Vec<String> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let has_bash = open(root, flags, Mode::empty())
        .and_then(|root| openat2(root, "bin/bash", flags, Mode::empty(), ResolveFlags::IN_ROOT))
        .is_ok();
    let mut argv = if has_bash { vec!["/bin/bash", "--norc"] } else { vec!["/bin/sh"] };
    argv.extend(terminal.map(|_| "-i"));
    argv.into_iter().map(str::to_owned).collect()
}

fn run(
    engine: &Engine,
    mut jail: JailSpec,
    opened: Opened,
    command: Command,
    inputs: Inputs,
    watch: &Watch,
) -> Result<End, Problem> {
    let host = |source| EngineError::Host {
        action: "open the streams of",
        path: "the sandbox".into(),
        source,
    };
    let size = command.terminal.as_ref().map(|terminal| terminal.size);
    let (ours, theirs) = streams::streams(size).map_err(host)?;
    command.enter(&mut jail, &opened.project);
    watch.check()?;
    let job = engine.start_jail(&jail, &|| theirs.console(), |_| {})?;
    // From now on only the jail holds them, so what we read comes to an end.
    drop(theirs);
    watch.kill_when_withdrawn(&job);
    watch.tell(Happening::Opened(Box::new(opened)));
    ours.carry(inputs, watch).map_err(host)?;
    end(engine, job.wait().map_err(|source| EngineError::Sandbox { source })?, &jail)
}

fn end(engine: &Engine, finished: Finished, jail: &JailSpec) -> Result<End, Problem> {
    let Finished { outcome, usage, .. } = finished;
    Ok(match outcome {
        Outcome::Succeeded => End::Status(0),
        Outcome::Failed { step: _, code } => End::Status(code),
        Outcome::Signaled { step: _, signal } => End::Signal(signal),
        Outcome::Exceeded(limit) => {
            let (_, text) = verdict::exceeded(limit, jail, &usage);
            End::Killed(format!("everything in the sandbox was killed: {text}"))
        }
        Outcome::Lost { signal } => {
            End::Killed(format!("the sandbox's first process {}", verdict::lost(signal)))
        }
        Outcome::Killed => return Err(EngineError::Withdrawn.into()),
        Outcome::SetupFailed(failure) => return Err(engine.refused(failure).into()),
    })
}
