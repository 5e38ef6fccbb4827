//! Apps as a file: written, and read again.

mod import;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{AppSettings, ListAppsRequest, ListSecretsRequest},
    fault::Fault,
    names::AppKey,
};
use serde_yaml_ng::{Mapping, Value};

use super::{list, text};
use crate::{
    complete,
    connect::{Connection, Pace},
    failure::{Failure, Result},
    session::Session,
};
pub(super) use import::Import;

/// The form of such files, in their first line.
const FORM: &str = "hms-apps/1";

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Keys of the apps; by default all
    #[arg(value_name = "KEY", add = ArgValueCompleter::new(complete::apps))]
    keys: Vec<AppKey>,
    /// What is written of secrets
    #[arg(long, value_enum, default_value_t)]
    secrets: SecretsAs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum SecretsAs {
    /// Texts that only this installation can open
    Sealed,
    /// Their names
    #[default]
    Names,
}

impl Export {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let keys = if self.keys.is_empty() { all(&link).await? } else { self.keys };
        let mut apps = Vec::new();
        for key in &keys {
            let settings = list::settings(&link, key).await?;
            let secrets = secrets_of(&link, key, self.secrets).await?;
            apps.push(Value::Mapping(entry(&settings, self.secrets, secrets)?));
        }
        let whole = file(apps);
        match session.out.data(&whole)? {
            true => Ok(()),
            false => session.out.write(&text::written(&whole)?),
        }
    }
}

async fn all(link: &Connection) -> Result<Vec<AppKey>> {
    let list = link.answer(Pace::Look, link.apps(None, Pace::Look).list(ListAppsRequest {})).await?;
    list.apps.iter().map(|app| AppKey::try_from(app.key.as_str()).map_err(Failure::from)).collect()
}

/// Names, with sealed values where those are wanted.
async fn secrets_of(link: &Connection, key: &AppKey, form: SecretsAs) -> Result<Vec<(String, String)>> {
    let request = ListSecretsRequest { key: key.to_string(), version: 0 };
    let mut secrets = link.secrets(None, Pace::Look);
    Ok(match form {
        SecretsAs::Sealed => {
            let export = link.answer(Pace::Look, secrets.export(request)).await?;
            export.secrets.into_iter().map(|secret| (secret.name, secret.value)).collect()
        }
        SecretsAs::Names => {
            let list = link.answer(Pace::Look, secrets.list(request)).await?;
            list.secrets.into_iter().map(|secret| (secret.name, String::new())).collect()
        }
    })
}

fn file(apps: Vec<Value>) -> Mapping {
    [(Value::from("form"), Value::from(FORM)), (Value::from("apps"), Value::Sequence(apps))]
        .into_iter()
        .collect()
}

/// One app: its settings, and `secrets` (sealed) or `secret_names`.
fn entry(settings: &AppSettings, form: SecretsAs, secrets: Vec<(String, String)>) -> Result<Mapping> {
    let mut entry = text::mapping(settings)?;
    match form {
        SecretsAs::Sealed => {
            let sealed =
                secrets.into_iter().map(|(name, value)| (Value::from(name), Value::from(value))).collect();
            entry.insert("secrets".into(), Value::Mapping(sealed));
        }
        SecretsAs::Names => {
            let names = secrets.into_iter().map(|(name, _)| Value::from(name)).collect();
            entry.insert("secret_names".into(), Value::Sequence(names));
        }
    }
    Ok(entry)
}

/// One app of such a file.
#[derive(Debug, PartialEq)]
struct Wanted {
    key: AppKey,
    /// Its settings, without the key.
    settings: Mapping,
    sealed: Vec<(String, String)>,
    names: Vec<String>,
}

fn parse(text: &str) -> Result<Vec<Wanted>> {
    let mut whole = text::parse(text)?;
    let form = whole.remove("form");
    if form.as_ref().and_then(Value::as_str) != Some(FORM) {
        return Err(Fault::invalid(format!("this is no file of apps: its `form` is not {FORM}"))
            .hint("`hmsctl apps export` writes one; `hmsctl apps add --file` reads a single app")
            .into());
    }
    let Some(Value::Sequence(apps)) = whole.remove("apps") else {
        return Err(Fault::invalid("this file has no list of `apps`").into());
    };
    if let Some((key, _)) = whole.iter().next() {
        let key = key.as_str().unwrap_or("?").escape_debug().to_string();
        return Err(Fault::invalid(format!("`{key}` has no place in a file of apps")).into());
    }
    let apps: Vec<Wanted> =
        apps.into_iter().enumerate().map(|(n, app)| wanted(app, n + 1)).collect::<Result<_>>()?;
    for (n, app) in apps.iter().enumerate() {
        if apps[..n].iter().any(|other| other.key == app.key) {
            return Err(Fault::invalid(format!("{} is in the file twice", app.key)).into());
        }
    }
    Ok(apps)
}

fn wanted(app: Value, number: usize) -> Result<Wanted> {
    let wrong = |what: &str| Failure::from(Fault::invalid(format!("app {number} of the file {what}")));
    let Value::Mapping(mut settings) = app else { return Err(wrong("is not `name: value` lines")) };
    let Some(Value::String(key)) = settings.remove("key") else { return Err(wrong("has no `key`")) };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let sealed = match settings.remove("secrets") {
        None => Some(Vec::new()),
        Some(Value::Mapping(secrets)) => {
            secrets.iter().map(|(name, value)| Some((text(name)?, text(value)?))).collect()
        }
        Some(_) => None,
    };
    let names = match settings.remove("secret_names") {
        None => Some(Vec::new()),
        Some(Value::Sequence(names)) => names.iter().map(text).collect(),
        Some(_) => None,
    };
    let (Some(sealed), Some(names)) = (sealed, names) else {
        return Err(wrong("has secrets that are no texts"));
    };
    Ok(Wanted { key: AppKey::try_from(key.as_str())?, settings, sealed, names })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> AppSettings {
        AppSettings { key: "cigar".into(), host: "asterra".into(), ..text::defaults() }
    }

    #[test]
    fn what_is_exported_is_read_again() {
        let sealed = vec![("A".to_owned(), "v1:abc".to_owned())];
        let entries = vec![
            Value::Mapping(entry(&settings(), SecretsAs::Sealed, sealed.clone()).unwrap()),
            Value::Mapping(
                entry(&AppSettings { key: "tobacco".into(), ..settings() }, SecretsAs::Names, sealed.clone())
                    .unwrap(),
            ),
        ];
        let text = text::written(&file(entries)).unwrap();
        assert!(text.starts_with("form: hms-apps/1\napps:\n- key: cigar\n"), "{text}");
        let read = parse(&text).unwrap();
        assert_eq!((read[0].key.as_str(), &read[0].sealed, read[0].names.len()), ("cigar", &sealed, 0));
        assert_eq!(
            (read[1].key.as_str(), read[1].sealed.len(), &*read[1].names),
            ("tobacco", 0, &["A".to_owned()][..])
        );
        let again = text::over(&text::defaults(), read[0].settings.clone()).unwrap();
        assert_eq!(AppSettings { key: "cigar".into(), ..again }, settings());
    }

    #[test]
    fn other_files_are_refused() {
        for bad in [
            "",
            "form: hms-apps/1",
            "form: hms-apps/2\napps: []",
            "apps: []",
            "form: hms-apps/1\napps: {}",
            "form: hms-apps/1\napps: []\nmore: 1",
            "form: hms-apps/1\napps: [x]",
            "form: hms-apps/1\napps: [{host: a}]",
            "form: hms-apps/1\napps: [{key: '../x'}]",
            "form: hms-apps/1\napps: [{key: a}, {key: a}]",
            "form: hms-apps/1\napps: [{key: a, secrets: [x]}]",
            "form: hms-apps/1\napps: [{key: a, secrets: {A: 1}}]",
        ] {
            assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
        assert_eq!(parse("form: hms-apps/1\napps: []").unwrap(), []);
    }
}
