//! `hms-controller`: the part of HMS that remembers. It owns the database, accounts, the web interface and REST, and
//! calls the agents.

mod api;
mod apps;
mod audit;
mod auth;
mod cli_user;
mod config;
#[cfg(test)]
mod counts;
mod db;
mod directory;
mod fleet;
mod forward;
mod gate;
mod jobs;
mod logs;
mod nginx;
mod pki;
mod rate;
mod reach;
mod seal;
mod serve;
mod sight;
mod state;

use std::process::ExitCode;

use clap::Parser as _;
use config::{Cli, Command};

#[tokio::main]
async fn main() -> ExitCode {
    // One provider for everything; a second call would only say that there is one.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        // journald adds the time itself.
        .without_time()
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve(options) => serve::run(&cli.database, options).await,
        Command::Migrate => serve::migrate(&cli.database).await,
        Command::User { command } => cli_user::user(&cli.database, command).await,
        Command::Ca { fingerprint } => cli_user::ca(&cli.database, fingerprint).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
