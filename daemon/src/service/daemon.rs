//! `kbs.v1.Daemon`.

use std::sync::Arc;

use kbs_proto::pb;
use kbs_proto::pb::daemon_server::Daemon;
use kbs_sandbox::State;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::stream::answer;
use crate::engine::{Engine, Urgency};

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
        let report = answer(&self.engine, |engine| Ok(engine.probe()?)).await?;
        let config = &self.engine.config;
        let entries = report
            .layers
            .into_iter()
            .map(|layer| pb::DoctorEntry {
                required: config.is_required(&layer),
                layer: layer.name,
                ok: layer.state == State::Ok,
                text: layer.why,
                fix: layer.fix.unwrap_or_default(),
                matters: layer.matters,
            })
            .chain([accounting(&self.engine), disk(&self.engine), git()])
            .collect();
        Ok(Response::new(pb::DoctorReply { entries }))
    }
}

/// Who counts what builds use.
fn accounting(engine: &Engine) -> pb::DoctorEntry {
    let (ok, text, fix) = match &engine.cgroup {
        Ok(_) => (true, "cgroup: the kernel counts and limits".to_owned(), String::new()),
        Err(none) => {
            let text = format!("sampled: the daemon counts and limits, because {none}");
            (false, text, none.help())
        }
    };
    pb::DoctorEntry {
        layer: "accounting".to_owned(),
        ok,
        required: false,
        text,
        fix,
        matters: "limits of memory and processes are exact with control groups; without them the \
                  daemon looks several times a second and kills what has passed one"
            .to_owned(),
    }
}

/// Room for what is kept.
fn disk(engine: &Engine) -> pb::DoctorEntry {
    const LEAST_B: u64 = 1 << 30;
    let dir = &engine.config.state_dir;
    let free_b = rustix::fs::statvfs(dir).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    let (ok, text) = match free_b {
        Ok(free_b) => {
            (free_b >= LEAST_B, format!("{} MiB free in {}", free_b >> 20, dir.display()))
        }
        Err(error) => (false, format!("{}: {error}", dir.display())),
    };
    pb::DoctorEntry {
        layer: "disk".to_owned(),
        ok,
        required: false,
        text,
        fix: if ok { String::new() } else { "make room, or choose another --state DIR".to_owned() },
        matters: "images, sources and outputs need room".to_owned(),
    }
}

/// The program that fetches.
fn git() -> pb::DoctorEntry {
    let asked = std::process::Command::new("git").arg("--version").output();
    let (ok, text) = match asked {
        Ok(output) if output.status.success() => {
            (true, String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => (false, format!("`git --version`: {}", output.status)),
        Err(error) => (false, format!("`git --version`: {error}")),
    };
    pb::DoctorEntry {
        layer: "git".to_owned(),
        ok,
        required: false,
        text,
        fix: if ok { String::new() } else { "install git".to_owned() },
        matters: "sources are fetched with it; what is synced already needs none".to_owned(),
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
