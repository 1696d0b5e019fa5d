//! `kbs root`.

use kbs_proto::pb;

use super::Session;
use crate::error::{CliError, remote};
use crate::exit::Exit;
use crate::key::KeyText;
use crate::place::absolute_text;
use crate::render::json;
use crate::render::table::Table;
use crate::render::text::{short, time};
use crate::ui::Format;

/// Keep outputs by name, so that `kbs gc` leaves them
///
/// `kbs realize --out-link PATH` does the same by a link, for as long as the link is there.
#[derive(Debug, clap::Args)]
pub(crate) struct RootArgs {
    #[command(subcommand)]
    command: RootCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RootCommand {
    /// Keep an output under a name; an earlier root of that name is replaced
    Add {
        /// The name; no path
        name: String,
        /// A key, 4 or more of its first digits, or the path of an output or of a link to one
        key: String,
    },
    /// Forget a name; its output may go then
    Rm {
        /// The name, or the path of a link
        name: String,
    },
    /// List names and links that keep outputs
    Ls,
}

/// Runs `kbs root`.
///
/// # Errors
/// What the daemon answered.
pub(crate) async fn run(args: RootArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    match args.command {
        RootCommand::Add { name, key } => add(name, &key, session).await?,
        RootCommand::Rm { name } => {
            // The daemon has another directory.
            let name = if name.contains('/') { absolute_text(name.into())? } else { name };
            let daemon = session.daemon().await?;
            daemon.store().remove_root(pb::RemoveRootRequest { name }).await.map_err(remote)?;
        }
        RootCommand::Ls => ls(session).await?,
    }
    Ok(Exit::Done)
}

async fn add(name: String, key: &str, session: &mut Session<'_>) -> Result<(), CliError> {
    let key = key.parse::<KeyText>()?.to_wire();
    let daemon = session.daemon().await?;
    let request = pb::AddRootRequest { name: name.clone(), key };
    let pb::AddRootReply { key } =
        daemon.store().add_root(request).await.map_err(remote)?.into_inner();
    match session.ui.format {
        Format::Json => session.ui.json(&json::kept(&name, &key)),
        Format::Text => {
            session.ui.say(&format!("{name} keeps {key}"));
            Ok(())
        }
    }
}

async fn ls(session: &mut Session<'_>) -> Result<(), CliError> {
    let daemon = session.daemon().await?;
    let reply = daemon.store().list_roots(pb::ListRootsRequest {}).await.map_err(remote)?;
    let ui = &mut *session.ui;
    let mut table = Table::new(&["NAME", "KIND", "KEY", "STATE", "SINCE"]);
    for root in &reply.into_inner().roots {
        if ui.format == Format::Json {
            ui.json(&json::root(root))?;
            continue;
        }
        let pb::RootEntry { name, kind, key, state, created_unix_s } = root;
        table.row([name, kind, short(key), state, &time(*created_unix_s)]);
    }
    if table.is_empty() { Ok(()) } else { ui.data(&table) }
}
