//! The gRPC services: decode, ask the engine, encode.

mod builds;
mod daemon;
mod encode;
mod images;
mod shell;
mod show;
mod sources;
mod store;
mod stream;

use std::sync::Arc;

use kbs_proto::client::MESSAGE_MAX_B;
use kbs_proto::pb::builds_server::BuildsServer;
use kbs_proto::pb::daemon_server::DaemonServer;
use kbs_proto::pb::images_server::ImagesServer;
use kbs_proto::pb::sources_server::SourcesServer;
use kbs_proto::pb::store_server::StoreServer;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::Server;
use tonic::transport::server::{Router, UdsConnectInfo};

use crate::engine::Engine;

/// Who sent a request, for records.
pub(crate) fn who<T>(request: &Request<T>) -> String {
    let peer = request.extensions().get::<UdsConnectInfo>().and_then(|peer| peer.peer_cred);
    // Who speaks to a daemon in this process is this process.
    let uid = peer.map_or_else(|| rustix::process::geteuid().as_raw(), |peer| peer.uid());
    format!("uid {uid}")
}

/// Every service over one engine; `leave` is cancelled when a client asks the daemon to stop.
pub(crate) fn router(engine: &Arc<Engine>, leave: &CancellationToken) -> Router {
    let engine = || Arc::clone(engine);
    Server::builder()
        .add_service(
            BuildsServer::new(builds::Service(engine())).max_decoding_message_size(MESSAGE_MAX_B),
        )
        .add_service(SourcesServer::new(sources::Service(engine())))
        .add_service(
            ImagesServer::new(images::Service(engine())).max_decoding_message_size(MESSAGE_MAX_B),
        )
        .add_service(
            StoreServer::new(store::Service(engine())).max_decoding_message_size(MESSAGE_MAX_B),
        )
        .add_service(DaemonServer::new(daemon::Service { engine: engine(), leave: leave.clone() }))
}
