//! `kbs source`.

use kbs_proto::pb;
use kbs_proto::pb::sync_event::Event;

use super::Session;
use crate::error::{CliError, remote};
use crate::exit::Exit;
use crate::render::json;
use crate::render::table::Table;
use crate::render::text::time;
use crate::ui::Format;

/// Name git repositories and keep them in sync
#[derive(Debug, clap::Args)]
pub(crate) struct SourceArgs {
    #[command(subcommand)]
    command: SourceCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SourceCommand {
    /// Name a repository
    Add {
        /// The name, for project.source in a spec
        name: String,
        /// A URL, or the path of a local repository
        url: String,
        /// Change the URL of a name that exists
        #[arg(long)]
        replace: bool,
    },
    /// Forget a repository
    Rm {
        /// The name
        name: String,
    },
    /// List repositories
    Ls,
    /// Fetch the branches and tags of one repository, or of all
    Sync {
        /// The name
        name: Option<String>,
        /// Fetch the submodules of its head, too
        #[arg(long)]
        submodules: bool,
    },
    /// List the branches and tags of a repository
    Refs {
        /// The name
        name: String,
    },
}

/// Runs `kbs source`.
///
/// # Errors
/// What the daemon answered.
pub(crate) async fn run(args: SourceArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    match args.command {
        SourceCommand::Add { name, url, replace } => {
            let url = absolute(url)?;
            let daemon = session.daemon().await?;
            session.ui.say(&format!("{name} is {url}"));
            let request = pb::AddSourceRequest { name, url, replace };
            daemon.sources().add(request).await.map_err(remote)?;
        }
        SourceCommand::Rm { name } => {
            let daemon = session.daemon().await?;
            daemon.sources().remove(pb::RemoveSourceRequest { name }).await.map_err(remote)?;
        }
        SourceCommand::Ls => ls(session).await?,
        SourceCommand::Sync { name, submodules } => {
            let name = name.unwrap_or_default();
            sync(pb::SyncSourceRequest { name, submodules }, session).await?;
        }
        SourceCommand::Refs { name } => refs(name, session).await?,
    }
    Ok(Exit::Done)
}

/// A URL as it is; a path made absolute, for the daemon has another directory.
fn absolute(url: String) -> Result<String, CliError> {
    let is_scp_like =
        url.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    if url.contains("://") || is_scp_like {
        return Ok(url);
    }
    let path = std::fs::canonicalize(&url)
        .map_err(|error| CliError::request(format!("cannot find the repository {url}"), &error))?;
    path.into_os_string().into_string().map_err(|path| {
        let message = format!("the path {} is not UTF-8", path.display());
        CliError::new(kbs_plan::error::Class::User, message)
    })
}

async fn ls(session: &mut Session<'_>) -> Result<(), CliError> {
    let daemon = session.daemon().await?;
    let reply = daemon.sources().list(pb::ListSourcesRequest {}).await.map_err(remote)?;
    let ui = &mut *session.ui;
    let mut table = Table::new(&["NAME", "SYNCED", "OBJECTS", "URL"]);
    for source in &reply.into_inner().sources {
        if ui.format == Format::Json {
            ui.json(&json::source(source))?;
            continue;
        }
        let pb::SourceEntry { name, url, synced_unix_s, object_count } = source;
        table.row([name, &time(*synced_unix_s), &object_count.to_string(), url]);
    }
    if table.is_empty() { Ok(()) } else { ui.data(&table) }
}

async fn sync(request: pb::SyncSourceRequest, session: &mut Session<'_>) -> Result<(), CliError> {
    let daemon = session.daemon().await?;
    let mut events = daemon.sources().sync(request).await.map_err(remote)?.into_inner();
    let ui = &mut *session.ui;
    while let Some(event) = events.message().await.map_err(remote)? {
        match event.event {
            Some(Event::Progress(text)) if ui.is_live() => ui.show(&text),
            Some(Event::Progress(text)) => ui.detail(&text),
            Some(Event::Synced(synced)) if ui.format == Format::Json => {
                ui.json(&json::synced(&synced))?;
            }
            Some(Event::Synced(pb::SyncedSource { name, added, updated, removed })) => {
                ui.say(&format!("{name}: {added} added, {updated} updated, {removed} removed"));
            }
            // An event of a newer daemon.
            None => {}
        }
    }
    ui.clear();
    Ok(())
}

async fn refs(name: String, session: &mut Session<'_>) -> Result<(), CliError> {
    let daemon = session.daemon().await?;
    let reply = daemon.sources().refs(pb::ListRefsRequest { name }).await.map_err(remote)?;
    let ui = &mut *session.ui;
    let mut table = Table::new(&["KIND", "COMMIT", "NAME"]);
    for reference in &reply.into_inner().refs {
        if ui.format == Format::Json {
            ui.json(&json::reference(reference))?;
            continue;
        }
        let pb::RefEntry { name, kind, commit } = reference;
        table.row([kind, commit, name]);
    }
    if table.is_empty() { Ok(()) } else { ui.data(&table) }
}
