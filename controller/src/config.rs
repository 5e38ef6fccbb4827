//! What a controller is told when it starts. Everything else is in the database.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};
use hms_proto::{Role, access, names::UserName};

/// The controller of HMS: database, accounts, web interface, REST, and the way to every agent.
#[derive(Debug, Parser)]
#[command(name = "hms-controller", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// The database. Peer authentication over the unix socket: no password exists.
    #[arg(
        long,
        global = true,
        default_value = "postgres://hms@localhost/hosting_production?host=/run/postgresql",
        value_name = "URL"
    )]
    pub(crate) database: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  hms-controller serve --name hosting.example.org
  hms-controller user add ada --role admin --generate
  hms-controller ca > /etc/hms-ca.pem
  hms-controller migrate --database 'postgres://hms-owner@localhost/hosting_production?host=/run/postgresql'";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the controller.
    Serve(Serve),
    /// Brings the database up to date, and gives the controller's role its rights; to be run as the owner of the tables.
    /// hms-migrate.service does it before each start of the controller.
    Migrate,
    /// Manages accounts from the host itself, for the first one and for emergencies.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Prints the root certificate, for browsers, curl and `hmsctl login --ca-file`.
    Ca {
        /// Print only its SHA-256, as `hmsctl login --ca-fingerprint` takes it.
        #[arg(long)]
        fingerprint: bool,
    },
}

/// Where it listens.
#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    /// Web interface, REST and enrolment, over HTTPS.
    #[arg(long, default_value = "0.0.0.0:8443", value_name = "ADDRESS")]
    pub(crate) web: SocketAddr,
    /// gRPC with client certificates, for hmsctl and for agents.
    #[arg(long, default_value = "0.0.0.0:9443", value_name = "ADDRESS")]
    pub(crate) grpc: SocketAddr,
    /// A DNS name or IP address under which people and agents reach it. May be repeated; the first is the one told to agents.
    #[arg(long = "name", value_name = "NAME", env = "HMS_NAMES", value_delimiter = ',')]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Adds an account. The password is read from standard input.
    Add {
        name: UserName,
        /// viewer, operator or admin.
        #[arg(long, value_parser = role, default_value = "viewer")]
        role: Role,
        /// Make a password and print it, once.
        #[arg(long)]
        generate: bool,
    },
    /// Adds an account, and prints the code with which its owner chooses a password: good once, for a day.
    Invite {
        name: UserName,
        /// viewer, operator or admin.
        #[arg(long, value_parser = role, default_value = "viewer")]
        role: Role,
    },
    /// Lists the accounts.
    List,
    /// Gives an account a new password, read from standard input. Its sessions end.
    Password {
        name: UserName,
        /// Make a password and print it, once.
        #[arg(long)]
        generate: bool,
    },
    /// Changes what an account may do, from its next request on.
    Role {
        name: UserName,
        /// viewer, operator or admin.
        #[arg(value_parser = role)]
        role: Role,
    },
    /// Locks an account. Its sessions end.
    Disable { name: UserName },
    /// Unlocks an account.
    Enable { name: UserName },
}

fn role(word: &str) -> Result<Role, String> {
    access::role_from_word(word).ok_or_else(|| "viewer, operator or admin".into())
}
