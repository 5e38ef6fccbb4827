//! Changes of secrets: each makes the next version of the whole set, and sets the plan's columns with it.

use std::collections::{BTreeMap, BTreeSet};

use hms_proto::{
    app,
    controller::v1::SecretsChange,
    fault::Fault,
    names::{AppKey, EnvName},
};
use sqlx::PgConnection;
use zeroize::Zeroizing;

use super::{
    super::{keys, no_app},
    GIT_KEY, GIT_TOKEN, Set, Value, cannot, column, latest, open, read,
};
use crate::{
    db::{self, secrets::Change},
    seal::{Place, Sealer},
    state::Core,
};

/// What each app has from the beginning, as random values.
const FIRST: [&str; 3] = ["SECRET_KEY_BASE", "API_TOKEN", "DATABASE_PASSWORD"];
/// Of one app.
const MOST: usize = 200;
/// Of all names and values of one app together, in bytes. Its host takes 512 KiB, with what it adds itself.
const MOST_TOGETHER: usize = 480 * 1024;

/// What is to be of secrets, by name: a value, or none any more.
pub(crate) type Wanted = BTreeMap<String, Option<Value>>;

/// The latest version, while nobody else can make another.
pub(super) async fn lock(core: &Core, tx: &mut PgConnection, key: &AppKey) -> Result<i32, Fault> {
    let latest = db::secrets::lock(tx, key.as_str()).await?.ok_or_else(|| no_app(key))?;
    adopt_columns(core, tx, key, latest).await
}

/// Takes over what only the plan's columns say: they were written by hand, or before there were versions.
async fn adopt_columns(core: &Core, tx: &mut PgConnection, key: &AppKey, latest: i32) -> Result<i32, Fault> {
    let columns = db::secrets::columns(&mut *tx, key.as_str()).await?;
    let mut wanted = Wanted::new();
    for (column, name) in db::secrets::COLUMNS {
        let Some(text) = columns.get(name) else { continue };
        let value = match Sealer::is_sealed(text) {
            true if latest > 0 => continue,
            true => open(core.pki.sealer(), Place { table: "apps", column, row: key.as_str() }, text)?,
            false => Zeroizing::new(text.clone()),
        };
        check_value(name, &value)?;
        wanted.insert(name.into(), Some(value));
    }
    match wanted.is_empty() {
        true => Ok(latest),
        false => write(tx, core.pki.sealer(), key, &wanted, latest, "the database").await,
    }
}

fn seal(sealer: &Sealer, key: &AppKey, name: &str, version: i32, value: &str) -> Result<String, Fault> {
    let column = column(name, version);
    let place = Place { table: "app_secrets", column: &column, row: key.as_str() };
    sealer.seal(place, value.as_bytes()).map_err(cannot)
}

/// Writes the next version, and the plan's columns with it. The caller holds the lock, and something changes.
async fn write(
    tx: &mut PgConnection,
    sealer: &Sealer,
    key: &AppKey,
    wanted: &Wanted,
    latest: i32,
    by: &str,
) -> Result<i32, Fault> {
    let version = match latest {
        // The host may still have secrets of an earlier app of this key.
        0 => db::deployments::highest_secrets_version(&mut *tx, key.as_str()).await? + 1,
        latest => latest + 1,
    };
    let mut changes = Vec::new();
    for (name, value) in wanted {
        let value = match value {
            Some(value) => Some((seal(sealer, key, name, version, value)?, value.len())),
            None => None,
        };
        changes.push(Change { name: name.clone(), value });
    }
    db::secrets::put(tx, key.as_str(), version, &changes, by).await?;
    for (column, name) in db::secrets::COLUMNS {
        let Some(value) = wanted.get(name) else { continue };
        let place = Place { table: "apps", column, row: key.as_str() };
        let sealed = value.as_ref().map(|value| sealer.seal(place, value.as_bytes())).transpose();
        let sealed = sealed.map_err(cannot)?.unwrap_or_default();
        db::secrets::set_column(tx, key.as_str(), column, &sealed).await?;
    }
    Ok(version)
}

/// The random values that a new app begins with.
pub(in crate::apps) async fn first(
    tx: &mut PgConnection,
    sealer: &Sealer,
    key: &AppKey,
    by: &str,
) -> Result<(), Fault> {
    let wanted = FIRST.iter().map(|name| ((*name).to_owned(), Some(random(name)))).collect();
    write(tx, sealer, key, &wanted, 0, by).await?;
    Ok(())
}

/// As long as is usual for what it is for: Rails wants 128 digits for SECRET_KEY_BASE.
fn random(name: &str) -> Value {
    let bytes = Zeroizing::new(rand::random::<[u8; 64]>());
    let length = if name == "SECRET_KEY_BASE" { 64 } else { 32 };
    Zeroizing::new(hex::encode(&bytes[..length]))
}

/// Makes a new value of one secret.
pub(crate) async fn rotate(core: &Core, key: &AppKey, name: &str, by: &str) -> Result<SecretsChange, Fault> {
    let value = match name {
        GIT_KEY => keys::new(&format!("hms-{key}"))?,
        name if FIRST.contains(&name) => random(name),
        other => {
            check_name(other)?;
            return Err(Fault::invalid(format!("HMS does not know how a new {other} is made"))
                .hint(format!("`hmsctl apps secrets set {key} {other}` sets a value.")));
        }
    };
    change(core, key, Wanted::from([(name.to_owned(), Some(value))]), by, false).await
}

/// What a `.env` file would make of the secrets. `replace`: what is not in it goes, but for what HMS made.
pub(crate) async fn from_dotenv(
    core: &Core,
    key: &AppKey,
    text: &str,
    replace: bool,
) -> Result<Wanted, Fault> {
    let mut wanted = Wanted::new();
    for (name, value) in hms_proto::dotenv::parse(text)? {
        wanted.insert(name, Some(Zeroizing::new(value)));
    }
    if replace {
        let kept = |name: &str| FIRST.contains(&name) || [GIT_KEY, GIT_TOKEN].contains(&name);
        for secret in latest(core, key).await?.secrets.into_iter().filter(|s| !kept(&s.name)) {
            wanted.entry(secret.name).or_insert(None);
        }
    }
    Ok(wanted)
}

/// Makes a new version where something changes. `dry_run`: only says what would.
pub(crate) async fn change(
    core: &Core,
    key: &AppKey,
    wanted: Wanted,
    by: &str,
    dry_run: bool,
) -> Result<SecretsChange, Fault> {
    for (name, value) in &wanted {
        check_name(name)?;
        value.as_ref().map_or(Ok(()), |value| check_value(name, value))?;
    }
    let mut tx = core.db.begin().await.map_err(db::Error::from)?;
    let latest = lock(core, &mut tx, key).await?;
    let before = read(&mut tx, core.pki.sealer(), key, latest).await?;
    let (mut told, wanted) = compare(&before, wanted)?;
    if !wanted.is_empty() && !dry_run {
        let version = write(&mut tx, core.pki.sealer(), key, &wanted, latest, by).await?;
        told.version = u32::try_from(version).unwrap_or_default();
    }
    tx.commit().await.map_err(db::Error::from)?;
    Ok(told)
}

/// What it would be by name, and what of it is a change.
fn compare(before: &Set, wanted: Wanted) -> Result<(SecretsChange, Wanted), Fault> {
    let mut told = SecretsChange { version: before.version(), ..SecretsChange::default() };
    let mut changes = Wanted::new();
    for (name, value) in wanted {
        let list = match (before.get(&name), &value) {
            (None, None) => return Err(Fault::not_found("secret", &name)),
            (None, Some(_)) => &mut told.added,
            (Some(_), None) => &mut told.removed,
            (Some(now), Some(value)) if *now.value == **value => {
                told.unchanged.push(name);
                continue;
            }
            (Some(_), Some(_)) => &mut told.changed,
        };
        list.push(name.clone());
        changes.insert(name, value);
    }
    let others =
        before.secrets.iter().filter(|s| !changes.contains_key(&s.name) && !told.unchanged.contains(&s.name));
    let others: BTreeSet<String> = others.map(|s| s.name.clone()).collect();
    fits_together(before, &changes)?;
    told.unchanged.extend(others);
    told.unchanged.sort();
    Ok((told, changes))
}

fn fits_together(before: &Set, changes: &Wanted) -> Result<(), Fault> {
    let kept = before
        .secrets
        .iter()
        .filter(|s| !changes.contains_key(&s.name))
        .map(|s| s.name.len() + s.value.len());
    let new = changes.iter().filter_map(|(name, value)| Some(name.len() + value.as_ref()?.len()));
    let lengths: Vec<usize> = kept.chain(new).collect();
    if lengths.len() > MOST {
        return Err(Fault::invalid(format!("an app has at most {MOST} secrets")));
    }
    if lengths.iter().sum::<usize>() > MOST_TOGETHER {
        return Err(Fault::invalid("the secrets of an app together have at most 480 KiB"));
    }
    Ok(())
}

/// A variable, or one of those that the code is fetched with.
pub(crate) fn check_name(name: &str) -> Result<(), Fault> {
    match name {
        GIT_KEY | GIT_TOKEN => Ok(()),
        name => Ok(EnvName::try_from(name).map(drop)?),
    }
}

fn check_value(name: &str, value: &str) -> Result<(), Fault> {
    app::check_value(name, value)?;
    match name {
        GIT_KEY => keys::public(value).map(drop),
        GIT_TOKEN if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(Fault::invalid(format!("the value of {name} must be printable ASCII without spaces")))
        }
        _ => Ok(()),
    }
}
