//! What the parts of the controller share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Watched, auth::Auth, fleet::Fleet, gate::Gate, jobs::Jobs, nginx::Pictures, pki::Authority,
};

/// Where the controller is reached.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    /// The name or address that agents are told.
    pub(crate) name: String,
    pub(crate) web_port: u16,
    pub(crate) grpc_port: u16,
}

impl Reach {
    /// Where people and machines reach the web port.
    pub(crate) fn origin(&self) -> String {
        format!("https://{}:{}", self.name, self.web_port)
    }
}

/// The parts below the gate.
pub(crate) struct Core {
    pub(crate) db: PgPool,
    pub(crate) pki: Arc<Authority>,
    pub(crate) auth: Arc<Auth>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) jobs: Jobs,
    /// What is known of the chain of the audit.
    pub(crate) audit: Watched,
    /// nginx of each host, as it was last seen.
    pub(crate) nginx: Pictures,
    pub(crate) reach: Reach,
    pub(crate) database_up: AtomicBool,
    /// Cancelled when the controller stops: open streams end.
    pub(crate) stop: CancellationToken,
}

impl Core {
    /// Whether the database answered when it was last heard of.
    pub(crate) fn is_database_up(&self) -> bool {
        self.database_up.load(Ordering::Relaxed)
    }

    pub(crate) fn set_database_up(&self, up: bool) {
        self.database_up.store(up, Ordering::Relaxed);
    }
}

/// What web and REST handlers work with.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) core: Arc<Core>,
    pub(crate) gate: Gate,
}

impl std::ops::Deref for State {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}
