//! The variables of an app and of the steps that build it; all but its secrets.

use std::path::Path;

use hms_proto::{
    host::v1::{DatabaseAuth, Gems},
    names::ReleaseId,
};

use super::App;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Names its own database.
pub(super) const DATABASE_URL: &str = "DATABASE_URL";

/// A variable.
type Variable = (String, String);

/// Of the service. Which release it is, puma says for itself.
pub(super) fn of_service(app: &App) -> Vec<Variable> {
    of_folder(app, &app.current())
}

/// Of a step that works on a release, which is in this folder.
pub(crate) fn of_step(app: &App, folder: &Path, id: &ReleaseId, commit: &str) -> Vec<Variable> {
    let mut variables = of_folder(app, folder);
    variables.push(("HMS_RELEASE".to_owned(), id.to_string()));
    variables.push(("HMS_COMMIT".to_owned(), commit.to_owned()));
    variables
}

fn of_folder(app: &App, folder: &Path) -> Vec<Variable> {
    let spec = app.spec();
    let text = |name: &str, value: String| (name.to_owned(), value);
    let shared = app.shared();
    let mut variables = vec![
        text("PATH", format!("{}:{PATH}", spec.ruby_path)),
        text("HOME", shared.join("home").display().to_string()),
        text("LANG", "C.UTF-8".into()),
        text("RAILS_ENV", spec.rails_env.clone()),
        text("RACK_ENV", spec.rails_env.clone()),
        text("RAILS_LOG_TO_STDOUT", "1".into()),
        // By the link: a master that outlives its release must not look for a Gemfile that is gone.
        text("BUNDLE_GEMFILE", folder.join("Gemfile").display().to_string()),
    ];
    variables.extend(match spec.gems() {
        Gems::System => {
            vec![text("BUNDLE_PATH__SYSTEM", "true".into()), text("BUNDLE_FROZEN", "true".into())]
        }
        _ => vec![
            text("BUNDLE_DEPLOYMENT", "true".into()),
            text("BUNDLE_PATH", shared.join("bundle").display().to_string()),
        ],
    });
    variables.push(text("BUNDLE_WITHOUT", "development:test".into()));
    variables.extend(database_url(app).map(|url| text(DATABASE_URL, url)));
    let mut own: Vec<Variable> = spec.environment.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
    own.sort();
    // What somebody set takes the place of what would be there.
    variables.retain(|(name, _)| !spec.environment.contains_key(name));
    variables.extend(own);
    variables
}

/// Where its database is, when no password is needed for it: the system user is the proof.
fn database_url(app: &App) -> Option<String> {
    let spec = app.spec();
    let is_peer = spec.database_auth() != DatabaseAuth::Scram;
    (is_peer && !spec.database_name.is_empty())
        .then(|| format!("postgresql:///{}?host=/run/postgresql", spec.database_name))
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::AppSpec;

    use super::{super::layout::tests::app, *};

    #[test]
    fn what_somebody_set_takes_the_place_of_the_usual() {
        let mut spec = AppSpec { database_name: "cigar".into(), ..AppSpec::default() };
        let value = |spec: &AppSpec, name: &str| {
            let found: Vec<String> = of_service(&app(spec.clone()))
                .into_iter()
                .filter(|(n, _)| n == name)
                .map(|(_, v)| v)
                .collect();
            assert!(found.len() <= 1, "{name} is there twice");
            found.first().cloned()
        };
        assert_eq!(value(&spec, "DATABASE_URL").unwrap(), "postgresql:///cigar?host=/run/postgresql");
        assert_eq!(value(&spec, "RAILS_ENV").unwrap(), "production");
        spec.environment.insert("DATABASE_URL".into(), "sqlite3:x".into());
        spec.environment.insert("LANG".into(), "de_DE.UTF-8".into());
        assert_eq!(value(&spec, "DATABASE_URL").unwrap(), "sqlite3:x");
        assert_eq!(value(&spec, "LANG").unwrap(), "de_DE.UTF-8");
        spec.environment.clear();
        spec.set_database_auth(DatabaseAuth::Scram);
        spec.database_user = "cigar".into();
        assert_eq!(value(&spec, "DATABASE_URL"), None);
    }
}
