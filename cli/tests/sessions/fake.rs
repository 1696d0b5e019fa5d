//! A daemon that answers what a test wrote down, and the way to call `kbs` against it.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use kbs_plan::id::BlobId;
use kbs_proto::pb;
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

type Reply<T> = Result<Response<T>, Status>;
type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(crate) const KEY: &str = "key:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// How a stream of events goes on after the events written down.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    End,
    Fail(Status),
    /// Nothing more comes.
    Wait,
    /// The daemon dies.
    Vanish,
}

/// What the daemon answers.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) events: Vec<pb::event::Event>,
    pub(crate) then: Then,
    pub(crate) log: Vec<u8>,
    pub(crate) files: Vec<(&'static str, &'static [u8], bool)>,
    pub(crate) links: Vec<(&'static str, &'static str)>,
    pub(crate) list: Vec<pb::ListEntry>,
    pub(crate) images: Vec<pb::ImageEntry>,
    pub(crate) layers: Vec<pb::DoctorEntry>,
    pub(crate) shell: Vec<pb::shell_output::Output>,
    pub(crate) collected: Vec<pb::collect_event::Event>,
    pub(crate) verified: Vec<pb::verify_event::Event>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            then: Then::End,
            log: b"CC main.o\nLD klipper.elf\n".to_vec(),
            files: Vec::new(),
            links: Vec::new(),
            list: Vec::new(),
            images: Vec::new(),
            layers: Vec::new(),
            shell: Vec::new(),
            collected: Vec::new(),
            verified: Vec::new(),
        }
    }
}

/// What the daemon was asked.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) realize: Vec<pb::RealizeRequest>,
    pub(crate) keys: Vec<String>,
    pub(crate) shell: Option<pb::shell_input::Input>,
    pub(crate) sources: Vec<pb::AddSourceRequest>,
    pub(crate) import: Option<pb::ImportHeader>,
    pub(crate) imported: Vec<u8>,
    pub(crate) collect: Vec<pb::CollectRequest>,
}

/// A running fake; dropping it ends it.
pub(crate) struct Fake {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) seen: Arc<Mutex<Seen>>,
    withdrawn: Arc<Notify>,
    leave: Arc<Notify>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Clone)]
struct Service {
    script: Arc<Script>,
    seen: Arc<Mutex<Seen>>,
    withdrawn: Arc<Notify>,
    leave: Arc<Notify>,
}

impl Fake {
    /// Starts a daemon whose state directory is a new one.
    pub(crate) fn start(script: Script) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("kbsd.sock");
        let seen = Arc::<Mutex<Seen>>::default();
        let (withdrawn, leave) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let service = Service {
            script: Arc::new(script),
            seen: Arc::clone(&seen),
            withdrawn: Arc::clone(&withdrawn),
            leave: Arc::clone(&leave),
        };
        let (ready, is_ready) = std::sync::mpsc::channel();
        let until = Arc::clone(&leave);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::bind(socket).unwrap();
                ready.send(()).unwrap();
                let server = Server::builder()
                    .add_service(pb::builds_server::BuildsServer::new(service.clone()))
                    .add_service(pb::sources_server::SourcesServer::new(service.clone()))
                    .add_service(pb::images_server::ImagesServer::new(service.clone()))
                    .add_service(pb::store_server::StoreServer::new(service.clone()))
                    .add_service(pb::daemon_server::DaemonServer::new(service))
                    .serve_with_incoming(UnixListenerStream::new(listener));
                tokio::select! {
                    served = server => served.unwrap(),
                    () = until.notified() => {}
                }
            });
            runtime.shutdown_background();
        });
        is_ready.recv().unwrap();
        Self { dir, seen, withdrawn, leave, thread: Some(thread) }
    }

    /// A call of `kbs` with this daemon.
    pub(crate) fn kbs(&self, args: &[&str]) -> Command {
        let mut command = kbs(args);
        command.arg("--state").arg(self.dir.path());
        command
    }

    /// Writes a spec into the daemon's directory.
    pub(crate) fn spec(&self) -> PathBuf {
        let path = self.dir.path().join("spec.toml");
        let text = "[project]\nrecipe='klipper'\ngit='/src'\nrev='v1'\n[config]\nset={A=true}\n";
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `kbs realize` of that spec.
    pub(crate) fn realize(&self, args: &[&str]) -> Command {
        let mut command = self.kbs(&[&["realize"], args].concat());
        command.arg(self.spec());
        command
    }

    /// Waits until a client has dropped its stream.
    pub(crate) fn wait_for_withdrawal(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.withdrawn.notified());
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.leave.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A call of `kbs` that sees nothing of the test's own environment, nor of the host's configuration.
pub(crate) fn kbs(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbs"));
    command.env_clear().env("KBS_CONFIG", "/dev/null").args(args);
    command
}

/// The end of a call, as text.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(command: &mut Command) -> Ended {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Ended {
        status: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

impl Ended {
    /// The session as it is recorded, without the paths of this run.
    pub(crate) fn transcript(&self, dir: &Path) -> String {
        let Self { status, stdout, stderr } = self;
        let status = status.map_or("killed".to_owned(), |status| status.to_string());
        format!("status {status}\n-- stdout\n{stdout}-- stderr\n{stderr}")
            .replace(&dir.display().to_string(), "DIR")
    }

    /// The JSON lines of stdout.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn items<T: Send + 'static>(items: Vec<T>) -> Items<T> {
    Box::pin(tokio_stream::iter(items.into_iter().map(Ok).collect::<Vec<_>>()))
}

struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Service {
    fn events(&self) -> Items<pb::Event> {
        let event = |event: &pb::event::Event| pb::Event { event: Some(event.clone()) };
        self.play(self.script.events.iter().map(event).collect())
    }

    /// These messages, and then what the script says.
    fn play<T: Default + Send + 'static>(&self, messages: Vec<T>) -> Items<T> {
        let events = tokio_stream::iter(messages.into_iter().map(Ok).collect::<Vec<_>>());
        match self.script.then.clone() {
            Then::End => Box::pin(events),
            Then::Fail(status) => Box::pin(events.chain(tokio_stream::iter([Err(status)]))),
            Then::Wait => {
                let guard = OnDrop(Arc::clone(&self.withdrawn));
                Box::pin(events.chain(tokio_stream::pending()).map(move |event| {
                    let _held = &guard;
                    event
                }))
            }
            Then::Vanish => {
                let leave = Arc::clone(&self.leave);
                // One more event, which nobody gets to see any more.
                let last = tokio_stream::iter([()]).map(move |()| {
                    leave.notify_one();
                    Ok(T::default())
                });
                Box::pin(events.chain(last).chain(tokio_stream::pending()))
            }
        }
    }

    fn chunks(&self) -> Vec<pb::FetchChunk> {
        use pb::fetch_chunk::Part;
        let mut parts = vec![Part::MetaJson("{\"key\":\"00\"}\n".to_owned())];
        for (path, bytes, executable) in &self.script.files {
            parts.push(Part::File(pb::OutputFile {
                path: (*path).to_owned(),
                size_b: bytes.len() as u64,
                blob: BlobId::of(bytes).to_string(),
                executable: *executable,
            }));
            parts.extend(bytes.chunks(3).map(|bytes| Part::Data(bytes.to_vec())));
        }
        for (path, target) in &self.script.links {
            let (path, target) = ((*path).to_owned(), (*target).to_owned());
            parts.push(Part::Link(pb::OutputLink { path, target }));
        }
        parts.into_iter().map(|part| pb::FetchChunk { part: Some(part) }).collect()
    }
}

#[tonic::async_trait]
impl pb::builds_server::Builds for Service {
    type KconfigStream = Items<pb::Event>;
    type PlanStream = Items<pb::Event>;
    type RealizeStream = Items<pb::Event>;
    type LogStream = Items<pb::LogChunk>;
    type FetchStream = Items<pb::FetchChunk>;
    type ShellStream = Items<pb::ShellOutput>;

    async fn plan(&self, _: Request<pb::PlanRequest>) -> Reply<Self::PlanStream> {
        Ok(Response::new(self.events()))
    }

    async fn kconfig(&self, _: Request<pb::KconfigRequest>) -> Reply<Self::KconfigStream> {
        Ok(Response::new(self.events()))
    }

    async fn past(&self, _: Request<pb::PastRequest>) -> Reply<pb::PastReply> {
        Ok(Response::new(pb::PastReply::default()))
    }

    async fn realize(&self, request: Request<pb::RealizeRequest>) -> Reply<Self::RealizeStream> {
        self.seen.lock().unwrap().realize.push(request.into_inner());
        Ok(Response::new(self.events()))
    }

    async fn log(&self, request: Request<pb::LogRequest>) -> Reply<Self::LogStream> {
        self.seen.lock().unwrap().keys.push(request.into_inner().key);
        let chunks = self.script.log.chunks(7).zip(0..);
        let chunk =
            |(data, number): (&[u8], u64)| pb::LogChunk { offset: number * 7, data: data.to_vec() };
        Ok(Response::new(items(chunks.map(chunk).collect())))
    }

    async fn show(&self, request: Request<pb::ShowRequest>) -> Reply<pb::ShowReply> {
        self.seen.lock().unwrap().keys.push(request.into_inner().key);
        Ok(Response::new(pb::ShowReply { json: "{\"files\":[]}".to_owned() }))
    }

    async fn list(&self, _: Request<pb::ListRequest>) -> Reply<pb::ListReply> {
        Ok(Response::new(pb::ListReply { entries: self.script.list.clone() }))
    }

    async fn fetch(&self, request: Request<pb::FetchRequest>) -> Reply<Self::FetchStream> {
        self.seen.lock().unwrap().keys.push(request.into_inner().key);
        Ok(Response::new(items(self.chunks())))
    }

    async fn shell(&self, request: Request<Streaming<pb::ShellInput>>) -> Reply<Self::ShellStream> {
        use pb::shell_output::Output;
        let opened = request.into_inner().message().await?.and_then(|input| input.input);
        self.seen.lock().unwrap().shell = opened;
        let events = self.events().map(|event| event.map(Output::Event));
        let outputs: Vec<_> = self.script.shell.iter().cloned().map(Ok).collect();
        let message =
            |output: Result<_, _>| output.map(|output| pb::ShellOutput { output: Some(output) });
        Ok(Response::new(Box::pin(tokio_stream::iter(outputs).chain(events).map(message))))
    }
}

#[tonic::async_trait]
impl pb::sources_server::Sources for Service {
    type SyncStream = Items<pb::SyncEvent>;

    async fn add(&self, request: Request<pb::AddSourceRequest>) -> Reply<pb::AddSourceReply> {
        self.seen.lock().unwrap().sources.push(request.into_inner());
        Ok(Response::new(pb::AddSourceReply {}))
    }

    async fn remove(&self, _: Request<pb::RemoveSourceRequest>) -> Reply<pb::RemoveSourceReply> {
        let help = Some("see `kbs source ls`".to_owned());
        let class = kbs_plan::error::Class::NotFound;
        Err(kbs_proto::status::from_parts(class, "there is no source `k`\ninner", help))
    }

    async fn list(&self, _: Request<pb::ListSourcesRequest>) -> Reply<pb::ListSourcesReply> {
        Ok(Response::new(pb::ListSourcesReply { sources: Vec::new() }))
    }

    async fn sync(&self, _: Request<pb::SyncSourceRequest>) -> Reply<Self::SyncStream> {
        let synced =
            pb::SyncedSource { name: "klipper".to_owned(), added: 3, updated: 1, removed: 0 };
        let event = pb::sync_event::Event::Synced(synced);
        Ok(Response::new(items(vec![pb::SyncEvent { event: Some(event) }])))
    }

    async fn refs(&self, _: Request<pb::ListRefsRequest>) -> Reply<pb::ListRefsReply> {
        Ok(Response::new(pb::ListRefsReply { refs: Vec::new() }))
    }
}

#[tonic::async_trait]
impl pb::images_server::Images for Service {
    type ImportStream = Items<pb::ImportImageEvent>;

    async fn import(
        &self,
        request: Request<Streaming<pb::ImportImageRequest>>,
    ) -> Reply<Self::ImportStream> {
        use pb::import_image_request::Part;
        let mut parts = request.into_inner();
        while let Some(request) = parts.message().await? {
            let mut seen = self.seen.lock().unwrap();
            match request.part {
                Some(Part::Header(header)) => seen.import = Some(header),
                Some(Part::Data(data)) => seen.imported.extend(data),
                None => return Err(Status::invalid_argument("empty")),
            }
        }
        let image = pb::ImageEntry { digest: "sha256:0123".to_owned(), ..Default::default() };
        let event = pb::import_image_event::Event::Image(image);
        Ok(Response::new(items(vec![pb::ImportImageEvent { event: Some(event) }])))
    }

    async fn list(&self, _: Request<pb::ListImagesRequest>) -> Reply<pb::ListImagesReply> {
        Ok(Response::new(pb::ListImagesReply { images: self.script.images.clone() }))
    }

    async fn remove(&self, _: Request<pb::RemoveImageRequest>) -> Reply<pb::RemoveImageReply> {
        Ok(Response::new(pb::RemoveImageReply {}))
    }
}

#[tonic::async_trait]
impl pb::store_server::Store for Service {
    type CollectStream = Items<pb::CollectEvent>;
    type VerifyStream = Items<pb::VerifyEvent>;

    async fn collect(&self, request: Request<pb::CollectRequest>) -> Reply<Self::CollectStream> {
        self.seen.lock().unwrap().collect.push(request.into_inner());
        let event = |event: &_| pb::CollectEvent { event: Some(Clone::clone(event)) };
        Ok(Response::new(self.play(self.script.collected.iter().map(event).collect())))
    }

    async fn verify(&self, _: Request<pb::VerifyRequest>) -> Reply<Self::VerifyStream> {
        let event = |event: &_| pb::VerifyEvent { event: Some(Clone::clone(event)) };
        Ok(Response::new(self.play(self.script.verified.iter().map(event).collect())))
    }

    async fn stat(&self, _: Request<pb::StatRequest>) -> Reply<pb::StatReply> {
        Ok(Response::new(pb::StatReply::default()))
    }

    async fn usage(&self, _: Request<pb::UsageRequest>) -> Reply<pb::UsageReply> {
        Ok(Response::new(pb::UsageReply::default()))
    }

    async fn add_root(&self, _: Request<pb::AddRootRequest>) -> Reply<pb::AddRootReply> {
        Ok(Response::new(pb::AddRootReply { key: KEY.to_owned() }))
    }

    async fn remove_root(&self, _: Request<pb::RemoveRootRequest>) -> Reply<pb::RemoveRootReply> {
        Ok(Response::new(pb::RemoveRootReply {}))
    }

    async fn list_roots(&self, _: Request<pb::ListRootsRequest>) -> Reply<pb::ListRootsReply> {
        Ok(Response::new(pb::ListRootsReply::default()))
    }

    async fn query(&self, _: Request<pb::QueryRequest>) -> Reply<pb::QueryReply> {
        Ok(Response::new(pb::QueryReply::default()))
    }
}

#[tonic::async_trait]
impl pb::daemon_server::Daemon for Service {
    async fn status(&self, _: Request<pb::StatusRequest>) -> Reply<pb::StatusReply> {
        Ok(Response::new(pb::StatusReply {
            version: "0.1.0".to_owned(),
            pid: 7,
            state_dir: "/state".to_owned(),
            uptime_s: 61,
            ..Default::default()
        }))
    }

    async fn stop(&self, _: Request<pb::StopRequest>) -> Reply<pb::StopReply> {
        self.leave.notify_one();
        Ok(Response::new(pb::StopReply {}))
    }

    async fn doctor(&self, _: Request<pb::DoctorRequest>) -> Reply<pb::DoctorReply> {
        Ok(Response::new(pb::DoctorReply { entries: self.script.layers.clone() }))
    }
}

/// The last event of a request that handed out an output.
pub(crate) fn output(path: &str) -> pb::event::Event {
    let output = pb::Output {
        path: path.to_owned(),
        name: "klipper-v1".to_owned(),
        built: true,
        phases: vec![pb::PhaseTime { name: "build".to_owned(), took_ms: 1200 }],
        ..Default::default()
    };
    ended(pb::ended::How::Output(output))
}

/// The last event of a request.
pub(crate) fn ended(how: pb::ended::How) -> pb::event::Event {
    pb::event::Event::Ended(pb::Ended { key: KEY.to_owned(), how: Some(how) })
}

/// A phase that began, or took so long.
pub(crate) fn phase(name: &str, took_ms: Option<u64>) -> pb::event::Event {
    let (name, detail) = (name.to_owned(), String::new());
    pb::event::Event::Phase(pb::Phase { name, detail, took_ms })
}
