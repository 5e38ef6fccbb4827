//! Work on apps that somebody asked a host for directly, while the controller was away or not: it is history like all other.

use std::{collections::HashMap, time::Duration};

use hms_proto::{
    host::v1::{JobKind, ListJobsRequest, job_service_client::JobServiceClient},
    identity::{Identity, Kind},
};
use uuid::Uuid;

use super::worker;
use crate::{
    db::{self, deployments},
    fleet::{Host, as_controller, in_time},
    state::State,
};

/// How often each host is looked at.
const OFTEN: Duration = Duration::from_secs(30);
/// Changes of hosts within this time are looked at together.
const TOGETHER: Duration = Duration::from_millis(500);
/// The newest jobs of a host.
const NEWEST: u32 = 100;

/// Looks at hosts when they connect, and now and then.
pub(super) async fn run(state: State) {
    let mut changes = state.fleet.changes();
    loop {
        let mut seen: HashMap<Uuid, i64> = HashMap::new();
        let again = tokio::time::sleep(OFTEN);
        tokio::pin!(again);
        loop {
            for host in state.fleet.hosts().into_iter().filter(|host| host.is_connected()) {
                let since = host.look(|picture| picture.since_usec);
                if seen.insert(host.row.id, since) != Some(since) && has_apps(&state, &host) {
                    look(&state, &host).await;
                }
            }
            tokio::time::sleep(TOGETHER).await;
            tokio::select! {
                // Lagging is a change, too.
                _ = changes.recv() => while changes.try_recv().is_ok() {},
                () = &mut again => break,
            }
        }
    }
}

fn has_apps(state: &State, host: &Host) -> bool {
    state.fleet.apps().iter().any(|app| app.host() == host.row.name)
}

async fn look(state: &State, host: &Host) {
    let mut client = JobServiceClient::new(host.channel.clone());
    let request = as_controller(ListJobsRequest { running: false, limit: NEWEST });
    let Ok(list) = in_time(client.list(request)).await else { return };
    for mut job in list.into_inner().jobs {
        // Nobody but the controller takes an app away.
        if !matches!(job.kind(), JobKind::Deploy | JobKind::Apply | JobKind::Rollback) {
            continue;
        }
        let Ok((id, name)) = person(state, &job.actor).await else { return };
        job.actor = name;
        match deployments::adopt(&state.db, (host.row.id, &host.row.name), id, &job).await {
            Ok(true) => {
                tracing::info!(host = %host.row.name, job = %job.id, actor = %job.actor, "follows work that it did not begin");
                job.id.parse().into_iter().for_each(|id| worker::look_after(state, id));
            }
            // The controller's own waits for its turn; the next look is soon.
            Ok(false) | Err(db::Error::Conflict) => {}
            Err(error) => tracing::debug!(%error, "cannot take over work on an app"),
        }
    }
}

/// Who asked: a host knows the certificate, and the database the name.
async fn person(state: &State, actor: &str) -> db::Result<(Uuid, String)> {
    let operator = Identity::try_from(actor).ok().filter(|identity| identity.kind == Kind::Operator);
    let user = match operator {
        Some(operator) => db::users::get_by_id(&state.db, operator.id).await?,
        None => None,
    };
    Ok(user.map_or_else(|| (Uuid::nil(), actor.to_owned()), |user| (user.id, user.username)))
}
