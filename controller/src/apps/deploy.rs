//! Work on an app is asked for: checked, and written down. `crate::jobs` does it.

use hms_proto::{
    controller::v1,
    fault::{Fault, FaultKind},
    host::v1::{JobKind, RestartKind},
    names::{AppKey, BranchName, CommitId, HostName, ReleaseId},
};
use uuid::Uuid;

use super::{find, host, settings};
use crate::{
    auth::Caller,
    db::{
        self,
        apps::App,
        deployments::{self, Deployment, NewDeployment, Wanted},
    },
    fleet::LinkState,
    state::Core,
};

/// So often another one may begin and end between two looks.
const ATTEMPTS: usize = 3;

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) key: String,
    /// A UUID of the caller's; empty: a new one.
    pub(crate) id: String,
    pub(crate) kind: JobKind,
    pub(crate) wanted: Wanted,
}

/// Begins a deployment. One that is known by its id, or works on the app already, is answered as it is.
pub(crate) async fn begin(core: &Core, asked: Asked, caller: &Caller) -> Result<v1::Deployment, Fault> {
    let key = AppKey::try_from(asked.key.as_str())?;
    check(&asked)?;
    let id = match asked.id.as_str() {
        "" => Uuid::now_v7(),
        text => id(text)?,
    };
    for _ in 0..ATTEMPTS {
        if let Some(known) = deployments::get(&core.db, id).await? {
            return the_same(&known, &asked, caller);
        }
        if let Some(at_work) = deployments::at_work(&core.db, key.as_str()).await? {
            return Ok(v1::Deployment { joined: true, ..at_work.to_proto() });
        }
        let new = resolve(core, &key, id, &asked, caller).await?;
        match deployments::begin(&core.db, &new).await {
            Ok(()) => return Ok(get(core, id).await?.to_proto()),
            Err(db::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Fault::new(FaultKind::Conflict, format!("others work on {key}, or a run has the id {id} already")))
}

/// What was asked for, in a form that can be meant.
fn check(asked: &Asked) -> Result<(), Fault> {
    let wanted = &asked.wanted;
    if !wanted.branch.is_empty() {
        BranchName::try_from(wanted.branch.as_str())?;
    }
    if !wanted.commit.is_empty() {
        CommitId::try_from(wanted.commit.as_str())?;
    }
    if !wanted.release.is_empty() {
        ReleaseId::try_from(wanted.release.as_str())?;
    }
    match RestartKind::try_from(wanted.restart) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::invalid(format!("{} is no kind of restart", wanted.restart))),
    }
}

fn the_same(known: &Deployment, asked: &Asked, caller: &Caller) -> Result<v1::Deployment, Fault> {
    let same = known.app_key == asked.key && known.job.kind() == asked.kind && known.job.actor == caller.name;
    match same {
        true => Ok(known.to_proto()),
        false => {
            let said = format!("another deployment has the id {} already", known.job.id);
            Err(Fault::new(FaultKind::Conflict, said))
        }
    }
}

async fn resolve(
    core: &Core,
    key: &AppKey,
    id: Uuid,
    asked: &Asked,
    caller: &Caller,
) -> Result<NewDeployment, Fault> {
    let app = find(core, key).await?;
    let host = host::of(core, &app)?;
    if host.look(|picture| picture.link == LinkState::Pending) {
        let said = format!("the agent of {} has not joined yet", host.row.name);
        return Err(Fault::new(FaultKind::Unreachable, said).hint("`hmsctl host token` tells how it joins."));
    }
    HostName::try_from(host.row.name.as_str())?;
    let mut wanted = asked.wanted.clone();
    if asked.kind != JobKind::Rollback {
        let spec = settings::complete_spec(&app)?;
        if asked.kind == JobKind::Deploy {
            may_be_deployed(&app)?;
            if wanted.branch.is_empty() {
                wanted.branch = spec.branch;
            }
        }
    }
    Ok(NewDeployment {
        id,
        app: key.to_string(),
        kind: asked.kind,
        host: (host.row.id, host.row.name.clone()),
        wanted,
        actor: caller.name.clone(),
        user_id: caller.id,
        source: caller.source,
    })
}

fn may_be_deployed(app: &App) -> Result<(), Fault> {
    let key = &app.app_key;
    if app.enabled == Some(false) {
        return Err(Fault::new(FaultKind::Conflict, format!("{key} is not enabled, so it is not deployed"))
            .hint(format!("`hmsctl apps edit {key}` enables it.")));
    }
    if app.github_repo.is_empty() {
        return Err(Fault::new(
            FaultKind::Conflict,
            format!("it is not said where the code of {key} comes from"),
        )
        .hint(format!("`hmsctl apps edit {key}` sets the git address.")));
    }
    Ok(())
}

/// The deployment with this id.
pub(crate) async fn get(core: &Core, id: Uuid) -> Result<Deployment, Fault> {
    deployments::get(&core.db, id).await?.ok_or_else(|| {
        Fault::not_found("deployment", &id.to_string()).hint("`hmsctl deployments` shows the deployments.")
    })
}

/// A UUID as people may type it.
pub(crate) fn id(text: &str) -> Result<Uuid, Fault> {
    let id = Uuid::try_parse(text).ok().filter(|id| !id.is_nil());
    id.ok_or_else(|| {
        let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
        Fault::invalid(format!("`{shown}` is not the id of a deployment: it must be a UUID"))
    })
}
