//! `kbs realize`.

use std::path::{Path, PathBuf};

use kbs_plan::error::Class;
use kbs_plan::limits::JOBS_MAX;
use kbs_proto::pb;
use kbs_proto::pb::ended::How;

use super::Session;
use crate::connect::Daemon;
use crate::deliver::fetch::Fetched;
use crate::deliver::{copy, link, parent, zip};
use crate::error::{CliError, remote};
use crate::exit::Exit;
use crate::follow::{Last, follow};
use crate::place::absolute_text;
use crate::render::json;
use crate::render::progress::{LogTo, Progress};
use crate::render::screen::plain;
use crate::render::text::{short, span, usage};
use crate::spec::SpecArgs;
use crate::ui::{Format, Ui};

/// Hand out the output of a spec, building it where it is not in the store
///
/// Prints the path of the output. An interrupt withdraws the request; a build that nobody else
/// waits for is stopped.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct RealizeArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// Let make run so many jobs at a time; never part of the key
    #[arg(short, long, value_name = "N", value_parser = jobs_range())]
    jobs: Option<u32>,
    /// Build again; a result that differs is told, and the stored one stays
    #[arg(long, conflicts_with = "check")]
    rebuild: bool,
    /// Build again and compare with the output, changing nothing
    #[arg(long, conflicts_with_all = ["out_link", "out", "zip"])]
    check: bool,
    /// Keep the work tree of a failed build
    #[arg(long)]
    keep_failed: bool,
    /// Show the build's log as it runs
    #[arg(short = 'L', long)]
    log: bool,
    /// Make a symbolic link to the output, which keeps it from `kbs gc`; replaces nothing but a link
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    out_link: Option<PathBuf>,
    /// Copy the output's files into this directory
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Write build-meta.json, build.log and the output's files into this archive
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    zip: Option<PathBuf>,
}

fn jobs_range() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(JOBS_MAX))
}

/// Runs `kbs realize`.
///
/// # Errors
/// What is wrong with the request, what the daemon answered, or what could not be handed over.
pub(crate) async fn run(args: RealizeArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    let RealizeArgs { spec, jobs, rebuild, check, keep_failed, log, out_link, out, zip } = args;
    let mut spec = spec.read()?;
    spec.limits.jobs = jobs.or(spec.limits.jobs);
    let targets = Targets { out_link, out, zip };
    targets.check()?;
    let reuse = match (rebuild, check) {
        (true, _) => pb::Reuse::Rebuild,
        (false, true) => pb::Reuse::Check,
        (false, false) => pb::Reuse::Unspecified,
    };
    let mut progress = Progress::new(if log { LogTo::Screen } else { LogTo::LastLine });
    let daemon = session.daemon().await?;
    let ui = &mut *session.ui;
    let request = pb::RealizeRequest {
        spec: Some(spec.into()),
        reuse: reuse.into(),
        keep_failed,
        log: progress.wants_log(ui),
        out_links: targets.links()?,
    };
    let events = daemon.builds().realize(request).await.map_err(remote)?.into_inner();
    let last = follow(events, &mut progress, ui).await;
    progress.finish(ui)?;
    let Last::Ended(ended) = last? else {
        return Err(CliError::new(Class::Bug, "the daemon planned where it was asked to build"));
    };
    if let Some(How::Output(output)) = &ended.how {
        targets.deliver(&daemon, &ended.key, output).await?;
    }
    if ui.format == Format::Json {
        ui.event(&json::ended(&ended))?;
        return Ok(exit_of(&ended));
    }
    match &ended.how {
        Some(How::Output(output)) => tell_output(output, ui)?,
        Some(How::Failure(failure)) => tell_failure(&ended.key, failure, ui),
        Some(How::Check(check)) => tell_check(&ended.key, check, ui),
        None => {}
    }
    Ok(exit_of(&ended))
}

/// Where an output is handed over, besides its path.
struct Targets {
    out_link: Option<PathBuf>,
    out: Option<PathBuf>,
    zip: Option<PathBuf>,
}

impl Targets {
    /// Finds out before a long build what would fail after it.
    fn check(&self) -> Result<(), CliError> {
        let Self { out_link, out: _, zip: _ } = self;
        Ok(out_link.as_deref().map_or(Ok(()), link::check)?)
    }

    /// The links as the daemon has to know them.
    fn links(&self) -> Result<Vec<String>, CliError> {
        let absolute = |link: &PathBuf| absolute_text(link.clone());
        Ok(self.out_link.iter().map(absolute).collect::<Result<_, _>>()?)
    }

    async fn deliver(
        &self,
        daemon: &Daemon,
        key: &str,
        output: &pb::Output,
    ) -> Result<(), CliError> {
        let Self { out_link, out, zip } = self;
        if let Some(dir) = out {
            std::fs::create_dir_all(dir).map_err(|error| {
                CliError::host(format!("cannot make the directory {}", dir.display()), &error)
            })?;
        }
        if let Some(near) = out.as_deref().or(zip.as_deref().map(parent)) {
            let fetched = Fetched::fetch(daemon, key, near).await?;
            if let Some(file) = zip {
                zip::write(daemon, key, &fetched, file).await?;
            }
            if let Some(dir) = out {
                copy::copy(&fetched, dir)?;
            }
        }
        if let Some(path) = out_link {
            link::make(path, Path::new(&output.path))?;
        }
        Ok(())
    }
}

fn exit_of(ended: &pb::Ended) -> Exit {
    match &ended.how {
        Some(How::Output(_) | How::Check(pb::CheckResult { identical: true, .. })) => Exit::Done,
        Some(How::Failure(failure)) if failure.cause == "cancelled" => Exit::Cancelled,
        Some(How::Failure(_) | How::Check(_)) => Exit::BuildFailed,
        None => Exit::Bug,
    }
}

fn tell_output(output: &pb::Output, ui: &mut Ui) -> Result<(), CliError> {
    if !output.marks.is_empty() {
        ui.warn(&format!(
            "the sandbox was not whole ({}), so this output is never shared",
            output.marks.join(", ")
        ));
    }
    if output.built {
        let took_ms = output.phases.iter().map(|phase| phase.took_ms).sum();
        let took = span(std::time::Duration::from_millis(took_ms));
        let used = output.usage.as_ref().map(|it| format!(" ({})", usage(it)));
        ui.say(&format!("built {} in {took}{}", output.name, used.unwrap_or_default()));
    } else {
        ui.say(&format!("reused {}", output.name));
    }
    ui.data(&output.path)
}

fn tell_failure(key: &str, failure: &pb::Failure, ui: &mut Ui) {
    let pb::Failure { cause: _, text, code: _, command: _, tail, kept, limit, usage: used } =
        failure;
    if !tail.is_empty() {
        let lines: Vec<_> = plain(tail).lines().map(|line| format!("  | {line}")).collect();
        ui.log(format!("{}\n", lines.join("\n")).as_bytes());
    }
    let chain = vec![format!("the build failed: {text}")];
    if let Some(used) = used {
        ui.say(&format!("used {}", usage(used)));
    }
    let shell = if kept.is_empty() {
        "look around with `kbs shell SPEC`, or keep the work tree with --keep-failed".to_owned()
    } else {
        format!("the work tree is {kept}; go on there with `kbs shell --failed {}`", short(key))
    };
    // What the machine itself could not give, no limit gives.
    let raise = if limit.is_empty() || limit.starts_with("host-") {
        String::new()
    } else {
        format!("raise limits.{limit} in the spec, or in the daemon's configuration; ")
    };
    let help = format!("{raise}see the whole log with `kbs log {key}`; {shell}");
    ui.error(&CliError::Told { class: Class::Build, chain, help: Some(help) });
}

fn tell_check(key: &str, check: &pb::CheckResult, ui: &mut Ui) {
    if check.identical {
        ui.say("the second build is identical");
        return;
    }
    let chain = std::iter::once("the second build differs from the stored one".to_owned())
        .chain(check.differences.iter().map(|difference| {
            let pb::FileDifference { path, offset, text } = difference;
            match offset {
                Some(offset) => format!("{path}, from byte {offset} on: {text}"),
                None => format!("{path}: {text}"),
            }
        }))
        .collect();
    let help = format!("compare the logs; that of the stored build is `kbs log {key}`");
    ui.error(&CliError::Told { class: Class::Build, chain, help: Some(help) });
}
