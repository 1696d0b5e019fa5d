//! `kbs ls`.

use kbs_proto::pb;

use super::Session;
use crate::error::{CliError, remote};
use crate::exit::Exit;
use crate::render::json;
use crate::render::table::Table;
use crate::render::text::{short, size, time};
use crate::ui::Format;

/// List outputs, newest first
#[derive(Debug, clap::Args)]
pub(crate) struct LsArgs {
    /// Only of this project
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Failed builds instead of outputs
    #[arg(long)]
    failed: bool,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Runs `kbs ls`.
///
/// # Errors
/// What the daemon answered.
pub(crate) async fn run(args: LsArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    let LsArgs { project, failed, limit } = args;
    let daemon = session.daemon().await?;
    let request = pb::ListRequest {
        project: project.unwrap_or_default(),
        limit: limit.unwrap_or_default(),
        failed,
    };
    let reply = daemon.builds().list(request).await.map_err(remote)?.into_inner();
    let ui = &mut *session.ui;
    if ui.format == Format::Json {
        for entry in &reply.entries {
            ui.json(&json::list_entry(entry))?;
        }
        return Ok(Exit::Done);
    }
    let last = if failed { "FAILURE" } else { "SIZE" };
    let mut table = Table::new(&["KEY", "PROJECT", "VERSION", "CREATED", last]);
    for entry in &reply.entries {
        let last = if failed { entry.failure.clone() } else { size(entry.size_b) };
        let created = time(entry.created_unix_s);
        table.row([short(&entry.key), &entry.project, &entry.version, &created, &last]);
    }
    if table.is_empty() {
        ui.say(if failed { "there are no failed builds" } else { "there are no outputs" });
    } else {
        ui.data(&table)?;
    }
    Ok(Exit::Done)
}
