//! `kbs store`.

use kbs_daemon::{Config, Index, Upkeep};
use kbs_plan::error::Class;
use kbs_proto::pb;
use kbs_proto::pb::verify_event::Event;

use super::Session;
use crate::connect::Daemon;
use crate::error::{CliError, gone, remote};
use crate::exit::Exit;
use crate::follow::each;
use crate::place::{Place, config_file};
use crate::render::json;
use crate::render::table::{Table, pairs};
use crate::render::text::{count, size};
use crate::ui::{Format, Ui};

/// Check, count, measure and mend what is kept
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

/// What to do with the store
#[derive(Debug, clap::Subcommand)]
pub(crate) enum StoreCommand {
    Verify(VerifyArgs),
    /// Count what is kept, and what equal files save
    Stat,
    /// Measure every part of the state directory, file by file
    Du,
    /// Make the index again from the files beside it
    ///
    /// For an index that is damaged; the old one is kept beside the new one. No daemon may be using the
    /// state directory.
    RebuildIndex,
}

/// Compare everything with what was promised of it, down to the last byte
///
/// Exits with 3 when something is damaged and was not repaired. Builds go on meanwhile.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Restore what is damaged from other copies, and forget what cannot be restored, so that it is made
    /// again when it is asked for
    #[arg(long)]
    repair: bool,
    /// Compare N outputs, layers, images and blobs, others each time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
}

/// Runs `kbs store`.
///
/// # Errors
/// What the daemon answered, or why the index cannot be made.
pub(crate) async fn run(args: StoreArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    match args.command {
        StoreCommand::Verify(args) => verify(args, session).await,
        StoreCommand::Stat => {
            let daemon = session.daemon().await?;
            let reply = daemon.store().stat(pb::StatRequest {}).await.map_err(remote)?;
            tell_stat(&reply.into_inner(), session.ui)?;
            Ok(Exit::Done)
        }
        StoreCommand::Du => {
            let daemon = session.daemon().await?;
            let reply = daemon.store().usage(pb::UsageRequest {}).await.map_err(remote)?;
            tell_usage(&reply.into_inner(), session.ui)?;
            Ok(Exit::Done)
        }
        StoreCommand::RebuildIndex => rebuild_index(session).await,
    }
}

async fn verify(args: VerifyArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    let VerifyArgs { repair, sample } = args;
    let daemon = session.daemon().await?;
    let request = pb::VerifyRequest { sample, repair };
    let events = daemon.store().verify(request).await.map_err(remote)?.into_inner();
    let ui = &mut *session.ui;
    let mut table = Table::new(&["WHAT", "PROBLEM", "DONE", "FILE"]);
    let (mut summary, mut found, mut left) = (None, 0, 0);
    each(events, |event| {
        match event.event {
            Some(Event::Progress(seen)) if ui.is_live() => ui.show(&compared(&seen)),
            Some(Event::Progress(seen)) => ui.detail(&compared(&seen)),
            Some(Event::Finding(finding)) => {
                found += 1;
                left += u64::from(!is_mended(&finding));
                if ui.format == Format::Json {
                    ui.json(&json::finding(&finding))?;
                }
                let pb::Finding { what, path, problem, done } = &finding;
                let done = if done.is_empty() { "-" } else { done };
                table.row([what, problem, done, path]);
            }
            Some(Event::Summary(seen)) => summary = Some(seen),
            // An event of a newer daemon.
            None => {}
        }
        Ok(())
    })
    .await?;
    ui.clear();
    let summary = summary.ok_or_else(|| gone(None))?;
    match ui.format {
        Format::Json => ui.json(&json::verified(&summary, found, left))?,
        Format::Text if table.is_empty() => {}
        Format::Text => ui.data(&table)?,
    }
    let seen = compared(&summary);
    if found == 0 {
        ui.say(&format!("{seen}; nothing is wrong"));
    } else if left == 0 {
        ui.say(&format!("{seen}; {}, all repaired", count(found, "finding")));
    } else {
        ui.say(&format!("{seen}; {}, {left} not repaired", count(found, "finding")));
        if !repair {
            ui.say("repair what can be with `kbs store verify --repair`");
        }
    }
    Ok(if left == 0 { Exit::Done } else { Exit::Host })
}

/// Whether what was wrong is so no more.
fn is_mended(finding: &pb::Finding) -> bool {
    matches!(finding.done.as_str(), "restored" | "removed" | "forgotten")
}

fn compared(seen: &pb::VerifyProgress) -> String {
    let pb::VerifyProgress { things, files, read_b } = seen;
    let (things, files) = (count(*things, "thing"), count(*files, "file"));
    format!("compared {things} and {files}, {}", size(*read_b))
}

fn tell_stat(stat: &pb::StatReply, ui: &mut Ui) -> Result<(), CliError> {
    if ui.format == Format::Json {
        return ui.json(&json::stat(stat));
    }
    let pb::StatReply {
        state_dir,
        schema,
        outputs,
        outputs_b,
        layers,
        layers_b,
        images,
        images_b,
        blobs,
        blobs_b,
        failures,
        roots,
        index_b,
        free_b,
        shares_bytes,
    } = stat;
    let with_size = |number: &u64, size_b: &u64| format!("{number}, {}", size(*size_b));
    let layers = match shares_bytes {
        true => format!("{}, whose bytes the file system shares", with_size(layers, layers_b)),
        false => with_size(layers, layers_b),
    };
    let shared = match json::dedupe_hundredths(stat) {
        Some(ratio) => format!("{}.{:02} times what is on disk", ratio / 100, ratio % 100),
        None => "nothing is kept".to_owned(),
    };
    ui.data(&pairs(&[
        ("state", state_dir),
        ("outputs", &with_size(outputs, outputs_b)),
        ("layers", &layers),
        ("images", &with_size(images, images_b)),
        ("blobs", &with_size(blobs, blobs_b)),
        ("all trees", &shared),
        ("failures", &failures.to_string()),
        ("roots", &roots.to_string()),
        ("index", &format!("{}, schema {schema}", size(*index_b))),
        ("free", &size(*free_b)),
    ]))
}

fn tell_usage(usage: &pb::UsageReply, ui: &mut Ui) -> Result<(), CliError> {
    let mut table = Table::new(&["PART", "FILES", "SIZE", "DISK"]);
    let mut all = pb::PartUsage { name: "all".to_owned(), ..Default::default() };
    for part in &usage.parts {
        if ui.format == Format::Json {
            ui.json(&json::part(part))?;
        }
        let pb::PartUsage { name, files, size_b, disk_b } = part;
        all.files += files;
        all.size_b += size_b;
        all.disk_b += disk_b;
        table.row([name, &files.to_string(), &size(*size_b), &size(*disk_b)]);
    }
    if ui.format == Format::Json {
        return Ok(());
    }
    let pb::PartUsage { name, files, size_b, disk_b } = all;
    table.row([&name, &files.to_string(), &size(size_b), &size(disk_b)]);
    ui.data(&table)
}

/// Opens the store in this process with an index made anew.
async fn rebuild_index(session: &mut Session<'_>) -> Result<Exit, CliError> {
    let state = match &session.place {
        Place::State { shared: _, dir } | Place::Here(dir) => dir.clone(),
        Place::Socket(_) => {
            let message = "an index is made again without a daemon";
            return Err(CliError::new(Class::User, message)
                .with_help("give --state DIR instead of a socket"));
        }
    };
    if !state.join("kbs-state").exists() {
        let message = format!("there is no kbs state directory {}", state.display());
        return Err(CliError::new(Class::NotFound, message).with_help("give --state DIR"));
    }
    let mut config = Config::read(&state, config_file(session.env)?.as_deref())?;
    config.index = Index::Anew;
    // Nothing goes before somebody has seen what was found.
    config.upkeep = Upkeep { min_free_b: 0, ..Upkeep::default() };
    session.ui.show("reading everything that is kept");
    let daemon = Daemon::inside(config).await?;
    let reply = daemon.store().stat(pb::StatRequest {}).await.map_err(remote)?;
    session.ui.say("the index was made again from the files; this is what was found");
    tell_stat(&reply.into_inner(), session.ui)?;
    Ok(Exit::Done)
}
