//! Asks the daemon whether the build of a configuration is in the store, while somebody changes it.

use std::time::Duration;

use kbs_plan::spec::Spec;
use kbs_proto::pb;
use kbs_proto::pb::builds_client::BuildsClient;
use kbs_proto::pb::event::Event;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tonic::transport::Channel;

use super::event::Build;

/// How long a configuration has to stay as it is before anybody is asked.
const PAUSE: Duration = Duration::from_millis(150);

/// The spec of a configuration; `None` where there is none.
type SpecOf = Box<dyn Fn(&str) -> Option<Spec> + Send + Sync>;

/// Whom to ask, and what.
pub(crate) struct LookUp {
    /// What runs the questions.
    pub(crate) runtime: Handle,
    /// The daemon.
    pub(crate) builds: BuildsClient<Channel>,
    /// What to ask for.
    pub(crate) spec: SpecOf,
}

impl LookUp {
    /// Begins to ask: about the configuration that was sent last, and only once it rests. `tell`
    /// hears what is known of it, `None` where the daemon does not say, and whether to go on.
    pub(crate) fn start(
        self,
        tell: impl Fn(String, Option<Build>) -> bool + Send + 'static,
    ) -> watch::Sender<String> {
        let Self { runtime, mut builds, spec } = self;
        let (to, mut configurations) = watch::channel(String::new());
        runtime.spawn(async move {
            let mut is_wanted = configurations.changed().await.is_ok();
            while is_wanted {
                let text = configurations.borrow_and_update().clone();
                let answer = async {
                    tokio::time::sleep(PAUSE).await;
                    ask(&mut builds, spec(&text)?).await
                };
                is_wanted = tokio::select! {
                    build = answer => tell(text, build) && configurations.changed().await.is_ok(),
                    // Nobody waits for the answer any more: dropping the question withdraws it.
                    change = configurations.changed() => change.is_ok(),
                };
            }
        });
        to
    }
}

async fn ask(builds: &mut BuildsClient<Channel>, spec: Spec) -> Option<Build> {
    let request = pb::PlanRequest { spec: Some(spec.into()), look_up: true };
    let mut events = builds.plan(request).await.ok()?.into_inner();
    loop {
        if let Some(Event::Planned(planned)) = events.message().await.ok()??.event {
            return Some(if planned.cached { Build::Cached } else { Build::Open });
        }
    }
}
