//! Settings as YAML: what `edit` opens, and what `export` and `show --settings` print.

use hms_proto::{controller::v1::AppSettings, fault::Fault, host::v1::AppSpec};
use serde_yaml_ng::{Mapping, Value};

use crate::failure::{Failure, Result};

/// What HMS keeps count of, and what follows from other settings.
const NOT_SET: [&str; 3] = ["version", "created_usec", "updated_usec"];
const NOT_SET_IN_SPEC: [&str; 2] = ["key", "server_names"];
const SPEC: &str = "spec";

/// All settings, with the key.
pub(super) fn whole(settings: &AppSettings) -> Result<String> {
    written(&mapping(settings)?)
}

/// What a person edits.
pub(super) fn editable(settings: &AppSettings) -> Result<String> {
    let mut mapping = mapping(settings)?;
    mapping.shift_remove("key");
    let head = format!(
        "# Settings of {}. A line that is taken out gets its default. They reach the host with\n\
         # `hmsctl apps apply {}`, or with the next deployment.\n",
        settings.key, settings.key
    );
    Ok(head + &written(&mapping)?)
}

/// A mapping as text.
pub(super) fn written(mapping: &Mapping) -> Result<String> {
    serde_yaml_ng::to_string(mapping)
        .map_err(|e| Failure::local(format!("the settings cannot be written: {e}")))
}

/// Settings as a mapping, in the order of the contract.
pub(super) fn mapping(settings: &AppSettings) -> Result<Mapping> {
    let value = serde_yaml_ng::to_value(settings);
    let Ok(Value::Mapping(mut mapping)) = value else {
        return Err(Failure::local("the settings cannot be written as YAML"));
    };
    for name in NOT_SET {
        mapping.shift_remove(name);
    }
    if let Some(Value::Mapping(spec)) = mapping.get_mut(SPEC) {
        for name in NOT_SET_IN_SPEC {
            spec.shift_remove(name);
        }
    }
    Ok(mapping)
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Mapping> {
    match serde_yaml_ng::from_str(text) {
        Ok(Value::Mapping(mapping)) => Ok(mapping),
        Ok(Value::Null) => Ok(Mapping::new()),
        Ok(_) => Err(Fault::invalid("the settings must be `name: value` lines").into()),
        Err(error) => Err(Fault::invalid(format!("this is not YAML: {error}")).into()),
    }
}

/// `base`, with what a mapping says in its place. A list or map of it is taken as a whole.
pub(super) fn over(base: &AppSettings, given: Mapping) -> Result<AppSettings> {
    known(&given)?;
    let mut all = mapping(base)?;
    for (name, value) in given {
        match (all.get_mut(&name), value) {
            (Some(Value::Mapping(spec)), Value::Mapping(given)) if name == SPEC => spec.extend(given),
            (_, value) => drop(all.insert(name, value)),
        }
    }
    let read: AppSettings = serde_yaml_ng::from_value(Value::Mapping(all))
        .map_err(|error| Fault::invalid(format!("the settings cannot be read: {error}")))?;
    Ok(AppSettings { version: base.version.clone(), ..read })
}

/// What a text without a line gets for it.
pub(super) fn defaults() -> AppSettings {
    AppSettings {
        enabled: true,
        backup_schedule: "0 2 * * *".into(),
        backup_retention_days: 30,
        spec: Some(AppSpec::default()),
        ..AppSettings::default()
    }
}

/// A name that is mistyped must not be taken for one that was left out.
fn known(given: &Mapping) -> Result<()> {
    let all = mapping(&defaults())?;
    let in_spec =
        |mapping: &Mapping| mapping.get(SPEC).and_then(Value::as_mapping).cloned().unwrap_or_default();
    unknown(given, &all, "")?;
    unknown(&in_spec(given), &in_spec(&all), "spec.")
}

fn unknown(given: &Mapping, all: &Mapping, before: &str) -> Result<()> {
    let name = |key: &Value| key.as_str().map_or_else(|| "?".to_owned(), |k| k.escape_debug().to_string());
    match given.keys().find(|key| !all.contains_key(*key)) {
        Some(key) => Err(Fault::invalid(format!("`{before}{}` is no setting", name(key)))
            .hint("`hmsctl apps show KEY --settings` shows all of them")
            .into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn settings() -> AppSettings {
        let spec = AppSpec {
            git_url: "git@git.example.org:cigar.git".into(),
            release_tasks: vec!["db:migrate".into()],
            environment: BTreeMap::from([
                ("TZ".into(), "UTC".into()),
                ("MOTTO".into(), "two\nlines\n".into()),
            ]),
            overrides: BTreeMap::from([("puma".into(), "workers 2\n".into())]),
            workers: 2,
            ..AppSpec::default()
        };
        let spec = hms_proto::app::complete(AppSpec { key: "cigar".into(), ..spec }).unwrap();
        let spec = AppSpec { key: String::new(), ..spec };
        AppSettings {
            key: "cigar".into(),
            host: "asterra".into(),
            version: "7".into(),
            spec: Some(spec),
            ..defaults()
        }
    }

    #[test]
    fn settings_as_text() {
        insta::assert_snapshot!(editable(&settings()).unwrap());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let read = over(
            &AppSettings { version: "7".into(), ..defaults() },
            parse(&whole(&settings()).unwrap()).unwrap(),
        );
        assert_eq!(read.unwrap(), settings());
    }

    #[test]
    fn a_text_is_laid_over_what_is_there() {
        let text = "name: Cigar\nspec:\n  workers: 4\n  environment: {A: b}\n";
        let read = over(&settings(), parse(text).unwrap()).unwrap();
        let spec = read.spec.unwrap();
        assert_eq!(
            (read.name.as_str(), read.host.as_str(), read.version.as_str()),
            ("Cigar", "asterra", "7")
        );
        assert_eq!((spec.workers, spec.environment.len(), spec.release_tasks.len()), (4, 1, 1));
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for (text, name) in [
            ("wrokers: 1", "`wrokers`"),
            ("spec: {wrokers: 1}", "`spec.wrokers`"),
            ("version: 1", "`version`"),
            ("spec: {key: x}", "`spec.key`"),
            ("1: 2", "`?`"),
        ] {
            let failure = over(&settings(), parse(text).unwrap()).unwrap_err();
            let Failure::Fault(fault) = failure else { panic!("{text}") };
            assert!(fault.message.contains(name), "{text}: {}", fault.message);
        }
        assert!(over(&settings(), parse("spec: {workers: many}").unwrap()).is_err());
        assert!(over(&settings(), parse("spec: {gems: bogus}").unwrap()).is_err());
        assert!(parse("- a").is_err() && parse("a: [").is_err() && parse("x").is_err() && parse("").is_ok());
    }

    proptest! {
        #[test]
        fn any_text_survives(value in any::<String>(), name in "[A-Z]{1,8}") {
            let mut one = settings();
            one.spec.as_mut().unwrap().environment.insert(name, value);
            let read = over(&AppSettings { version: "7".into(), ..defaults() }, parse(&whole(&one).unwrap()).unwrap()).unwrap();
            prop_assert_eq!(read, one);
        }
    }
}
