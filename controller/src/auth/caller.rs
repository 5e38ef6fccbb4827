//! Who is calling, whichever face the call came through.

use std::net::IpAddr;

use hms_proto::Role;
use uuid::Uuid;

/// The face that a call came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The browser.
    Web,
    /// The REST interface.
    Rest,
    /// `hmsctl`, or anything else that speaks gRPC.
    Cli,
    /// An agent, for itself.
    Agent,
    /// The controller, for itself.
    System,
}

impl Source {
    /// As the audit has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Rest => "rest",
            Self::Cli => "cli",
            Self::Agent => "agent",
            Self::System => "system",
        }
    }
}

/// Somebody whose identity was proved, with one request of theirs.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The user. Nil for the controller itself.
    pub(crate) id: Uuid,
    /// The user's name.
    pub(crate) name: String,
    /// What the user may do, as the database has it now.
    pub(crate) role: Role,
    /// The face.
    pub(crate) source: Source,
    /// Where the connection came from.
    pub(crate) address: Option<IpAddr>,
    /// The session that the call belongs to, where there is one.
    pub(crate) session: Option<Uuid>,
    /// Ties together what is said about this call in logs, audit and errors.
    pub(crate) request_id: Uuid,
}
