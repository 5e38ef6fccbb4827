//! Secrets of apps over gRPC.

use std::sync::Arc;

use hms_proto::{
    controller::v1::{
        ExportSecretsResponse, ImportSecretsRequest, ListSecretsRequest, ListSecretsResponse,
        RevealSecretRequest, RotateSecretRequest, SecretsChange, SetSecretsRequest,
        secret_service_server::SecretService,
    },
    fault::{Fault, FaultKind},
    host::v1,
    names::AppKey,
};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::{apps::key, session::caller_of};
use crate::{
    apps::secrets::{self, Wanted},
    audit::Changed,
    state::Core,
};

pub(super) struct Secrets(pub(super) Arc<Core>);

#[tonic::async_trait]
impl SecretService for Secrets {
    async fn list(
        &self,
        request: Request<ListSecretsRequest>,
    ) -> Result<Response<ListSecretsResponse>, Status> {
        let asked = request.get_ref();
        Ok(Response::new(secrets::list(&self.0, &key(&asked.key)?, asked.version).await?))
    }

    async fn set(&self, request: Request<SetSecretsRequest>) -> Result<Response<SecretsChange>, Status> {
        let by = caller_of(&request)?.name.clone();
        let asked = request.into_inner();
        let (key, is_real) = (key(&asked.key)?, !asked.dry_run);
        let change = set(&self.0, asked, &by).await?;
        Ok(told(&self.0, &key, change, is_real).await)
    }

    async fn import(
        &self,
        request: Request<ImportSecretsRequest>,
    ) -> Result<Response<SecretsChange>, Status> {
        let by = caller_of(&request)?.name.clone();
        let ImportSecretsRequest { key: app, text, replace, dry_run } = request.into_inner();
        let (key, text) = (key(&app)?, Zeroizing::new(text));
        let wanted = secrets::from_dotenv(&self.0, &key, &text, replace).await?;
        let change = secrets::change(&self.0, &key, wanted, &by, dry_run).await?;
        Ok(told(&self.0, &key, change, !dry_run).await)
    }

    async fn rotate(&self, request: Request<RotateSecretRequest>) -> Result<Response<SecretsChange>, Status> {
        let by = caller_of(&request)?.name.clone();
        let asked = request.get_ref();
        let key = key(&asked.key)?;
        let change = secrets::rotate(&self.0, &key, &asked.name, &by).await?;
        Ok(told(&self.0, &key, change, true).await)
    }

    async fn reveal(&self, request: Request<RevealSecretRequest>) -> Result<Response<v1::Secret>, Status> {
        Ok(Response::new(reveal(&self.0, request.into_inner()).await?))
    }

    async fn export(
        &self,
        request: Request<ListSecretsRequest>,
    ) -> Result<Response<ExportSecretsResponse>, Status> {
        let asked = request.get_ref();
        let key = key(&asked.key)?;
        let set = secrets::at(&self.0, &key, asked.version).await?;
        let secrets = secrets::export(&self.0, &key, &set)?;
        Ok(Response::new(ExportSecretsResponse { version: set.version(), secrets }))
    }
}

/// The answer; the audit gets keyed hashes of what is another now.
async fn told(core: &Core, key: &AppKey, change: SecretsChange, is_real: bool) -> Response<SecretsChange> {
    let names = || [&change.added, &change.changed, &change.removed].into_iter().flatten();
    if !is_real || names().next().is_none() {
        return Response::new(change);
    }
    let before = secrets::marks(core, key, change.version.saturating_sub(1), names()).await;
    let after = secrets::marks(core, key, change.version, names()).await;
    match (before, after) {
        (Ok(before), Ok(after)) => Changed::of(Some(&before), Some(&after)).tell(change),
        // It is done: what cannot be told of it changes nothing.
        (Err(fault), _) | (_, Err(fault)) => {
            tracing::warn!(app = %key, reason = %fault, "the audit does not say which secrets are another");
            Response::new(change)
        }
    }
}

async fn set(core: &Core, asked: SetSecretsRequest, by: &str) -> Result<SecretsChange, Fault> {
    let key = key(&asked.key)?;
    let mut wanted = Wanted::new();
    let twice = |name: &str| Fault::invalid(format!("{} is named twice", name.escape_debug()));
    for secret in asked.secrets {
        let value = match asked.sealed {
            true => secrets::import(core, &key, &secret)?,
            false => Zeroizing::new(secret.value),
        };
        if let Some(name) = wanted.insert(secret.name.clone(), Some(value)).map(|_| &secret.name) {
            return Err(twice(name));
        }
    }
    for name in asked.remove {
        if wanted.insert(name.clone(), None).is_some() {
            return Err(twice(&name));
        }
    }
    secrets::change(core, &key, wanted, by, asked.dry_run).await
}

/// One value.
async fn reveal(core: &Core, asked: RevealSecretRequest) -> Result<v1::Secret, Fault> {
    let key = key(&asked.key)?;
    secrets::check_name(&asked.name)?;
    let set = secrets::at(core, &key, asked.version).await?;
    let secret = set.get(&asked.name).ok_or_else(|| {
        let said = format!("{key} has no secret {} at version {}", asked.name, set.version());
        Fault::new(FaultKind::NotFound, said).hint(format!("`hmsctl apps secrets {key}` shows the names."))
    })?;
    Ok(v1::Secret { name: asked.name, value: secret.value.to_string() })
}
