//! Commands that Kconfig files ask for, run in a jail and remembered.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kbs_kconfig::{Shell, ShellRefusal};
use kbs_plan::derivation::SANDBOX_CONTRACT;
use kbs_plan::id::ConfigureKey;
use kbs_sandbox::{Finished, JailPath, Limits, Step};
use kbs_source::Selection;
use serde::Serialize;

use super::image::Toolchain;
use super::ingest::{self, Source};
use super::own_tool::step_jail;
use super::{build, jail, verdict};
use crate::contract;
use crate::engine::Engine;
use crate::engine::watch::Watch;
use crate::problem::Problem;

/// Commands that one tree may ask for, the time of each, and that of all.
const COMMANDS_MAX: usize = 2000;
const WALL: Duration = Duration::from_mins(1);
const WALL_OF_ALL: Duration = Duration::from_mins(10);
/// Bytes that a command may print.
const PRINTED_MAX_B: usize = 1 << 20;

/// A shell without errors on stdout, and whose status does not count, as Kconfig tools run it.
const RUN: &str = "sh -c \"$1\" 2>/dev/null </dev/null; exit 0";

/// What decides, besides the command, what a command prints.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings<'a> {
    pub(crate) toolchain: &'a Toolchain,
    /// How the sandbox falls short.
    marks: BTreeSet<String>,
}

impl<'a> Surroundings<'a> {
    /// A toolchain on this host.
    pub(crate) fn new(engine: &Engine, toolchain: &'a Toolchain) -> Result<Self, Problem> {
        Ok(Self { toolchain, marks: build::marks(&engine.without()?) })
    }

    /// What of it belongs into keys.
    pub(crate) fn inputs(&self) -> SurroundingInputs<'_> {
        let Self { toolchain, marks } = self;
        let toolchain = toolchain.digest.to_string();
        SurroundingInputs { contract: SANDBOX_CONTRACT, toolchain, marks }
    }
}

/// See [`Surroundings::inputs`].
#[derive(Debug, Serialize)]
pub(crate) struct SurroundingInputs<'a> {
    contract: u32,
    toolchain: String,
    marks: &'a BTreeSet<String>,
}

/// Runs commands in a jail that holds the files of a selection.
pub(crate) struct JailShell<'a> {
    engine: &'a Engine,
    watch: &'a Watch,
    surroundings: &'a Surroundings<'a>,
    selection: &'a Selection,
    subdir: Option<&'a str>,
    env: &'a BTreeMap<String, String>,
    source: RefCell<Option<Source>>,
    asked: Cell<usize>,
    began: Instant,
    problem: RefCell<Option<Problem>>,
}

#[derive(Serialize)]
struct CommandInputs<'a> {
    command: &'a str,
    selection: String,
    subdir: Option<&'a str>,
    env: &'a BTreeMap<String, String>,
    surroundings: SurroundingInputs<'a>,
}

impl<'a> JailShell<'a> {
    /// A shell in which nothing was run yet.
    pub(crate) fn new(
        (engine, watch): (&'a Engine, &'a Watch),
        surroundings: &'a Surroundings<'a>,
        selection: &'a Selection,
        subdir: Option<&'a str>,
        env: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            engine,
            watch,
            surroundings,
            selection,
            subdir,
            env,
            source: RefCell::default(),
            asked: Cell::default(),
            began: Instant::now(),
            problem: RefCell::default(),
        }
    }

    /// What kept a command from being run, where that was not the command's doing.
    pub(crate) fn into_problem(self) -> Option<Problem> {
        self.problem.into_inner()
    }

    fn remembered_or_run(&self, command: &str) -> Result<Result<String, String>, Problem> {
        let Self { engine, surroundings, selection, subdir, env, .. } = self;
        let inputs = CommandInputs {
            command,
            selection: selection.id.to_string(),
            subdir: *subdir,
            env,
            surroundings: surroundings.inputs(),
        };
        let document = serde_json::to_vec(&inputs).expect("text and maps of text");
        let key = ConfigureKey::of(&document);
        let printed = match engine.store.configured(key)? {
            Some(printed) => printed,
            None => match self.run(command)? {
                Ok(printed) => {
                    engine.store.remember_configured(key, &printed)?;
                    printed
                }
                Err(reason) => return Ok(Err(reason)),
            },
        };
        Ok(String::from_utf8(printed).map_err(|_| "what it prints is no UTF-8".to_owned()))
    }

    /// What the command prints, or why it was ended.
    fn run(&self, command: &str) -> Result<Result<Vec<u8>, String>, Problem> {
        let Self { engine, watch, surroundings, selection, subdir, env, source, asked, .. } = self;
        asked.set(asked.get() + 1);
        if asked.get() > COMMANDS_MAX || self.began.elapsed() > WALL_OF_ALL {
            return Ok(Err("the project asks for too many commands".to_owned()));
        }
        if source.borrow().is_none() {
            *source.borrow_mut() = Some(ingest::ingest(engine, selection)?);
        }
        let source = source.borrow();
        let layers = source.iter().flat_map(|source| source.layers.clone()).collect();
        let work_dir = contract::work_dir(*subdir);
        let (mut spec, _room) = step_jail(engine, surroundings.toolchain, layers)?;
        spec.limits = Limits { wall: Some(WALL), ..spec.limits };
        spec.env = contract::environment(env, &work_dir, 0);
        let argv = ["sh", "-c", RUN, "sh", command].map(str::to_owned).to_vec();
        let cwd = JailPath::new(&work_dir).expect("a checked path below /build");
        spec.steps = vec![Step { argv, cwd }];
        let mut printed = Vec::new();
        let mut is_too_long = false;
        let finished = jail::run(
            engine,
            &spec,
            |job| watch.kill_when_withdrawn(job),
            |_| {},
            |bytes| {
                is_too_long |= printed.len() + bytes.len() > PRINTED_MAX_B;
                if !is_too_long {
                    printed.extend_from_slice(bytes);
                }
                Ok(())
            },
        )?;
        if is_too_long {
            return Ok(Err(format!("it prints more than {PRINTED_MAX_B} bytes")));
        }
        let Finished { outcome, usage, .. } = finished;
        let verdict = verdict::judge(outcome, &spec, &usage, "")?;
        Ok(verdict.map_or(Ok(printed), |verdict| Err(verdict.text)))
    }
}

impl Shell for JailShell<'_> {
    fn output(&self, command: &str) -> Result<String, ShellRefusal> {
        match self.remembered_or_run(command) {
            Ok(printed) => printed.map_err(|reason| ShellRefusal { reason }),
            Err(problem) => {
                let reason = problem.to_string();
                *self.problem.borrow_mut() = Some(problem);
                Err(ShellRefusal { reason })
            }
        }
    }
}
