//! The `kbsd` command.

use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueHint};
use kbs_plan::error::{Class, Help};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};
use crate::serve;

/// Build firmware and kernels reproducibly, for every client of a socket
#[derive(Debug, Parser)]
#[command(name = "kbsd", version)]
pub struct Arguments {
    /// Where everything is kept
    #[arg(long, env = "KBS_STATE", default_value = "/var/lib/kbs", value_name = "DIR")]
    state: PathBuf,
    /// Where to listen [default: kbsd.sock in the state directory]
    #[arg(long, env = "KBS_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Leave after so many seconds without a client or a build
    #[arg(long, value_name = "SECONDS")]
    idle_exit: Option<u64>,
    /// Builds at a time [default: one per four CPUs]
    #[arg(long, value_name = "N")]
    builds: Option<NonZero<usize>>,
    /// Read this configuration file; options win over it [default: /etc/kbs/kbsd.toml if it exists]
    // As text, because an empty variable is as good as none and no path is empty.
    #[arg(long, env = "KBS_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<OsString>,
}

impl Arguments {
    fn configure(self) -> Result<Config, ConfigError> {
        let Self { state, socket, idle_exit, builds, config: file } = self;
        let named = file.filter(|file| !file.is_empty()).map(PathBuf::from);
        let file = named.or_else(|| Config::usual_file(None));
        let mut config = Config::read(&state, file.as_deref())?;
        config.socket = socket;
        config.idle_exit = idle_exit.map(Duration::from_secs).or(config.idle_exit);
        config.max_builds = builds.map(Into::into).or(config.max_builds);
        Ok(config)
    }
}

/// Runs the `kbsd` command: reads its arguments, the program name first, and serves until told to
/// stop. Returns the exit status.
pub fn command(args: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let config = match arguments.configure() {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::from_default_env()
                .add_directive(tracing::Level::INFO.into()),
        )
        .init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let served = match runtime {
        Ok(runtime) => {
            let served = runtime.block_on(run(config));
            runtime.shutdown_timeout(Duration::from_secs(3));
            served
        }
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::from(3);
        }
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Tells an error and what it means as an exit status.
fn fail(error: &dyn Help) -> ExitCode {
    report(error);
    ExitCode::from(match error.class() {
        Class::User | Class::NotFound => 2,
        Class::Environment => 3,
        Class::Build => 1,
        Class::Cancelled => 4,
        Class::Bug => 70,
    })
}

async fn run(config: Config) -> Result<(), serve::StartError> {
    let leave = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        if let Ok(mut asked) = signal(kind) {
            let leave = leave.clone();
            crate::engine::tasks::spawn(async move {
                asked.recv().await;
                leave.cancel();
            });
        }
    }
    serve::serve(config, leave).await
}

#[expect(clippy::print_stderr, reason = "the last words of a daemon that could not start")]
fn report(error: &dyn Help) {
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  caused by: {error}");
        cause = error.source();
    }
    if let Some(help) = error.help() {
        eprintln!("\nhelp: {help}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_win_over_the_file_and_the_file_over_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kbsd.toml");
        std::fs::write(&file, "builds = 2\nidle-exit = '1h'\n").unwrap();
        let configure = |options: &[&str]| {
            let file = file.to_str().unwrap();
            let args = [&["kbsd", "--state", "/state", "--config", file], options].concat();
            let config = Arguments::try_parse_from(args).unwrap().configure().unwrap();
            (config.builds(), config.idle_exit.unwrap().as_secs())
        };
        assert_eq!(configure(&[]), (2, 3600));
        assert_eq!(configure(&["--builds", "3"]), (3, 3600));
        assert_eq!(configure(&["--idle-exit", "7"]), (2, 7));
    }
}
