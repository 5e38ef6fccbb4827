//! All SQL of the controller. One file for each noun; each function is one thing that the rest wants of the database.

pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod audit_chain;
pub(crate) mod authority;
pub(crate) mod config;
pub(crate) mod deployments;
pub(crate) mod hosts;
pub(crate) mod idempotency;
pub(crate) mod invitations;
pub(crate) mod jobs;
pub(crate) mod join_tokens;
pub(crate) mod nginx;
pub(crate) mod output;
pub(crate) mod reach;
pub(crate) mod refresh;
pub(crate) mod runs;
pub(crate) mod schedules;
pub(crate) mod schema;
pub(crate) mod scripts;
pub(crate) mod secrets;
pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod warnings;

use std::{str::FromStr as _, time::Duration};

use hms_proto::fault::{Fault, FaultKind};
use sqlx::{
    ConnectOptions as _, PgPool,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// What can go wrong with a query.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database is not there, or too busy: it makes sense to try again.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// There is one of that name already.
    #[error("there is one already")]
    Conflict,
    /// A value does not fit its column.
    #[error("a value is too long, or has a form that cannot be kept")]
    Unfit(#[source] sqlx::Error),
    /// A defect.
    #[error("the database refused a query")]
    Internal(#[source] sqlx::Error),
    /// The schema is older than this program.
    #[error(
        "the database is not up to date: hms-migrate.service brings it there, and `journalctl -u hms-migrate` says what stops it"
    )]
    Outdated,
    /// The role could rewrite what it did.
    #[error(
        "this database role could change the audit: the tables belong to hms-owner, and the controller uses the role hms (docs/install.md)"
    )]
    OwnsTheAudit,
    /// The schema is not what this program was made for.
    #[error("the database has the schema of another version of HMS")]
    Migration(#[source] MigrateError),
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(db) if db.is_unique_violation() => Self::Conflict,
            sqlx::Error::Database(db) if db.code().is_some_and(|c| passes_by_itself(&c)) => {
                Self::Unavailable(error)
            }
            // Class 22, data exception.
            sqlx::Error::Database(db) if db.code().is_some_and(|c| c.starts_with("22")) => Self::Unfit(error),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Internal(error),
        }
    }
}

/// Whether an SQLSTATE speaks of the server's condition and not of the query: connection, resources, operator
/// intervention (a shutdown, a statement that took too long), and a lock that was not to be had.
fn passes_by_itself(code: &str) -> bool {
    matches!(code.get(..2), Some("08" | "53" | "57")) || code == "55P03"
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match &error {
            Error::Conflict => Self::new(FaultKind::Conflict, error.to_string()),
            Error::Unfit(cause) => {
                tracing::info!(%cause, "a value does not fit");
                Self::invalid(error.to_string())
            }
            Error::Unavailable(cause) => {
                tracing::warn!(%cause, "the database cannot be reached");
                Self::new(FaultKind::Unavailable, error.to_string())
            }
            Error::Internal(cause) => {
                tracing::error!(%cause, "the database refused a query");
                Self::new(FaultKind::Internal, "something went wrong inside HMS")
            }
            Error::Outdated | Error::OwnsTheAudit => Self::new(FaultKind::Unavailable, error.to_string()),
            Error::Migration(cause) => {
                tracing::error!(%cause, "the schema is that of another version");
                Self::new(FaultKind::Internal, "something went wrong inside HMS")
            }
        }
    }
}

/// A pool for this database. Connections are made when they are needed, so the database may come up later.
pub(crate) fn connect(url: &str) -> Result<PgPool> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("hms-controller")
        // No query of ours is slow; one that is would hold a connection that others wait for.
        .options([
            ("statement_timeout", "5s"),
            // "exists already, skipping" is no news.
            ("client_min_messages", "warning"),
            ("lock_timeout", "3s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ])
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1));
    Ok(PgPoolOptions::new()
        .max_connections(16)
        .acquire_timeout(Duration::from_secs(2))
        .max_lifetime(Duration::from_secs(30 * 60))
        .connect_lazy_with(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    #[tokio::test]
    async fn a_database_that_is_not_there_is_unavailable_within_its_time() {
        let pool = connect("postgres:///hosting_production?host=/nonexistent&user=hms").unwrap();
        let begun = std::time::Instant::now();
        let error = hosts::list(&pool).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(4));
        assert_eq!(Fault::from(error).kind(), FaultKind::Unavailable);
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_defect_tells_no_sql(pool: PgPool) -> Test {
        let error: Error = sqlx::query("SELECT canary FROM nowhere").execute(&pool).await.unwrap_err().into();
        let fault = Fault::from(error);
        assert_eq!(fault.kind(), FaultKind::Internal);
        assert!(!fault.message.contains("canary") && !fault.message.contains("nowhere"));
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_connection_that_was_cut_is_replaced(pool: PgPool) -> Test {
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query(cut).execute(&pool).await?;
        hosts::list(&pool).await?;
        Ok(())
    }
}
