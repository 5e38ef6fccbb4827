//! What would change on the host, and what others changed. Nothing is written.

use std::path::Path;

use hms_proto::{
    fault::Fault,
    host::v1::{AppChange, AppPlan, ChangeAction},
};
use sha2::{Digest as _, Sha256};

use super::{
    App, database,
    emit::{Files, Item},
    folders::{self, Owner},
    installed::{self, Installed},
    provision,
};
use crate::systemd::Session;

/// What others changed in the files that HMS wrote, and in none that it did not.
pub(crate) fn drift(app: &App) -> Result<Vec<AppChange>, Fault> {
    let (installed, there) = (installed::read(app)?, provision::on_host(app)?);
    let changes =
        Item::ALL.into_iter().map(|item| change(app, item, &installed, &there, installed.files.get(item)));
    Ok(changes.filter(|change| !change.drift.is_empty()).collect())
}

/// What it would change to bring the host to these files and secrets. The restart, and what concerns releases, are the
/// caller's to add.
pub(crate) async fn plan(
    session: &Session,
    app: &App,
    files: &Files,
    secrets_version: u32,
    secret_names: &[String],
) -> Result<AppPlan, Fault> {
    let (installed, there) = (installed::read(app)?, provision::on_host(app)?);
    let mut plan = AppPlan { key: app.key().to_string(), ..AppPlan::default() };
    plan.changes.push(user(app));
    plan.changes.extend(folder_changes(app));
    if let Some(outlook) = database::outlook(session, app).await? {
        let spec = app.spec();
        let row = |action: ChangeAction, subject: &str, what: &str| AppChange {
            item: "database".into(),
            subject: subject.to_owned(),
            action: action.into(),
            detail: what.to_owned(),
            ..AppChange::default()
        };
        plan.changes.push(row(outlook.role, &spec.database_user, "role"));
        plan.changes.push(row(outlook.database, &spec.database_name, "database"));
        plan.refusals.extend(Some(outlook.refusal).filter(|why| !why.is_empty()));
    }
    // The user's file says what the line of the user says already.
    for item in Item::ALL.into_iter().filter(|item| *item != Item::Sysusers) {
        let change = change(app, item, &installed, &there, files.get(item));
        if change.action() != ChangeAction::None || files.get(item).is_some() {
            plan.changes.push(change);
        }
    }
    plan.changes.extend(secrets(&installed, secrets_version, secret_names));
    Ok(plan)
}

/// Hash over all that a plan says, and so over all that it rests on.
pub(crate) fn hash(plan: &AppPlan) -> String {
    let plan = AppPlan { sha256: String::new(), ..plan.clone() };
    hex::encode(Sha256::digest(serde_json::to_vec(&plan).unwrap_or_default()))
}

/// One file: from what is there to what would be, and from what HMS wrote to what is there.
fn change(app: &App, item: Item, installed: &Installed, there: &Files, wanted: Option<&str>) -> AppChange {
    let (there, written) = (there.get(item), installed.files.get(item));
    let path = app.path_of(item);
    let action = match (there, wanted) {
        (None, Some(_)) => ChangeAction::Create,
        (Some(_), None) => ChangeAction::Remove,
        (Some(there), Some(wanted)) if there != wanted => ChangeAction::Update,
        _ => ChangeAction::None,
    };
    // What somebody made the app's own text is as it is to be; and what HMS did not write, and would not touch, is nobody's.
    let adopted = there.is_some() && app.spec().overrides.get(item.name()).map(String::as_str) == there;
    let touched = written.is_some() || (there.is_some() && wanted.is_some() && there != wanted);
    let drifted = there != written && !adopted && touched;
    AppChange {
        item: item.name().into(),
        subject: path.to_string_lossy().into_owned(),
        action: action.into(),
        diff: diff(&path, there, wanted),
        drift: if drifted { diff(&path, written, there) } else { String::new() },
        there: if drifted { there.unwrap_or_default().to_owned() } else { String::new() },
        detail: match (drifted, written, there) {
            (true, None, _) => "it is there, and HMS did not write it".into(),
            (true, _, None) => "somebody removed it".into(),
            (true, ..) => "somebody changed it".into(),
            _ => String::new(),
        },
    }
}

fn diff(path: &Path, from: Option<&str>, to: Option<&str>) -> String {
    if from == to {
        return String::new();
    }
    let name =
        |side: Option<&str>| side.map_or("/dev/null".to_owned(), |_| path.to_string_lossy().into_owned());
    let mut options = diffy::DiffOptions::new();
    options.set_original_filename(name(from)).set_modified_filename(name(to));
    options.create_patch(from.unwrap_or_default(), to.unwrap_or_default()).to_string()
}

fn user(app: &App) -> AppChange {
    let action = if Owner::of(app).is_some() { ChangeAction::None } else { ChangeAction::Create };
    AppChange {
        item: "user".into(),
        subject: app.user().into(),
        action: action.into(),
        ..AppChange::default()
    }
}

fn folder_changes(app: &App) -> Vec<AppChange> {
    let row = |path: String, action: ChangeAction, detail: String| AppChange {
        item: "folder".into(),
        subject: path,
        action: action.into(),
        detail,
        ..AppChange::default()
    };
    let different = folders::differences(app);
    if different.is_empty() {
        return vec![row(app.spec().root.clone(), ChangeAction::None, String::new())];
    }
    different
        .into_iter()
        .map(|(path, how)| match how.as_str() {
            "is made" => row(path.to_string_lossy().into_owned(), ChangeAction::Create, String::new()),
            _ => row(path.to_string_lossy().into_owned(), ChangeAction::Update, how),
        })
        .collect()
}

/// `version 3 to version 5: +SMTP_PASSWORD -OLD`. Which values differ is known to nobody who does not have them.
fn secrets(installed: &Installed, version: u32, names: &[String]) -> Option<AppChange> {
    let known = installed.secret_names.get(&installed.secrets_version).cloned().unwrap_or_default();
    let action = match (installed.secrets_version, version) {
        (0, 0) => return None,
        (from, to) if from == to => ChangeAction::None,
        (0, _) => ChangeAction::Create,
        (_, 0) => ChangeAction::Remove,
        _ => ChangeAction::Update,
    };
    let mut marks: Vec<String> =
        names.iter().filter(|name| !known.contains(name)).map(|name| format!("+{name}")).collect();
    marks.extend(known.iter().filter(|name| !names.contains(name)).map(|name| format!("-{name}")));
    let detail = match action {
        ChangeAction::None => format!("version {version}"),
        ChangeAction::Create => format!("version {version}: {}", marks.join(" ")),
        ChangeAction::Remove => format!("version {} is taken away", installed.secrets_version),
        _ if marks.is_empty() => {
            format!("version {} to version {version}: other values", installed.secrets_version)
        }
        _ => format!("version {} to version {version}: {}", installed.secrets_version, marks.join(" ")),
    };
    Some(AppChange {
        item: "secrets".into(),
        subject: "secrets".into(),
        action: action.into(),
        detail,
        ..AppChange::default()
    })
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::AppSpec;

    use super::{super::layout::tests::app, *};

    fn one(written: Option<&str>, there: Option<&str>, wanted: Option<&str>) -> (ChangeAction, bool) {
        let (mut installed, mut host) = (Installed::default(), Files::default());
        installed.files.set(Item::Puma, written.map(str::to_owned));
        host.set(Item::Puma, there.map(str::to_owned));
        let change = change(&app(AppSpec::default()), Item::Puma, &installed, &host, wanted);
        assert_eq!(change.diff.is_empty(), change.action() == ChangeAction::None);
        (change.action(), !change.drift.is_empty())
    }

    #[test]
    fn what_was_adopted_is_no_drift() {
        let (mut installed, mut host) = (Installed::default(), Files::default());
        installed.files.set(Item::Puma, Some("a\n".into()));
        host.set(Item::Puma, Some("b\n".into()));
        let mut spec = AppSpec::default();
        spec.overrides.insert("puma".into(), "b\n".into());
        let change = change(&app(spec), Item::Puma, &installed, &host, Some("b\n"));
        assert_eq!(
            (change.action(), change.drift.as_str(), change.there.as_str()),
            (ChangeAction::None, "", "")
        );
    }

    #[test]
    fn what_others_changed_is_told_from_what_hms_would_change() {
        let (a, b, c) = (Some("a\n"), Some("b\n"), Some("c\n"));
        for (written, there, wanted, action, drift) in [
            (a, a, a, ChangeAction::None, false),
            (a, a, b, ChangeAction::Update, false),
            (None, None, a, ChangeAction::Create, false),
            (a, a, None, ChangeAction::Remove, false),
            (None, None, None, ChangeAction::None, false),
            // By somebody else.
            (a, b, a, ChangeAction::Update, true),
            (a, b, c, ChangeAction::Update, true),
            (a, b, b, ChangeAction::None, true),
            (a, None, a, ChangeAction::Create, true),
            (a, b, None, ChangeAction::Remove, true),
            (None, a, b, ChangeAction::Update, true),
            (None, a, a, ChangeAction::None, false),
        ] {
            assert_eq!(one(written, there, wanted), (action, drift), "{written:?} {there:?} {wanted:?}");
        }
    }

    #[test]
    fn secrets_are_told_by_name_and_version() {
        let mut installed = Installed { secrets_version: 3, ..Installed::default() };
        installed.secret_names.insert(3, vec!["API_TOKEN".into(), "OLD".into()]);
        let said = |version: u32, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            secrets(&installed, version, &names).unwrap().detail
        };
        assert_eq!(said(5, &["API_TOKEN", "SMTP_PASSWORD"]), "version 3 to version 5: +SMTP_PASSWORD -OLD");
        assert_eq!(said(5, &["API_TOKEN", "OLD"]), "version 3 to version 5: other values");
        assert_eq!(said(3, &["API_TOKEN", "OLD"]), "version 3");
        assert!(secrets(&Installed::default(), 0, &[]).is_none());
    }

    #[test]
    fn a_plan_that_says_something_else_has_another_hash() {
        let plan = AppPlan { key: "cigar".into(), ..AppPlan::default() };
        let known = hash(&plan);
        assert_eq!(hash(&AppPlan { sha256: known.clone(), ..plan.clone() }), known);
        assert_ne!(hash(&AppPlan { restart_reason: "x".into(), ..plan }), known);
    }
}
