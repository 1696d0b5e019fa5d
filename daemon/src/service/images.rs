//! `kbs.v1.Images`.

use std::collections::BTreeMap;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use kbs_image::{HostRequest, ImageDigest, ImageInfo, Import};
use kbs_proto::pb::images_server::Images;
use kbs_proto::{pb, status::to_status};
use kbs_store::{Item, Thing};
use tonic::{Request, Response, Status, Streaming};

use super::stream::{self, Answer, answer};
use crate::engine::watch::Happening;
use crate::engine::{Engine, now_unix_s, tasks};
use crate::problem::{EngineError, Problem};
use crate::stages::image;

/// The service.
#[derive(Debug)]
pub(crate) struct Service(pub(crate) Arc<Engine>);

#[tonic::async_trait]
impl Images for Service {
    type ImportStream = Answer<pb::ImportImageEvent>;
    async fn import(
        &self,
        request: Request<Streaming<pb::ImportImageRequest>>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        let mut parts = request.into_inner();
        let _present = self.0.enter();
        let Some(pb::ImportImageRequest {
            part: Some(pb::import_image_request::Part::Header(header)),
        }) = parts.message().await?
        else {
            return Err(refused("the first message of an import is its header"));
        };
        let archive =
            if header.host.is_none() { Some(self.spool(&mut parts).await?) } else { None };
        let running =
            tasks::request(&self.0, move |engine, watch| import(engine, &header, archive, watch));
        let each = |happening| match happening {
            Happening::Notice { text, .. } => Some(pb::ImportImageEvent {
                event: Some(pb::import_image_event::Event::Progress(text)),
            }),
            _ => None,
        };
        let last = |image| {
            let event = Some(pb::import_image_event::Event::Image(image));
            vec![pb::ImportImageEvent { event }]
        };
        Ok(Response::new(stream::of(running, each, last)))
    }

    async fn list(
        &self,
        _request: Request<pb::ListImagesRequest>,
    ) -> Result<Response<pb::ListImagesReply>, Status> {
        let images = answer(&self.0, |engine| {
            let names = names(engine)?;
            Ok(engine.images.list()?.into_iter().map(|info| entry(info, &names)).collect())
        })
        .await?;
        Ok(Response::new(pb::ListImagesReply { images }))
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveImageRequest>,
    ) -> Result<Response<pb::RemoveImageReply>, Status> {
        let pb::RemoveImageRequest { image } = request.into_inner();
        answer(&self.0, move |engine| remove(engine, &image)).await?;
        Ok(Response::new(pb::RemoveImageReply {}))
    }
}

impl Service {
    /// Writes the archive that a client sends into a scratch file, read from its start.
    async fn spool(
        &self,
        parts: &mut Streaming<pb::ImportImageRequest>,
    ) -> Result<std::fs::File, Status> {
        let scratch = self.0.store.paths().scratch();
        let host = |source| {
            to_status(&EngineError::Host {
                action: "receive an archive in",
                path: scratch.clone(),
                source,
            })
        };
        let mut file = tempfile::tempfile_in(&scratch).map_err(host)?;
        while let Some(message) = parts.message().await? {
            let Some(pb::import_image_request::Part::Data(data)) = message.part else {
                return Err(refused("an import has one header"));
            };
            file.write_all(&data).map_err(host)?;
        }
        file.rewind().map_err(host)?;
        Ok(file)
    }
}

fn refused(text: &str) -> Status {
    to_status(&EngineError::Request {
        text: text.to_owned(),
        help: Some("use a kbs of the same version as the daemon".to_owned()),
    })
}

fn import(
    engine: &Engine,
    header: &pb::ImportHeader,
    archive: Option<std::fs::File>,
    watch: &crate::engine::watch::Watch,
) -> Result<pb::ImageEntry, Problem> {
    let pb::ImportHeader { name, digest, reference, host } = header;
    check_name(name)?;
    let expected: Option<ImageDigest> =
        if digest.is_empty() { None } else { Some(digest.parse()?) };
    let reference = Some(reference.as_str()).filter(|reference| !reference.is_empty());
    let info = match (host, archive) {
        (Some(pb::HostSnapshot { programs, packages }), _) => {
            let request = HostRequest {
                programs: programs.clone(),
                packages: packages.clone(),
                ..HostRequest::default()
            };
            image::import(engine, Import::Host(&request), expected.as_ref(), watch)?
        }
        (None, Some(mut file)) => {
            let archive = Import::Archive { name: "archive", stream: &mut file, reference };
            image::import(engine, archive, expected.as_ref(), watch)?
        }
        (None, None) => return Err(EngineError::Lost { what: "the archive of an import" }.into()),
    };
    if !name.is_empty() {
        engine.store.set_image_name(name, &info.digest.to_string())?;
    }
    Ok(entry(info, &names(engine)?))
}

fn check_name(name: &str) -> Result<(), EngineError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let good =
        name.bytes().all(plain) && name.len() <= 128 && name != "host" && !name.starts_with('.');
    if good {
        return Ok(());
    }
    Err(EngineError::Request {
        text: format!("`{name}` cannot be the name of an image"),
        help: Some("use letters, digits, `.`, `_` and `-`; `host` is taken".to_owned()),
    })
}

fn names(engine: &Engine) -> Result<BTreeMap<String, Vec<String>>, Problem> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, digest) in image::public_names(engine)? {
        names.entry(digest).or_default().push(name);
    }
    Ok(names)
}

fn entry(info: ImageInfo, names: &BTreeMap<String, Vec<String>>) -> pb::ImageEntry {
    let digest = info.digest.to_string();
    pb::ImageEntry {
        names: names.get(&digest).cloned().unwrap_or_default(),
        digest,
        size_b: info.size_b,
        files: info.files,
        origin: info.origin,
        created_unix_s: info.created_unix_s,
        programs: info.programs,
    }
}

fn remove(engine: &Engine, image: &str) -> Result<(), Problem> {
    let named: Vec<_> = engine.store.image_names()?;
    if let Ok(digest) = image.parse::<ImageDigest>() {
        for (name, _) in named.iter().filter(|(_, of)| *of == digest.to_string()) {
            engine.store.remove_image_name(name)?;
        }
        let image = Item::Thing(Thing::Image(*digest.as_bytes()), Vec::new());
        if engine.store.remove(&[image], now_unix_s())?.things > 0 {
            return Ok(());
        }
        if engine.images.get(&digest).is_some() {
            let text = format!("the image {digest} is in use by a build");
            let help = Some("remove it when that build has ended; its names are gone".to_owned());
            return Err(EngineError::Request { text, help }.into());
        }
        // One that is damaged has no row, and nobody uses it.
        return Ok(engine.images.remove(&digest)?);
    }
    let Some((_, digest)) = named.iter().find(|(name, _)| name == image) else {
        let text = format!("there is no image `{image}`");
        return Err(EngineError::NotFound {
            text,
            help: Some("list them with `kbs image ls`".to_owned()),
        }
        .into());
    };
    engine.store.remove_image_name(image)?;
    // The last name takes the image along.
    if !named.iter().any(|(name, of)| name != image && of == digest && !name.starts_with('@')) {
        remove(engine, digest)?;
    }
    Ok(())
}
