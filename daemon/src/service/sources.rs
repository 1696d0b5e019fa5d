//! `kbs.v1.Sources`.

use std::sync::Arc;

use kbs_proto::pb;
use kbs_proto::pb::sources_server::Sources;
use kbs_source::{Existing, ProjectName, RefKind, SourceUrl};
use tonic::{Request, Response, Status};

use super::stream::{self, Answer, answer};
use crate::engine::watch::Happening;
use crate::engine::{Engine, now_unix_s, tasks};
use crate::problem::Problem;

/// The service.
#[derive(Debug)]
pub(crate) struct Service(pub(crate) Arc<Engine>);

#[tonic::async_trait]
impl Sources for Service {
    async fn add(
        &self,
        request: Request<pb::AddSourceRequest>,
    ) -> Result<Response<pb::AddSourceReply>, Status> {
        let pb::AddSourceRequest { name, url, replace } = request.into_inner();
        let existing = if replace { Existing::Replace } else { Existing::Keep };
        answer(&self.0, move |engine| {
            let (name, url) = (ProjectName::new(name)?, SourceUrl::new(url)?);
            Ok(engine.mirror.add(&name, &url, existing)?)
        })
        .await?;
        Ok(Response::new(pb::AddSourceReply {}))
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveSourceRequest>,
    ) -> Result<Response<pb::RemoveSourceReply>, Status> {
        let pb::RemoveSourceRequest { name } = request.into_inner();
        answer(&self.0, move |engine| {
            let name = ProjectName::new(name)?;
            let _guard = engine.syncing.hold(&name);
            Ok(engine.mirror.remove(&name)?)
        })
        .await?;
        Ok(Response::new(pb::RemoveSourceReply {}))
    }

    async fn list(
        &self,
        _request: Request<pb::ListSourcesRequest>,
    ) -> Result<Response<pb::ListSourcesReply>, Status> {
        let projects = answer(&self.0, |engine| Ok(engine.mirror.projects()?)).await?;
        let sources = projects
            .into_iter()
            .map(|record| pb::SourceEntry {
                name: record.name.to_string(),
                url: record.url.to_string(),
                synced_unix_s: record.synced_at.unwrap_or(0).cast_unsigned(),
                object_count: record.object_count,
            })
            .collect();
        Ok(Response::new(pb::ListSourcesReply { sources }))
    }

    type SyncStream = Answer<pb::SyncEvent>;
    async fn sync(
        &self,
        request: Request<pb::SyncSourceRequest>,
    ) -> Result<Response<Self::SyncStream>, Status> {
        let pb::SyncSourceRequest { name, submodules } = request.into_inner();
        let running = tasks::request(&self.0, move |engine, watch| {
            let names = if name.is_empty() {
                engine.mirror.projects()?.into_iter().map(|record| record.name).collect()
            } else {
                vec![ProjectName::new(name)?]
            };
            let mut done = Vec::new();
            for name in names {
                watch.check()?;
                let _guard = engine.syncing.hold(&name);
                let mut progress = |line: &str| watch.progress(line);
                let synced =
                    engine.mirror.sync(&name, now_unix_s().cast_signed(), &mut progress)?;
                if submodules {
                    let head = engine.mirror.resolve(&name, "HEAD")?;
                    engine.mirror.sync_submodules(&name, head.commit, &mut progress)?;
                }
                done.push(pb::SyncedSource {
                    name: name.to_string(),
                    added: count(&synced.added),
                    updated: count(&synced.updated),
                    removed: count(&synced.removed),
                });
            }
            Ok(done)
        });
        let each = |happening| match happening {
            Happening::Notice { text, .. } => {
                Some(pb::SyncEvent { event: Some(pb::sync_event::Event::Progress(text)) })
            }
            _ => None,
        };
        let synced = |source| pb::SyncEvent { event: Some(pb::sync_event::Event::Synced(source)) };
        let last = move |done: Vec<_>| done.into_iter().map(synced);
        Ok(Response::new(stream::of(running, each, last)))
    }

    async fn refs(
        &self,
        request: Request<pb::ListRefsRequest>,
    ) -> Result<Response<pb::ListRefsReply>, Status> {
        let pb::ListRefsRequest { name } = request.into_inner();
        let refs = answer(&self.0, move |engine| -> Result<_, Problem> {
            Ok(engine.mirror.refs(&ProjectName::new(name)?)?)
        })
        .await?;
        let refs = refs
            .into_iter()
            .map(|entry| pb::RefEntry {
                kind: match entry.kind {
                    RefKind::Branch => "branch",
                    RefKind::Tag => "tag",
                    RefKind::Head => "head",
                }
                .to_owned(),
                name: entry.name,
                commit: entry.commit.to_string(),
            })
            .collect();
        Ok(Response::new(pb::ListRefsReply { refs }))
    }
}

fn count(names: &[String]) -> u32 {
    u32::try_from(names.len()).unwrap_or(u32::MAX)
}
