//! `kbs log`.

use kbs_proto::pb;

use super::Session;
use crate::error::{CliError, remote};
use crate::exit::Exit;
use crate::key::KeyText;

/// Print the whole log of a build, also of a failed one
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// A key, 4 or more of its first digits, or the path of an output or of a link to one
    key: String,
    /// Go on until the build ends
    #[arg(short, long)]
    follow: bool,
}

/// Runs `kbs log`.
///
/// # Errors
/// What the daemon answered.
pub(crate) async fn run(args: LogArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    let LogArgs { key, follow } = args;
    let key = key.parse::<KeyText>()?.to_wire();
    let daemon = session.daemon().await?;
    let request = pb::LogRequest { key, offset: 0, follow };
    let mut chunks = daemon.builds().log(request).await.map_err(remote)?.into_inner();
    while let Some(pb::LogChunk { offset: _, data }) = chunks.message().await.map_err(remote)? {
        session.ui.log_data(&data)?;
    }
    session.ui.end_log_data()?;
    Ok(Exit::Done)
}
