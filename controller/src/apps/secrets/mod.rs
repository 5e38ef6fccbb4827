//! Secrets of apps, as versions of a whole set, sealed for their place. Opened only where they are compared, delivered or shown.

mod change;

use std::collections::BTreeMap;

use hms_proto::{
    controller::v1::{ListSecretsResponse, SecretInfo},
    fault::{Fault, FaultKind},
    host::v1,
    names::AppKey,
};
use sqlx::PgConnection;
use zeroize::Zeroizing;

use super::keys;
use crate::{
    db::{self, secrets::Secret as Row},
    seal::{Place, SealError, Sealer},
    state::Core,
};
pub(super) use change::first;
pub(crate) use change::{Wanted, change, check_name, from_dotenv, rotate};

/// With which the code is fetched. They are no variables, and reach a host only for that.
pub(crate) const GIT_KEY: &str = "git-private-key";
pub(crate) const GIT_TOKEN: &str = "git-token";

/// A value in plain text. Leaves no copy behind.
pub(crate) type Value = Zeroizing<String>;

/// One secret of a set.
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// The secrets of an app at one version, by name.
pub(crate) struct Set {
    version: i32,
    pub(crate) secrets: Vec<Secret>,
}

impl Set {
    pub(crate) fn version(&self) -> u32 {
        u32::try_from(self.version).unwrap_or_default()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Secret> {
        self.secrets.iter().find(|secret| secret.name == name)
    }
}

/// Where the value of a version lies: name and version are part of it, so that no earlier value passes for a later one.
fn column(name: &str, version: i32) -> String {
    format!("{name} {version}")
}

fn open(sealer: &Sealer, place: Place<'_>, sealed: &str) -> Result<Value, Fault> {
    let bytes = sealer.open(place, sealed).map_err(cannot)?;
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| Fault::new(FaultKind::Internal, "a secret of an app is no text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn cannot(error: SealError) -> Fault {
    tracing::error!(%error, "a secret of an app cannot be used");
    Fault::new(FaultKind::Internal, error.to_string())
        .hint("Restore the master key that it was sealed with, or set the secret anew.")
}

/// The latest version of an app's secrets.
pub(crate) async fn latest(core: &Core, key: &AppKey) -> Result<Set, Fault> {
    let mut tx = core.db.begin().await.map_err(db::Error::from)?;
    let version = change::lock(core, &mut tx, key).await?;
    let set = read(&mut tx, core.pki.sealer(), key, version).await?;
    tx.commit().await.map_err(db::Error::from)?;
    Ok(set)
}

/// One version; 0: the latest.
pub(crate) async fn at(core: &Core, key: &AppKey, version: u32) -> Result<Set, Fault> {
    if version == 0 {
        return latest(core, key).await;
    }
    let mut connection = core.db.acquire().await.map_err(db::Error::from)?;
    let version = known_version(core, key, version).await?;
    read(&mut connection, core.pki.sealer(), key, version).await
}

async fn known_version(core: &Core, key: &AppKey, version: u32) -> Result<i32, Fault> {
    super::find(core, key).await?;
    let number = i32::try_from(version).unwrap_or(i32::MAX);
    if db::secrets::has_version(&core.db, key.as_str(), number).await? {
        return Ok(number);
    }
    Err(Fault::new(FaultKind::NotFound, format!("the secrets of {key} have no version {version}"))
        .hint(format!("`hmsctl apps secrets {key}` shows the latest one.")))
}

async fn read(db: &mut PgConnection, sealer: &Sealer, key: &AppKey, version: i32) -> Result<Set, Fault> {
    let rows = db::secrets::at(db, key.as_str(), version).await?;
    let secrets =
        rows.into_iter().map(|row| Ok(Secret { value: opened(sealer, key, &row)?, name: row.name }));
    Ok(Set { version, secrets: secrets.collect::<Result<_, Fault>>()? })
}

fn opened(sealer: &Sealer, key: &AppKey, row: &Row) -> Result<Value, Fault> {
    let column = column(&row.name, row.version);
    open(sealer, Place { table: "app_secrets", column: &column, row: key.as_str() }, &row.value)
}

/// What there is, without values; version 0: the latest.
pub(crate) async fn list(core: &Core, key: &AppKey, version: u32) -> Result<ListSecretsResponse, Fault> {
    let version = match version {
        0 => {
            let mut tx = core.db.begin().await.map_err(db::Error::from)?;
            let version = change::lock(core, &mut tx, key).await?;
            tx.commit().await.map_err(db::Error::from)?;
            version
        }
        version => known_version(core, key, version).await?,
    };
    let rows = db::secrets::at(&core.db, key.as_str(), version).await?;
    let git_key = rows.iter().find(|row| row.name == GIT_KEY);
    let public = |row| opened(core.pki.sealer(), key, row).and_then(|value| keys::public(&value));
    Ok(ListSecretsResponse {
        version: u32::try_from(version).unwrap_or_default(),
        // One that cannot be opened does not hide the names.
        git_public_key: git_key.and_then(|row| public(row).ok()).unwrap_or_default(),
        secrets: rows.into_iter().map(info).collect(),
    })
}

fn info(row: Row) -> SecretInfo {
    SecretInfo {
        name: row.name,
        version: u32::try_from(row.version).unwrap_or_default(),
        changed_usec: row.created_at.timestamp_micros(),
        changed_by: row.created_by,
        length: u32::try_from(row.length).unwrap_or_default(),
    }
}

/// What the audit says of these secrets at a version: keyed hashes, and null for one that is not there.
pub(crate) async fn marks<'a>(
    core: &Core,
    key: &AppKey,
    version: u32,
    names: impl Iterator<Item = &'a String>,
) -> Result<BTreeMap<String, Option<String>>, Fault> {
    let mut connection = core.db.acquire().await.map_err(db::Error::from)?;
    let version = i32::try_from(version).unwrap_or(i32::MAX);
    let set = read(&mut connection, core.pki.sealer(), key, version).await?;
    let mark = |name: &String| {
        let place = Place { table: "audit", column: name, row: key.as_str() };
        set.get(name).map(|secret| core.pki.sealer().mark(place, secret.value.as_bytes()))
    };
    Ok(names.map(|name| (name.clone(), mark(name))).collect())
}

/// As sealed texts, which only this installation can open, and only for these names of this app.
pub(crate) fn export(core: &Core, key: &AppKey, set: &Set) -> Result<Vec<v1::Secret>, Fault> {
    let sealed = set.secrets.iter().map(|secret| {
        let place = Place { table: "export", column: &secret.name, row: key.as_str() };
        let value = core.pki.sealer().seal(place, secret.value.as_bytes()).map_err(cannot)?;
        Ok(v1::Secret { name: secret.name.clone(), value })
    });
    sealed.collect()
}

/// Opens one text of an export.
pub(crate) fn import(core: &Core, key: &AppKey, secret: &v1::Secret) -> Result<Value, Fault> {
    let place = Place { table: "export", column: &secret.name, row: key.as_str() };
    let opened = core.pki.sealer().open(place, &secret.value).ok();
    let text = opened.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    text.map(Zeroizing::new).ok_or_else(|| {
        let name: String = secret.name.chars().take(64).flat_map(char::escape_debug).collect();
        Fault::invalid(format!("the sealed text of {name} cannot be opened"))
            .hint("Only the installation that exported it can, and only for the same name of the same app.")
    })
}

#[cfg(test)]
mod tests;
