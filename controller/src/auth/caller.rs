//! Who is calling, whichever face the call came through.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, Utc};
use hms_proto::{
    Role,
    access::role_word,
    fault::{Fault, FaultKind},
};
use sqlx::PgPool;
use uuid::Uuid;

use super::Scope;
use crate::db;

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
    /// A schedule, for the person who made it.
    Schedule,
    /// `hmsctl --direct`: straight to an agent, which told of it afterwards.
    Direct,
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
            Self::Schedule => "schedule",
            Self::Direct => "direct",
        }
    }

    /// The face that a run was asked for through.
    pub(crate) fn of_run(word: &str) -> Self {
        match word {
            "web" => Self::Web,
            "rest" => Self::Rest,
            "cli" => Self::Cli,
            _ => Self::Schedule,
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
    /// What the user may act on, as the database has it now.
    pub(crate) scope: Scope,
    /// Until when it counts as proved anew who is calling. None: not now.
    pub(crate) confirmed: Option<DateTime<Utc>>,
    /// The face.
    pub(crate) source: Source,
    /// Where the connection came from.
    pub(crate) address: Option<IpAddr>,
    /// The session that the call belongs to, where there is one.
    pub(crate) session: Option<Uuid>,
    /// The API token that the call was made with, where it was one.
    pub(crate) token: Option<Uuid>,
    /// Ties together what is said about this call in logs, audit and errors.
    pub(crate) request_id: Uuid,
    /// Whether a record has that id already; shared by all clones.
    pub(crate) is_recorded: Arc<AtomicBool>,
}

impl Caller {
    /// The controller itself, with a call that nobody asked for.
    pub(crate) fn system() -> Self {
        Self {
            id: Uuid::nil(),
            name: "hms".into(),
            role: Role::Admin,
            scope: Scope::everything(),
            confirmed: None,
            source: Source::System,
            address: None,
            session: None,
            token: None,
            request_id: Uuid::now_v7(),
            is_recorded: Arc::default(),
        }
    }

    /// For a call that gets a record. One request of a person may make several; the first has the request's id, each of the others its
    /// own.
    pub(crate) fn for_record(mut self) -> Self {
        if self.is_recorded.swap(true, Ordering::Relaxed) {
            self.request_id = Uuid::now_v7();
        }
        self
    }

    /// Somebody who asked for this earlier, with the role that they have now. Refused when it is not enough any more.
    pub(crate) async fn on_behalf(
        db: &PgPool,
        (id, name): (Uuid, &str),
        source: Source,
        needed: Role,
    ) -> Result<Self, Fault> {
        let user = db::users::get_by_id(db, id).await?.filter(|user| user.disabled_at.is_none());
        let user = user.filter(|user| user.role() >= needed).ok_or_else(|| {
            Fault::new(
                FaultKind::Denied,
                format!("{name} may no longer do this: it needs {}", role_word(needed)),
            )
        })?;
        Ok(Self {
            id,
            role: user.role(),
            scope: Scope::within([user.limit()]),
            confirmed: None,
            name: user.username,
            source,
            address: None,
            session: None,
            token: None,
            request_id: Uuid::now_v7(),
            is_recorded: Arc::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Test = Result<(), Box<dyn std::error::Error>>;

    #[sqlx::test(migrations = "../migrations")]
    async fn who_asked_earlier_may_do_what_they_may_now(db: PgPool) -> Test {
        let ada = db::users::add(&db, "ada", Role::Operator, "x").await?.id;
        let now = async |needed| Caller::on_behalf(&db, (ada, "ada"), Source::Schedule, needed).await;
        assert_eq!(now(Role::Operator).await?.role, Role::Operator);
        assert_eq!(now(Role::Admin).await.unwrap_err().kind(), FaultKind::Denied);
        db::users::set_role(&db, "ada", Role::Viewer).await?;
        assert!(now(Role::Operator).await.unwrap_err().message.starts_with("ada may no longer do this"));
        db::users::set_role(&db, "ada", Role::Admin).await?;
        assert!(now(Role::Operator).await.is_ok());
        db::users::set_disabled(&mut *db.acquire().await?, "ada", true).await?;
        assert!(now(Role::Operator).await.is_err());
        assert!(Caller::on_behalf(&db, (Uuid::nil(), "hms"), Source::Schedule, Role::Viewer).await.is_err());
        Ok(())
    }
}
