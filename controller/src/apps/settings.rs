//! Settings of apps: rows of the database as the contract has them, and back. The plan's columns say what they can say;
//! the rest of the specification is kept beside them.

use hms_proto::{
    access, app,
    controller::v1::AppSettings,
    fault::{Fault, FaultKind},
    host::v1::AppSpec,
    names::{AppKey, HostName},
};
use prost::Message as _;
use sqlx::types::{Json, chrono::NaiveDateTime};

use super::{find, no_app, secrets, shared};
use crate::{
    db::{self, apps::App},
    jobs::cron::Times,
    state::Core,
};

/// Where a release's files for the web are, below the folder of the app.
const PUBLIC: &str = "/current/public";
/// When backups are made unless somebody says otherwise, and for how long they are kept.
const BACKUP_SCHEDULE: &str = "0 2 * * *";
const BACKUP_DAYS: u32 = 30;
/// Longer makes no sense.
const MOST_BACKUP_DAYS: u32 = 3650;

/// What a row says.
pub(crate) fn of(row: &App) -> AppSettings {
    let usec = |time: Option<NaiveDateTime>| time.map_or(0, |t| t.and_utc().timestamp_micros());
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let spec = spec_of(row);
    AppSettings {
        key: row.app_key.clone(),
        host: text(&row.deployed_server),
        name: row.app_name.clone(),
        subdomain: row.subdomain.clone(),
        domain: row.domain.clone(),
        // A row that was edited by hand may say what cannot be: it is shown as it is.
        spec: Some(app::complete(spec.clone()).unwrap_or(spec)),
        enabled: row.enabled.unwrap_or(true),
        backup_enabled: row.backup_enabled.unwrap_or(false),
        backup_schedule: row.backup_schedule.clone().unwrap_or_else(|| BACKUP_SCHEDULE.into()),
        backup_retention_days: row
            .backup_retention_days
            .map_or(BACKUP_DAYS, |n| u32::try_from(n).unwrap_or(0)),
        local_code_path: text(&row.local_code_path),
        version: version_of(row),
        created_usec: usec(row.created_at),
        updated_usec: usec(row.updated_at),
    }
}

/// Settings for the audit, as it has those of a request: secrets blanked.
pub(crate) fn told(settings: &AppSettings) -> serde_json::Value {
    let rule = access::rule("/hms.controller.v1.AppService/Edit");
    rule.and_then(|rule| rule.describe_request(&settings.encode_to_vec())).unwrap_or_default()
}

/// The specification that a host is told: complete, or a fault that says what is wrong with it.
pub(crate) fn complete_spec(row: &App) -> Result<AppSpec, Fault> {
    app::complete(spec_of(row))
}

fn spec_of(row: &App) -> AppSpec {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let root = row.document_root.trim_end_matches('/');
    AppSpec {
        key: row.app_key.clone(),
        server_names: vec![full_name(&row.subdomain, &row.domain)],
        root: root.strip_suffix(PUBLIC).unwrap_or(root).to_owned(),
        git_url: row.github_repo.clone(),
        database_name: row.database_name.clone(),
        database_user: row.database_username.clone(),
        cert_path: text(&row.cert_path),
        key_path: text(&row.key_path),
        port: row.port.and_then(|port| u32::try_from(port).ok()).unwrap_or(0),
        ..row.settings.as_ref().map(|settings| settings.0.clone()).unwrap_or_default()
    }
}

/// Without what the columns say.
fn rest_of(spec: AppSpec) -> AppSpec {
    AppSpec {
        key: String::new(),
        server_names: Vec::new(),
        root: String::new(),
        git_url: String::new(),
        database_name: String::new(),
        database_user: String::new(),
        cert_path: String::new(),
        key_path: String::new(),
        port: 0,
        ..spec
    }
}

/// The name that a site answers to.
pub(crate) fn full_name(subdomain: &str, domain: &str) -> String {
    if subdomain.is_empty() { domain.to_owned() } else { format!("{subdomain}.{domain}") }
}

fn version_of(row: &App) -> String {
    row.updated_at.map(|time| time.and_utc().timestamp_micros().to_string()).unwrap_or_default()
}

fn seen(version: &str) -> Result<Option<NaiveDateTime>, Fault> {
    let wrong = || Fault::invalid("a version is copied from the settings as they were read");
    match version {
        "" => Ok(None),
        text => {
            let usec = text.parse().map_err(|_| wrong())?;
            let time = chrono::DateTime::from_timestamp_micros(usec).ok_or_else(wrong)?;
            Ok(Some(time.naive_utc()))
        }
    }
}

/// Settings as a row, checked.
fn into_row(settings: AppSettings) -> Result<App, Fault> {
    let key = AppKey::try_from(settings.key.as_str())?;
    let host = HostName::try_from(settings.host.as_str())?;
    let name = full_name(&settings.subdomain, &settings.domain);
    HostName::try_from(name.as_str())?;
    let given = settings.spec.unwrap_or_default();
    let spec = app::complete(AppSpec { key: key.to_string(), server_names: vec![name], ..given })?;
    Times::parse(&settings.backup_schedule)?;
    if !(1..=MOST_BACKUP_DAYS).contains(&settings.backup_retention_days) {
        return Err(Fault::invalid(format!("backups are kept for 1 to {MOST_BACKUP_DAYS} days")));
    }
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ok(App {
        app_key: key.to_string(),
        app_name: line("the name of the app", settings.name, 100)?,
        subdomain: settings.subdomain,
        domain: settings.domain,
        deployed_server: Some(host.to_string()),
        github_repo: spec.git_url.clone(),
        document_root: format!("{}{PUBLIC}", spec.root),
        database_name: spec.database_name.clone(),
        database_username: spec.database_user.clone(),
        cert_path: some(&spec.cert_path),
        key_path: some(&spec.key_path),
        port: i32::try_from(spec.port).ok().filter(|port| *port > 0),
        enabled: Some(settings.enabled),
        backup_enabled: Some(settings.backup_enabled),
        backup_schedule: Some(settings.backup_schedule),
        backup_retention_days: i32::try_from(settings.backup_retention_days).ok(),
        local_code_path: some(&line("local_code_path", settings.local_code_path, 500)?),
        settings: Some(Json(rest_of(spec))),
        secrets_version: 0,
        created_at: None,
        updated_at: None,
    })
}

/// One line of text for people.
fn line(what: &str, text: String, longest: usize) -> Result<String, Fault> {
    if text.chars().count() > longest || text.chars().any(char::is_control) {
        return Err(Fault::invalid(format!("{what} must be one line of at most {longest} characters")));
    }
    Ok(text)
}

/// Adds an app with its first secrets.
pub(crate) async fn add(core: &Core, given: AppSettings, by: &str) -> Result<AppSettings, Fault> {
    let domain = db::apps::usual_domain(&core.db).await?;
    let row = into_row(with_defaults(given, domain))?;
    let key = AppKey::try_from(row.app_key.as_str())?;
    host_is_known(core, &row)?;
    let mut tx = core.db.begin().await.map_err(db::Error::from)?;
    db::apps::lock(&mut tx).await?;
    shared::check(&row, &db::apps::list(&mut *tx).await?)?;
    db::apps::add(&mut tx, &row).await.map_err(|error| there_already(error, &key))?;
    secrets::first(&mut tx, core.pki.sealer(), &key, by).await?;
    tx.commit().await.map_err(db::Error::from)?;
    core.reload().await?;
    Ok(of(&find(core, &key).await?))
}

fn with_defaults(mut given: AppSettings, domain: Option<String>) -> AppSettings {
    let text = |field: &mut String, value: String| {
        if field.is_empty() {
            *field = value;
        }
    };
    let key = given.key.clone();
    text(&mut given.name, capital(&key));
    text(&mut given.subdomain, key);
    text(&mut given.domain, domain.filter(|d| !d.is_empty()).unwrap_or_else(|| "localhost".into()));
    text(&mut given.backup_schedule, BACKUP_SCHEDULE.into());
    if given.backup_retention_days == 0 {
        given.backup_retention_days = BACKUP_DAYS;
    }
    given.enabled = true;
    given
}

fn capital(key: &str) -> String {
    let mut letters = key.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn there_already(error: db::Error, key: &AppKey) -> Fault {
    match error {
        db::Error::Conflict => Fault::new(FaultKind::Conflict, format!("there is an app `{key}` already"))
            .hint(format!("`hmsctl apps edit {key}` changes it.")),
        other => other.into(),
    }
}

fn host_is_known(core: &Core, row: &App) -> Result<(), Fault> {
    let name = row.deployed_server.as_deref().unwrap_or_default();
    match core.fleet.host(name) {
        Some(_) => Ok(()),
        None => Err(Fault::not_found("host", name).hint("`hmsctl host list` shows the hosts.")),
    }
}

/// Takes settings over as they are given.
pub(crate) async fn edit(core: &Core, given: AppSettings) -> Result<AppSettings, Fault> {
    let seen = seen(&given.version)?;
    let row = into_row(given)?;
    let key = AppKey::try_from(row.app_key.as_str())?;
    let mut tx = core.db.begin().await.map_err(db::Error::from)?;
    db::apps::lock(&mut tx).await?;
    let before = db::apps::get(&mut *tx, key.as_str()).await?.ok_or_else(|| no_app(&key))?;
    if before.deployed_server != row.deployed_server {
        host_is_known(core, &row)?;
        is_not_at_home(core, &before)?;
    }
    shared::check(&row, &db::apps::list(&mut *tx).await?)?;
    if !db::apps::edit(&mut tx, &row, seen).await? {
        return Err(Fault::new(
            FaultKind::Conflict,
            format!("the settings of {key} were changed after you read them"),
        )
        .hint("Read them again, and make your change there."));
    }
    tx.commit().await.map_err(db::Error::from)?;
    core.reload().await?;
    Ok(of(&find(core, &key).await?))
}

/// An app that is on its host is not moved: it would go on there with nobody looking.
fn is_not_at_home(core: &Core, before: &App) -> Result<(), Fault> {
    let known = core.fleet.deployed(&before.app_key);
    if known.live.is_none() && known.work.is_none() {
        return Ok(());
    }
    let (key, host) = (&before.app_key, before.deployed_server.as_deref().unwrap_or_default());
    Err(Fault::new(
        FaultKind::Conflict,
        format!("{key} is deployed on {host}, and cannot be moved from there"),
    )
    .hint("Remove it from its host, and add it anew on the other."))
}

/// Takes over a file as it is on the host, as the app's own text from now on.
pub(crate) async fn adopt(core: &Core, key: &AppKey, item: &str) -> Result<AppSettings, Fault> {
    if !app::OVERRIDABLE.contains(&item) {
        return Err(Fault::invalid(format!("`{}` is no file of an app", item.escape_debug()))
            .hint(format!("These are: {}.", app::OVERRIDABLE.join(", "))));
    }
    let row = find(core, key).await?;
    let there = super::host::changed_file(core, &row, item).await?;
    let mut settings = of(&row);
    settings.spec.get_or_insert_default().overrides.insert(item.to_owned(), there);
    edit(core, settings).await
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
