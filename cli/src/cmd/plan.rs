//! `kbs plan`.

use kbs_plan::derivation::Derivation;
use kbs_plan::error::Class;
use kbs_proto::pb;
use serde_json::{Value, json};

use super::Session;
use crate::error::{CliError, remote};
use crate::exit::Exit;
use crate::follow::{Last, follow};
use crate::render::progress::{LogTo, Progress};
use crate::render::table::pairs;
use crate::spec::SpecArgs;
use crate::ui::Format;

/// Resolve a spec to its derivation and key, and build nothing
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// Print exactly the bytes that are hashed to the key
    #[arg(long, conflicts_with_all = ["show_config", "json"])]
    canonical: bool,
    /// Print the normalised configuration
    #[arg(long)]
    show_config: bool,
}

/// Runs `kbs plan`.
///
/// # Errors
/// What the daemon answered, or that its answer contradicts itself.
pub(crate) async fn run(args: PlanArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    let PlanArgs { spec, canonical, show_config } = args;
    let spec = spec.read()?;
    let daemon = session.daemon().await?;
    let request = pb::PlanRequest { spec: Some(spec.into()), look_up: false };
    let events = daemon.builds().plan(request).await.map_err(remote)?.into_inner();
    let mut progress = Progress::new(LogTo::LastLine);
    let last = follow(events, &mut progress, session.ui).await?;
    session.ui.clear();
    let Last::Planned(planned) = last else {
        return Err(CliError::new(Class::Bug, "the daemon built where it was asked to plan"));
    };
    let pb::Planned { key, derivation_json, cached, config } = planned;
    let derivation = checked(&key, &derivation_json)?;
    let ui = &mut *session.ui;
    match ui.format {
        _ if canonical => ui.bytes(derivation_json.as_bytes())?,
        Format::Json => {
            let document: Value = serde_json::from_str(&derivation_json).unwrap_or_default();
            let mut answer = json!({
                "event": "planned",
                "key": key,
                "cached": cached,
                "derivation": document,
            });
            if show_config {
                answer["config"] = config.into();
            }
            ui.json(&answer)?;
        }
        Format::Text if show_config => ui.bytes(config.as_bytes())?,
        Format::Text => ui.data(&summary(&derivation, &key, cached))?,
    }
    Ok(Exit::Done)
}

/// The derivation, after checking that the key is its key.
fn checked(key: &str, derivation_json: &str) -> Result<Derivation, CliError> {
    let derivation: Derivation = serde_json::from_str(derivation_json).map_err(|error| {
        CliError::host("cannot read the daemon's derivation", &error)
            .with_help("use a kbs of the same version as the daemon")
    })?;
    if derivation.canonical() != derivation_json || derivation.key().to_string() != key {
        return Err(CliError::new(Class::Bug, "the daemon's key is not that of its derivation"));
    }
    Ok(derivation)
}

fn summary(derivation: &Derivation, key: &str, cached: bool) -> String {
    let config = derivation.config.map_or_else(|| "none".to_owned(), |hash| hash.to_string());
    pairs(&[
        ("project", &derivation.project),
        ("version", &derivation.version),
        ("commit", &derivation.commit),
        ("config", &config),
        ("toolchain", &derivation.toolchain),
        ("key", key),
        ("cached", if cached { "yes" } else { "no" }),
    ])
}
