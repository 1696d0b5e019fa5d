//! `kbs image`.

use kbs_plan::error::Class;
use kbs_proto::pb;
use kbs_proto::pb::import_image_event::Event;
use kbs_proto::pb::import_image_request::Part;

use super::Session;
use crate::error::{CliError, gone, remote};
use crate::exit::Exit;
use crate::render::json;
use crate::render::table::{Table, pairs};
use crate::render::text::{short, size, time};
use crate::ui::{Format, Ui};
use crate::upload::{Source, Upload};

/// Import, list and remove toolchain images
#[derive(Debug, clap::Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ImageCommand {
    Import(ImportArgs),
    /// List images
    Ls,
    /// Remove a name, or an image with all its names
    Rm {
        /// A name or a digest
        image: String,
    },
    /// Show what is known of an image
    Inspect {
        /// A name or a digest
        image: String,
    },
}

/// Import an archive, an OCI layout, or a snapshot of the daemon's host
///
/// Prints the digest, which is what builds are keyed by.
#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// An archive, a directory with an OCI layout, or `-` for an archive on stdin
    #[arg(value_name = "FILE", required_unless_present = "from_host")]
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    source: Option<Source>,
    /// Give it this name
    #[arg(long)]
    name: Option<String>,
    /// Refuse it unless it has this digest
    #[arg(long)]
    digest: Option<String>,
    /// Take the image with this tag from an archive of several
    #[arg(long, value_name = "TAG")]
    reference: Option<String>,
    /// Make an image of programs and packages installed on the daemon's host
    #[arg(long, conflicts_with_all = ["source", "reference"])]
    from_host: bool,
    /// A program to take from the host (repeatable)
    #[arg(long = "program", value_name = "PROGRAM", requires = "from_host")]
    programs: Vec<String>,
    /// A package to take from the host (repeatable)
    #[arg(long = "package", value_name = "PACKAGE", requires = "from_host")]
    packages: Vec<String>,
}

/// Runs `kbs image`.
///
/// # Errors
/// What cannot be read, or what the daemon answered.
pub(crate) async fn run(args: ImageArgs, session: &mut Session<'_>) -> Result<Exit, CliError> {
    match args.command {
        ImageCommand::Import(args) => import(args, session).await?,
        ImageCommand::Ls => ls(session).await?,
        ImageCommand::Rm { image } => {
            let daemon = session.daemon().await?;
            daemon.images().remove(pb::RemoveImageRequest { image }).await.map_err(remote)?;
        }
        ImageCommand::Inspect { image } => inspect(&image, session).await?,
    }
    Ok(Exit::Done)
}

async fn import(args: ImportArgs, session: &mut Session<'_>) -> Result<(), CliError> {
    let ImportArgs { source, name, digest, reference, from_host, programs, packages } = args;
    let header = pb::ImportHeader {
        name: name.unwrap_or_default(),
        digest: digest.unwrap_or_default(),
        reference: reference.unwrap_or_default(),
        host: from_host.then_some(pb::HostSnapshot { programs, packages }),
    };
    let upload =
        Upload::begin(pb::ImportImageRequest { part: Some(Part::Header(header)) }, source)?;
    let daemon = session.daemon().await?;
    let ui = &mut *session.ui;
    let Upload { requests, failed } = upload;
    let received = async {
        let mut images = daemon.images();
        let mut events = images.import(requests).await.map_err(remote)?.into_inner();
        let mut image = None;
        while let Some(event) = events.message().await.map_err(remote)? {
            match event.event {
                Some(Event::Progress(text)) if ui.is_live() => ui.show(&text),
                Some(Event::Progress(text)) => ui.detail(&text),
                Some(Event::Image(entry)) => image = Some(entry),
                // An event of a newer daemon.
                None => {}
            }
        }
        ui.clear();
        image.ok_or_else(|| gone(None))
    };
    let image = tokio::select! {
        image = received => image?,
        // Leaving drops the call, so that the daemon never takes half an archive for a whole one.
        Ok(error) = failed => return Err(error.into()),
    };
    match session.ui.format {
        Format::Json => session.ui.json(&json::image(&image)),
        Format::Text => session.ui.data(&image.digest),
    }
}

async fn list(session: &mut Session<'_>) -> Result<Vec<pb::ImageEntry>, CliError> {
    let daemon = session.daemon().await?;
    let reply = daemon.images().list(pb::ListImagesRequest {}).await.map_err(remote)?;
    Ok(reply.into_inner().images)
}

async fn ls(session: &mut Session<'_>) -> Result<(), CliError> {
    let images = list(session).await?;
    let ui = &mut *session.ui;
    let mut table = Table::new(&["DIGEST", "NAMES", "SIZE", "CREATED", "ORIGIN"]);
    for image in &images {
        if ui.format == Format::Json {
            ui.json(&json::image(image))?;
            continue;
        }
        let (size, created) = (size(image.size_b), time(image.created_unix_s));
        let names = image.names.join(" ");
        table.row([short(&image.digest), &names, &size, &created, &image.origin]);
    }
    if table.is_empty() { Ok(()) } else { ui.data(&table) }
}

async fn inspect(wanted: &str, session: &mut Session<'_>) -> Result<(), CliError> {
    let images = list(session).await?;
    let is_wanted = |image: &&pb::ImageEntry| {
        let digits = image.digest.rsplit_once(':').map_or("", |(_, digits)| digits);
        let wanted_digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        let is_start = wanted_digits.len() >= 4 && digits.starts_with(wanted_digits);
        image.names.iter().any(|name| name == wanted) || is_start
    };
    let found: Vec<_> = images.iter().filter(is_wanted).collect();
    // A name is meant before digits that spell like it.
    let named = found.iter().find(|image| image.names.iter().any(|name| name == wanted));
    match (named.or(found.first()), found.len()) {
        (Some(image), 1) => tell(image, session.ui),
        (Some(image), _) if named.is_some() => tell(image, session.ui),
        (Some(_), _) => Err(CliError::new(Class::User, format!("several images are `{wanted}`"))
            .with_help("give more digits")),
        (None, _) => Err(CliError::new(Class::NotFound, format!("there is no image `{wanted}`"))
            .with_help("see `kbs image ls`")),
    }
}

fn tell(image: &pb::ImageEntry, ui: &mut Ui) -> Result<(), CliError> {
    if ui.format == Format::Json {
        return ui.json(&json::image(image));
    }
    let pb::ImageEntry { digest, names, size_b, files, origin, created_unix_s, programs } = image;
    ui.data(&pairs(&[
        ("digest", digest),
        ("names", &names.join(" ")),
        ("origin", origin),
        ("created", &time(*created_unix_s)),
        ("size", &size(*size_b)),
        ("files", &files.to_string()),
        ("programs", &programs.join(" ")),
    ]))
}
