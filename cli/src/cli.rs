//! The command line: global options and the tree of commands. Each command's own arguments live with its code.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::{
    commands::{
        apps, audit, auth, completion, context, deployments, facts, host, jobs, login, logout, logs, nginx,
        schedules, scripts, sessions, status, tokens, units, users, warnings,
    },
    complete,
};

/// Manages Rails apps and the hosts they run on.
#[derive(Debug, Parser)]
#[command(name = "hmsctl", version, max_term_width = 100, propagate_version = false)]
#[command(after_help = "Examples:
  hmsctl login https://asterra:8443 --username ada --ca-file ca.pem
  hmsctl status
  hmsctl apps deploy cigar
  hmsctl apps restart cigar
  hmsctl logs --app cigar -f
  hmsctl scripts run check_disk_space --all

Exit codes: 0 ok, 1 failed, 2 usage, 3 partly failed, 4 denied, 5 unreachable,
            6 a plan would change something (with --exit-code), 130 let go with Ctrl-C")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Form of the output
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORM",
        hide_default_value = true
    )]
    pub(crate) output: Format,
    /// Use this context instead of the current one
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCompleter::new(complete::contexts))]
    pub(crate) context: Option<String>,
    /// Talk to the agent of this host itself, without the controller
    #[arg(long, global = true, value_name = "HOST[:PORT]", add = ArgValueCompleter::new(complete::hosts))]
    pub(crate) direct: Option<String>,
    /// Wait at most so long for an answer, such as `30s` or `2min`
    #[arg(long, global = true, value_name = "TIME", value_parser = timeout)]
    pub(crate) timeout: Option<Duration>,
    /// No colours (as with NO_COLOR in the environment)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("it must be longer than nothing".into()),
        Ok(time) => Ok(time),
        Err(_) => Err("write a time with its unit, such as `30s` or `2min`".into()),
    }
}

/// Form of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs; of logs: one entry a line
    Json,
    /// For programs and people
    Yaml,
    /// Logs only: time, program and message
    Short,
    /// Logs only: the message alone
    Cat,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Login(login::Login),
    Logout(logout::Logout),
    Whoami(sessions::WhoAmI),
    Context(context::Contexts),
    Status(status::Status),
    #[command(alias = "app")]
    Apps(apps::Apps),
    #[command(alias = "deployment")]
    Deployments(deployments::Deployments),
    Logs(logs::Logs),
    #[command(alias = "hosts")]
    Host(host::Hosts),
    #[command(alias = "unit")]
    Units(units::Units),
    Facts(facts::ShowFacts),
    #[command(alias = "script")]
    Scripts(scripts::Scripts),
    #[command(alias = "job", alias = "runs")]
    Jobs(jobs::Jobs),
    #[command(alias = "schedule")]
    Schedules(schedules::Schedules),
    #[command(alias = "warning")]
    Warnings(warnings::Warnings),
    Nginx(nginx::Nginx),
    Audit(audit::Audit),
    Auth(auth::Auth),
    #[command(alias = "session")]
    Sessions(sessions::Sessions),
    #[command(alias = "token")]
    Tokens(tokens::Tokens),
    #[command(alias = "user")]
    Users(users::Users),
    Completion(completion::Completion),
    Version(completion::Version),
}
