//! `kbs.v1.Daemon`.

use std::sync::Arc;

use kbs_proto::pb;
use kbs_proto::pb::daemon_server::Daemon;
use kbs_sandbox::{Need, State};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::stream::answer;
use crate::engine::{Engine, Urgency};
use crate::problem::EngineError;

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) engine: Arc<Engine>,
    pub(crate) leave: CancellationToken,
}

#[tonic::async_trait]
impl Daemon for Service {
    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusReply>, Status> {
        let config_file = self.engine.config.file.as_deref();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Response::new(pb::StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state_dir: self.engine.config.state_dir.display().to_string(),
            uptime_s: self.engine.uptime().as_secs(),
            running_builds: count(self.engine.flights.len()),
            waiting_requests: count(self.engine.present()),
            resident_b: resident_b(),
            config_file: config_file.map(|path| path.display().to_string()).unwrap_or_default(),
        }))
    }

    async fn stop(
        &self,
        request: Request<pb::StopRequest>,
    ) -> Result<Response<pb::StopReply>, Status> {
        let pb::StopRequest { force } = request.into_inner();
        self.engine.stop(if force { Urgency::Now } else { Urgency::WhenDone });
        self.leave.cancel();
        Ok(Response::new(pb::StopReply {}))
    }

    async fn doctor(
        &self,
        _request: Request<pb::DoctorRequest>,
    ) -> Result<Response<pb::DoctorReply>, Status> {
        let report = answer(&self.engine, |engine| {
            Ok(kbs_sandbox::probe(&engine.config.program)
                .map_err(|source| EngineError::Sandbox { source })?)
        })
        .await?;
        let entries = report
            .layers
            .into_iter()
            .map(|layer| pb::DoctorEntry {
                layer: layer.name,
                ok: layer.state == State::Ok,
                required: layer.need == Need::Always,
                text: layer.why,
                fix: layer.fix.unwrap_or_default(),
            })
            .collect();
        Ok(Response::new(pb::DoctorReply { entries }))
    }
}

/// Resident memory of this process in bytes, 0 where the kernel does not tell.
fn resident_b() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
