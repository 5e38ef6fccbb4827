//! What the host of an app is sent: settings and secrets as they are in this moment.

use hms_proto::{
    host::v1::{self, AppSpec, DatabaseAuth, JobKind, RollbackAppRequest, StartAppRequest},
    names::{GitUrl, Transport},
};

use super::secrets::{GIT_KEY, GIT_TOKEN, Secret, Set};
use crate::db::deployments::Deployment;

/// The secrets that are variables of the app. A password that nobody asks for is not delivered.
pub(super) fn delivered<'a>(spec: &AppSpec, set: &'a Set) -> impl Iterator<Item = &'a Secret> {
    let asked = !spec.database_name.is_empty() && spec.database_auth() == DatabaseAuth::Scram;
    set.secrets.iter().filter(move |secret| match secret.name.as_str() {
        GIT_KEY | GIT_TOKEN => false,
        "DATABASE_PASSWORD" => asked,
        _ => true,
    })
}

/// Work that the controller alone may ask for.
pub(crate) fn start(deployment: &Deployment, spec: AppSpec, set: &Set) -> StartAppRequest {
    let wanted = &deployment.wanted.0;
    let kind = deployment.job.kind();
    let fetches = kind == JobKind::Deploy;
    let transport = GitUrl::try_from(spec.git_url.as_str()).ok().map(|url| url.transport());
    let with = |name: &str, by: Transport| match set.get(name) {
        Some(secret) if fetches && transport == Some(by) => secret.value.to_string(),
        _ => String::new(),
    };
    let plain = |secret: &Secret| v1::Secret { name: secret.name.clone(), value: secret.value.to_string() };
    let secrets = match kind {
        JobKind::Remove => Vec::new(),
        _ => delivered(&spec, set).map(plain).collect(),
    };
    StartAppRequest {
        id: deployment.job.id.to_string(),
        kind: kind.into(),
        secrets_version: set.version(),
        secrets,
        git_private_key: with(GIT_KEY, Transport::Ssh),
        git_token: with(GIT_TOKEN, Transport::Https),
        branch: if fetches { first(&wanted.branch, &spec.branch) } else { String::new() },
        commit: wanted.commit.clone(),
        restart: wanted.restart,
        revert_drift: wanted.revert_drift,
        delete_data: wanted.delete_data,
        spec: Some(spec),
    }
}

fn first(wanted: &str, usual: &str) -> String {
    if wanted.is_empty() { usual.to_owned() } else { wanted.to_owned() }
}

/// Going back, which people may also ask the host for themselves.
pub(crate) fn rollback(deployment: &Deployment) -> RollbackAppRequest {
    let wanted = &deployment.wanted.0;
    RollbackAppRequest {
        id: deployment.job.id.to_string(),
        key: deployment.app_key.clone(),
        release: wanted.release.clone(),
        accept_destructive: wanted.accept_destructive,
        restart: wanted.restart,
        revert_drift: wanted.revert_drift,
    }
}
