//! `kbs gc`.

use std::ops::ControlFlow;
use std::time::Duration;

use kbs_plan::quantity::{ByteSize, Span};
use kbs_proto::pb;
use kbs_proto::pb::collect_event::Event;

use super::Session;
use crate::error::{CliError, gone, remote};
use crate::exit::Exit;
use crate::follow::until;
use crate::render::json;
use crate::render::table::Table;
use crate::render::text::{count, short, size, span, time};
use crate::ui::{Format, Ui};

/// Remove outputs, sources, images and logs that nothing needs
///
/// Without a criterion, does what `[gc]` in the daemon's configuration says. What a root, a named
/// image, running work or a kept work tree needs always stays. Builds go on meanwhile. What goes is
/// gone for everybody when this ends; the daemon then removes the files, unless told to `--wait`.
#[derive(Debug, clap::Args)]
pub(crate) struct GcArgs {
    /// Everything that nothing holds
    #[arg(long)]
    all: bool,
    /// What was not used for so long: seconds, or `30d`
    #[arg(long, value_name = "SPAN")]
    older_than: Option<Span>,
    /// The least recently used, until the store is no larger
    #[arg(long, value_name = "SIZE")]
    max_size: Option<ByteSize>,
    /// The least recently used, until so much is free on the disk
    #[arg(long, value_name = "SIZE")]
    free: Option<ByteSize>,
    /// Leave each project's newest N outputs; alone, remove its others
    #[arg(long, value_name = "N")]
    keep: Option<u32>,
    /// Tell of everything why it would stay or go, and remove nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Return when all bytes have come back, and say how many; implied by --max-size and --free
    #[arg(long)]
    wait: bool,
}

/// Runs `kbs gc`.
///
/// # Errors
/// What the daemon answered, or the interrupt.
pub(crate) async fn run(args: GcArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    let GcArgs { all, older_than, max_size, free, keep, dry_run, wait } = args;
    let policy = pb::CollectPolicy {
        everything: all,
        older_than_s: older_than.map(|Span(span)| span.as_secs()),
        max_size_b: max_size.map(|ByteSize(size_b)| size_b),
        min_free_b: free.map(|ByteSize(size_b)| size_b),
        keep,
    };
    // Nothing asked is not the same as asking for nothing.
    let policy = Some(policy).filter(|policy| *policy != pb::CollectPolicy::default());
    let is_configured = policy.is_none();
    let daemon = session.daemon().await?;
    // Who asks for room wants to use it; in this process nobody else would remove the files.
    let is_asked = wait || max_size.is_some() || free.is_some();
    let waits = is_asked || dry_run || daemon.socket.is_none();
    let request = pb::CollectRequest { dry_run, policy };
    let events = daemon.store().collect(request).await.map_err(remote)?.into_inner();
    let ui = &mut *session.ui;
    let mut table = Table::new(&["FATE", "KIND", "ID", "NAME", "SIZE", "USED", "WHY"]);
    let mut end = None;
    until(events, |event| {
        match event.event {
            Some(Event::Progress(progress)) => show(&progress, ui),
            Some(Event::Decision(it)) if !it.goes && !dry_run => {}
            Some(Event::Decision(it)) if ui.format == Format::Json => {
                ui.json(&json::decision(&it))?;
            }
            Some(Event::Decision(it)) => row(&it, &mut table),
            Some(Event::Gone(it)) => {
                if ui.format == Format::Json {
                    ui.json(&json::gone(&it))?;
                }
                end = Some(End::Gone(it));
                if !waits {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Some(Event::Summary(it)) => {
                if ui.format == Format::Json {
                    ui.json(&json::summary(&it, dry_run))?;
                }
                end = Some(End::Summary(it));
            }
            // An event of a newer daemon.
            None => {}
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    ui.clear();
    let end = end.filter(|end| !waits || matches!(end, End::Summary(_)));
    let end = end.ok_or_else(|| gone(None))?;
    if ui.format == Format::Json {
        return Ok(Exit::Done);
    }
    if !table.is_empty() && (dry_run || ui.is_verbose()) {
        ui.data(&table)?;
    }
    ui.data(&end.told(dry_run))?;
    if let (0, 1.., true) = (end.things(), end.stay(), is_configured) {
        ui.say("the configuration asks for nothing to go; see `kbs gc --help` for what else can");
    }
    Ok(Exit::Done)
}

/// What is told at the end.
enum End {
    /// Files are still being removed.
    Gone(pb::CollectGone),
    Summary(pb::CollectSummary),
}

impl End {
    fn things(&self) -> u64 {
        match self {
            Self::Gone(gone) => gone.things,
            Self::Summary(summary) => summary.things,
        }
    }

    fn stay(&self) -> u64 {
        match self {
            Self::Gone(gone) => gone.stay,
            Self::Summary(summary) => summary.stay,
        }
    }

    /// For people.
    fn told(&self, dry_run: bool) -> String {
        let things = count(self.things(), "thing");
        let stay = self.stay();
        match self {
            Self::Summary(pb::CollectSummary { freed_b, .. }) if dry_run => {
                format!("would free {}: {things} would go, {stay} would stay", size(*freed_b))
            }
            Self::Summary(pb::CollectSummary { freed_b, litter, .. }) => {
                let swept = match litter {
                    0 => String::new(),
                    litter => format!(", and swept {}", count(*litter, "leftover")),
                };
                format!("freed {}: {things} went, {stay} stay{swept}", size(*freed_b))
            }
            Self::Gone(pb::CollectGone { size_b: 0, .. }) => {
                format!("{things} went, {stay} stay")
            }
            Self::Gone(pb::CollectGone { size_b, .. }) => {
                format!("{things} went, {stay} stay; up to {} are being freed", size(*size_b))
            }
        }
    }
}

fn show(progress: &pb::CollectProgress, ui: &mut Ui) {
    let pb::CollectProgress { step, done, of } = progress;
    let text = match step.as_str() {
        "list" => "looking at everything in the store".to_owned(),
        "remove" => format!("removed {done} of {of}"),
        "sweep" => "looking for what killed work has left".to_owned(),
        "give-back" => format!("removing files: {done} of {of} parts"),
        other => other.to_owned(),
    };
    if ui.is_live() { ui.show(&text) } else { ui.detail(&text) }
}

fn row(decision: &pb::CollectDecision, table: &mut Table) {
    let pb::CollectDecision { kind, id, name, size_b, last_use_unix_s, goes, .. } = decision;
    // Layers and images have no name but their id.
    let name = if name == id { "" } else { name };
    let id = if kind == "kept" { id } else { short(id) };
    let fate = if *goes { "goes" } else { "stays" };
    table.row([fate, kind, id, name, &size(*size_b), &time(*last_use_unix_s), &why(decision)]);
}

/// Why something stays or goes, for people.
fn why(decision: &pb::CollectDecision) -> String {
    let pb::CollectDecision { why, held_by, number, .. } = decision;
    match why.as_str() {
        "held" => held_by.iter().map(holder).collect::<Vec<_>>().join(", "),
        "newest" => format!("among the {number} newest of its project"),
        "not-asked" => "nothing asks for it to go".to_owned(),
        "unheld" => "nothing needs it".to_owned(),
        "unused" => format!("not used for {}", since(*number)),
        "room" => "room is wanted, and it is the least recently used".to_owned(),
        other => other.to_owned(),
    }
}

fn holder(holder: &pb::CollectHolder) -> String {
    let pb::CollectHolder { kind, name } = holder;
    match kind.as_str() {
        "root" => format!("kept by the root {name}"),
        "work" => "in use".to_owned(),
        "image-name" => format!("named {name}"),
        "kept" => format!("needed by the work tree {name}"),
        other => format!("{other} {name}"),
    }
}

fn since(seconds: u64) -> String {
    match seconds / 86_400 {
        0 => span(Duration::from_secs(seconds)),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    }
}
