//! The agent of HMS: the only hand that touches a managed host.

mod access;
mod audit;
mod exec;
mod host;
mod identity;
mod join;
mod journal;
mod nginx;
mod renew;
mod run;
mod server;
mod systemd;
#[cfg(test)]
mod testca;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use hms_proto::fault::Fault;

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
}

#[derive(Debug, clap::Args)]
struct State {
    /// Where the agent keeps its identity and its audit spool.
    #[arg(long = "state", default_value = "/var/lib/hms-agent", value_name = "FOLDER")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    // Two workers: one may be busy with a log query while the other answers.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(execute(cli.command)),
        Err(error) => Err(internal(format!("cannot start: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}\nhint: {}", fault.next());
            ExitCode::from(fault.row().exit)
        }
    }
}

async fn execute(command: Command) -> Result<(), Fault> {
    match command {
        Command::Run { listen, state } => run::run(listen, &state.folder).await,
        Command::Join { controller, token_file, state } => {
            let host = join::join(&controller, token_file.as_deref(), &state.folder).await?;
            println!("This host has joined as `{host}`.");
            Ok(())
        }
    }
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
