//! `kbs doctor`.

use kbs_proto::pb;

use super::Session;
use crate::error::{CliError, remote};
use crate::exit::Exit;
use crate::render::json;
use crate::render::table::Table;
use crate::ui::Format;

/// Check what the daemon's host gives to builds, layer by layer
///
/// Tells of each layer that is missing why it matters and what would provide it. Exits with 3 when
/// one is missing without which builds are refused.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {}

/// Runs `kbs doctor`.
///
/// # Errors
/// What the daemon answered.
pub(crate) async fn run(args: DoctorArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    let DoctorArgs {} = args;
    let daemon = session.daemon().await?;
    let reply = daemon.control().doctor(pb::DoctorRequest {}).await.map_err(remote)?.into_inner();
    let ui = &mut *session.ui;
    if ui.format == Format::Json {
        for layer in &reply.entries {
            ui.json(&json::layer(layer))?;
        }
    } else {
        let mut table = Table::new(&["LAYER", "STATE", "FOUND"]);
        for pb::DoctorEntry { layer, ok, required, text, .. } in &reply.entries {
            let state = match (ok, required) {
                (true, _) => "OK",
                (false, true) => "FAIL",
                (false, false) => "FAIL (optional)",
            };
            table.row([layer, state, text]);
        }
        ui.data(&table)?;
        for pb::DoctorEntry { layer, fix, matters, .. } in
            reply.entries.iter().filter(|entry| !entry.ok)
        {
            let fix = if fix.is_empty() { String::new() } else { format!("\n  fix: {fix}") };
            ui.data(&format!("\n{layer}: {matters}{fix}"))?;
        }
    }
    let refused = reply.entries.iter().any(|layer| layer.required && !layer.ok);
    if refused {
        ui.say("builds are refused until every required layer is there");
    }
    Ok(if refused { Exit::Host } else { Exit::Done })
}
