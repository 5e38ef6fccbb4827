//! The form of an app's settings: from the contract to its fields and back, and two people's edits put together.

use std::collections::BTreeMap;

use hms_proto::{
    app,
    controller::v1::AppSettings,
    dotenv,
    fault::Fault,
    host::v1::{AppSpec, DatabaseAuth, Gems, SecretDelivery},
};
use hms_web::parts::{SettingsForm, SettingsKind, settings_fields};

const MIB: u64 = 1 << 20;

/// Fields by name, as they stand in the form.
pub(super) type Values = BTreeMap<String, String>;

/// What is shown of settings.
pub(super) fn values(settings: &AppSettings) -> Values {
    let spec = settings.spec.clone().unwrap_or_default();
    let mut values = Values::new();
    let mut put = |name: &str, value: String| drop(values.insert(name.to_owned(), value));
    let number = |n: u64| if n == 0 { String::new() } else { n.to_string() };
    let flag = |on: bool| if on { "true".to_owned() } else { String::new() };
    for (name, value) in [
        ("key", &settings.key),
        ("host", &settings.host),
        ("name", &settings.name),
        ("subdomain", &settings.subdomain),
        ("domain", &settings.domain),
        ("backup_schedule", &settings.backup_schedule),
        ("local_code_path", &settings.local_code_path),
        ("git_url", &spec.git_url),
        ("branch", &spec.branch),
        ("git_known_hosts", &spec.git_known_hosts),
        ("ruby_path", &spec.ruby_path),
        ("rails_env", &spec.rails_env),
        ("health_path", &spec.health_path),
        ("database_name", &spec.database_name),
        ("database_user", &spec.database_user),
        ("root", &spec.root),
        ("cert_path", &spec.cert_path),
        ("key_path", &spec.key_path),
    ] {
        put(name, value.clone());
    }
    for (name, value) in [
        ("backup_retention_days", settings.backup_retention_days),
        ("port", spec.port),
        ("workers", spec.workers),
        ("threads_min", spec.threads_min),
        ("threads_max", spec.threads_max),
        ("health_timeout_s", spec.health_timeout_s),
        ("keep_releases", spec.keep_releases),
        ("timeout_s", spec.timeout_s),
    ] {
        put(name, number(value.into()));
    }
    put("memory_max_mib", number(spec.memory_max_bytes.div_ceil(MIB)));
    put("enabled", flag(settings.enabled));
    put("backup_enabled", flag(settings.backup_enabled));
    put("preload", flag(spec.preload));
    put("gems", if spec.gems() == Gems::System { "system" } else { "rubygems" }.into());
    put("database_auth", if spec.database_auth() == DatabaseAuth::Scram { "scram" } else { "peer" }.into());
    let in_environment = spec.secret_delivery() == SecretDelivery::Environment;
    put("secret_delivery", if in_environment { "environment" } else { "credential" }.into());
    for (name, lines) in [
        ("asset_tasks", &spec.asset_tasks),
        ("release_tasks", &spec.release_tasks),
        ("shared_paths", &spec.shared_paths),
    ] {
        put(name, lines.join("\n"));
    }
    let variables: Vec<String> = spec.environment.iter().map(|(name, value)| variable(name, value)).collect();
    put("environment", variables.join("\n"));
    for item in app::OVERRIDABLE {
        put(&format!("overrides.{item}"), spec.overrides.get(item).cloned().unwrap_or_default());
    }
    values
}

/// A line that `dotenv::parse` reads as this value.
fn variable(name: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@,+=%".contains(c);
    if value.chars().all(plain) {
        return format!("{name}={value}");
    }
    if !value.contains(['\'', '\r']) {
        return format!("{name}='{value}'");
    }
    let mut quoted = String::new();
    for letter in value.chars() {
        match letter {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '"' | '\\' | '$' => quoted.extend(['\\', letter]),
            other => quoted.push(other),
        }
    }
    format!("{name}=\"{quoted}\"")
}

/// What a form says, and which of its fields cannot be read: name and why.
pub(super) fn read(values: &Values, current: &AppSettings) -> (AppSettings, Vec<(String, String)>) {
    let mut wrong = Vec::new();
    let text = |name: &str| values.get(name).map(|value| value.trim().to_owned()).unwrap_or_default();
    let flag = |name: &str| values.get(name).is_some_and(|value| value == "true");
    let lines = |name: &str| -> Vec<String> {
        let lines = values.get(name).map(String::as_str).unwrap_or_default().lines().map(str::trim);
        lines.filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
    };
    let mut number = |name: &str| match text(name).as_str() {
        "" => 0,
        typed => typed.parse::<u32>().unwrap_or_else(|_| {
            wrong.push((name.to_owned(), format!("`{typed}` is no whole number")));
            0
        }),
    };
    let before = current.spec.clone().unwrap_or_default();
    let mib = u64::from(number("memory_max_mib"));
    let spec = AppSpec {
        git_url: text("git_url"),
        branch: text("branch"),
        git_known_hosts: lines("git_known_hosts").join("\n"),
        ruby_path: text("ruby_path"),
        rails_env: text("rails_env"),
        health_path: text("health_path"),
        database_name: text("database_name"),
        database_user: text("database_user"),
        root: text("root"),
        cert_path: text("cert_path"),
        key_path: text("key_path"),
        port: number("port"),
        workers: number("workers"),
        threads_min: number("threads_min"),
        threads_max: number("threads_max"),
        health_timeout_s: number("health_timeout_s"),
        keep_releases: number("keep_releases"),
        timeout_s: number("timeout_s"),
        // A limit that is no whole number of MiB stays as it is while nobody changes it.
        memory_max_bytes: match before.memory_max_bytes {
            bytes if bytes.div_ceil(MIB) == mib => bytes,
            _ => mib * MIB,
        },
        preload: flag("preload"),
        gems: if text("gems") == "system" { Gems::System } else { Gems::Rubygems }.into(),
        database_auth: if text("database_auth") == "scram" {
            DatabaseAuth::Scram
        } else {
            DatabaseAuth::Peer
        }
        .into(),
        secret_delivery: match text("secret_delivery").as_str() {
            "environment" => SecretDelivery::Environment,
            _ => SecretDelivery::Credential,
        }
        .into(),
        asset_tasks: lines("asset_tasks"),
        release_tasks: lines("release_tasks"),
        shared_paths: lines("shared_paths"),
        ..AppSpec::default()
    };
    let mut settings = AppSettings {
        key: text("key"),
        host: text("host"),
        name: text("name"),
        subdomain: text("subdomain"),
        domain: text("domain"),
        enabled: flag("enabled"),
        backup_enabled: flag("backup_enabled"),
        backup_schedule: text("backup_schedule"),
        backup_retention_days: number("backup_retention_days"),
        local_code_path: text("local_code_path"),
        version: text("version"),
        spec: Some(spec),
        ..AppSettings::default()
    };
    let spec = settings.spec.get_or_insert_default();
    match dotenv::parse(values.get("environment").map(String::as_str).unwrap_or_default()) {
        Ok(variables) => spec.environment = variables.into_iter().collect(),
        Err(fault) => wrong.push(("environment".into(), format!("{} {}", fault.message, fault.hint))),
    }
    for item in app::OVERRIDABLE {
        let own = values.get(&format!("overrides.{item}")).map(|text| text.replace("\r\n", "\n"));
        if let Some(own) = own.filter(|text| !text.trim().is_empty()) {
            spec.overrides.insert(item.into(), own);
        }
    }
    (settings, wrong)
}

/// Which field a fault is about: its message begins with the name, or the specification fits without that field.
pub(super) fn blamed(fault: &Fault, settings: &AppSettings) -> Option<&'static str> {
    let begin = fault.message.trim_start_matches('`');
    let named = |name: &str| {
        let alias = match name {
            "memory_max_mib" => "memory_max_bytes",
            other => other,
        };
        begin
            .strip_prefix(alias)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.'))
    };
    let fields = || settings_fields().map(|(name, _)| name);
    fields().find(|name| named(name)).or_else(|| {
        let all = values(settings);
        let checked = |values: &Values| {
            let spec = read(values, settings).0.spec.unwrap_or_default();
            app::complete(AppSpec { key: settings.key.clone(), ..spec })
        };
        checked(&all).err()?;
        fields().find(|name| checked(&without(&all, name)).is_ok())
    })
}

/// A fault beside its field, which need not be named again.
pub(super) fn said(fault: &Fault, field: &str) -> String {
    let why = fault.message.strip_prefix(field).and_then(|rest| rest.strip_prefix(": "));
    format!("{} {}", why.unwrap_or(&fault.message), fault.hint).trim().to_owned()
}

fn without(all: &Values, name: &str) -> Values {
    all.iter()
        .filter(|(other, _)| *other != name)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Puts two people's edits together: what only one of them changed is taken from that one. Where both changed the same,
/// `mine` stays, and the form shows theirs beside it.
pub(super) fn merge(form: &mut SettingsForm, base: &Values, mine: &Values, theirs: &Values) {
    let empty = String::new();
    for (name, kind) in settings_fields() {
        let of = |values: &Values| same(kind, values.get(name).unwrap_or(&empty));
        let (base, mine, theirs) = (of(base), of(mine), of(theirs));
        let Some(field) = form.field_mut(name) else { continue };
        field.value = if mine == base { theirs.clone() } else { mine.clone() };
        field.theirs = Some(theirs).filter(|theirs| mine != base && *theirs != base && *theirs != mine);
    }
}

/// A value as it is compared: browsers end lines in their own way.
fn same(kind: SettingsKind, value: &str) -> String {
    match kind {
        SettingsKind::Lines | SettingsKind::File => value.replace("\r\n", "\n").trim_end().to_owned(),
        _ => value.trim().to_owned(),
    }
}

#[cfg(test)]
#[path = "app_form_tests.rs"]
mod tests;
