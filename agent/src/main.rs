//! The agent of HMS: the only hand that touches a managed host.

mod access;
mod apps;
mod audit;
mod deploy;
mod exec;
mod files;
mod host;
mod identity;
mod jobs;
mod join;
mod logs;
mod nginx;
mod renew;
mod revoked;
mod run;
mod scripts;
mod server;
mod systemd;
#[cfg(test)]
mod testca;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Parser, Subcommand};
use hms_proto::{fault::Fault, names::AppKey};

/// The agent of HMS on a managed host.
#[derive(Debug, Parser)]
#[command(name = "hms-agent", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the controller and operators. Waits for `join` when the host has not joined yet.
    #[command(after_help = "Examples:\n  hms-agent run\n  hms-agent run --listen 10.0.0.7:9444")]
    Run {
        /// Where to listen.
        #[arg(long, default_value = "0.0.0.0:9444", value_name = "ADDRESS:PORT")]
        listen: SocketAddr,
        #[command(flatten)]
        state: State,
    },
    /// Joins this host to a controller with a one-time token.
    #[command(after_help = "Examples:\n  hms-agent join --controller https://asterra:8443 < token\n  \
                      hms-agent join --controller https://10.0.0.1:8443 --token-file /root/token\n\n\
                      `hmsctl host add NAME --address HOST:9444` prints a token. It is never taken as an \
                      argument: every user of the host can read those.")]
    Join {
        /// The controller's web address.
        #[arg(long, value_name = "https://HOST:PORT")]
        controller: String,
        /// File that holds the token. Without it, the token is read from the standard input.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        #[command(flatten)]
        state: State,
    },
    /// Runs the script of a job. systemd calls this, in the job's unit.
    #[command(hide = true)]
    RunScript,
    /// Notes how a job ended. systemd calls this, when the job's unit is over.
    #[command(hide = true)]
    EndJob,
    /// Does the work of a job on an app. systemd calls this, in the job's unit.
    #[command(hide = true)]
    RunAppJob {
        /// The job.
        id: String,
        #[command(flatten)]
        state: State,
    },
    /// Puts right what a job on an app left, and notes its end. systemd calls this, when the job's process is gone.
    #[command(hide = true)]
    EndAppJob {
        /// The job.
        id: String,
        #[command(flatten)]
        state: State,
    },
    /// Links what is shared into the release in this folder. A job calls this, as the app's user.
    #[command(hide = true)]
    LayOutRelease {
        /// The folder with what is shared.
        #[arg(long)]
        shared: PathBuf,
        /// The release's commit.
        #[arg(long)]
        commit: String,
        /// What is shared, relative to the release.
        paths: Vec<String>,
    },
    /// Tells git a token. git calls this, in a job.
    #[command(hide = true)]
    GitCredential {
        /// get, store or erase.
        verb: String,
    },
    /// Writes the secrets of an app to memory. systemd calls this, before the app starts.
    #[command(hide = true)]
    WriteEnvironment {
        /// The app.
        key: String,
        #[command(flatten)]
        state: State,
    },
}

#[derive(Debug, clap::Args)]
struct State {
    /// Where the agent keeps its identity, its audit spool, scripts and jobs.
    #[arg(long = "state", default_value = "/var/lib/hms-agent", value_name = "FOLDER")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run { listen, state } => with_runtime(run::run(listen, &state.folder)),
        Command::Join { controller, token_file, state } => {
            with_runtime(join::join(&controller, token_file.as_deref(), &state.folder))
                .map(|host| println!("This host has joined as `{host}`."))
        }
        // In the sandbox of a script: without a log, and without threads, which would count as the script's.
        Command::RunScript => return exec::script::run(),
        Command::EndJob => {
            jobs::end();
            Ok(())
        }
        Command::RunAppJob { id, state } => return deploy::run(&id, &state.folder),
        Command::EndAppJob { id, state } => return deploy::end(&id, &state.folder),
        Command::LayOutRelease { shared, commit, paths } => {
            deploy::lay_out(Path::new("."), &shared, &commit, &paths)
        }
        Command::GitCredential { verb } => {
            deploy::credential(&verb);
            Ok(())
        }
        Command::WriteEnvironment { key, state } => with_runtime(async {
            apps::secrets::write_environment(&AppKey::try_from(key.as_str())?, &state.folder).await
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}\nhint: {}", fault.next());
            ExitCode::from(fault.row().exit)
        }
    }
}

fn with_runtime<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    log_to_stderr();
    // Two workers: one may be busy with a log query while the other answers.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Each stream of log entries has one, while it is open.
        .max_blocking_threads(96)
        .enable_all()
        .build();
    runtime.map_err(|error| internal(format!("cannot start: {error}")))?.block_on(work)
}

/// Does what waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(internal("the call failed inside the agent")))
}

/// Microseconds since the epoch.
fn now_usec() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

/// A fault whose cause is in the agent or its host, not in what was asked.
fn internal(message: impl Into<String>) -> Fault {
    Fault::new(hms_proto::fault::FaultKind::Internal, message).hint("Look at `journalctl -u hms-agent`.")
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HMS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,zbus=warn"));
    let log = tracing_subscriber::fmt().compact().with_env_filter(filter).with_writer(std::io::stderr);
    // journald has its own clock, and colours are for terminals.
    match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => log.without_time().with_ansi(false).init(),
        None => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
    }
}
