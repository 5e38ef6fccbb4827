//! What may be said of an app: checked by the controller when it is said, and by the agent before it acts.

use crate::{
    fault::Fault,
    host::v1::{AppSpec, DatabaseAuth, Gems, SecretDelivery},
    names::{AppKey, BranchName, DatabaseName, EnvName, GitUrl, RakeTask, RelPath},
};

/// Where the folders of apps may be.
const ROOTS: [&str; 4] = ["/srv/", "/var/www/", "/opt/", "/home/"];
/// Files whose text can be one's own.
pub const OVERRIDABLE: [&str; 5] = ["service", "socket", "puma", "site", "logrotate"];

/// Checks a specification, and fills in what was left out.
pub fn complete(mut spec: AppSpec) -> Result<AppSpec, Fault> {
    let key = AppKey::try_from(spec.key.as_str())?;
    defaults(&mut spec, &key);
    check_root(&spec.root)?;
    if !spec.git_url.is_empty() {
        GitUrl::try_from(spec.git_url.as_str())?;
    }
    BranchName::try_from(spec.branch.as_str())?;
    for task in spec.asset_tasks.iter().chain(&spec.release_tasks) {
        RakeTask::try_from(task.as_str())?;
    }
    for path in &spec.shared_paths {
        RelPath::try_from(path.as_str())?;
    }
    for name in spec.environment.keys() {
        EnvName::try_from(name.as_str())?;
    }
    if !spec.database_name.is_empty() {
        DatabaseName::try_from(spec.database_name.as_str())?;
        DatabaseName::try_from(spec.database_user.as_str())?;
    }
    if let Some(other) = spec.overrides.keys().find(|name| !OVERRIDABLE.contains(&name.as_str())) {
        return Err(Fault::invalid(format!("`{other}` is no file of an app"))
            .hint(format!("These are: {}.", OVERRIDABLE.join(", "))));
    }
    Ok(spec)
}

fn defaults(spec: &mut AppSpec, key: &AppKey) {
    let text = |field: &mut String, value: &str| {
        if field.is_empty() {
            value.clone_into(field);
        }
    };
    let number = |field: &mut u32, value: u32| {
        if *field == 0 {
            *field = value;
        }
    };
    text(&mut spec.root, &format!("/srv/{key}"));
    text(&mut spec.branch, "main");
    text(&mut spec.health_path, "/up");
    text(&mut spec.ruby_path, "/usr/bin");
    text(&mut spec.rails_env, "production");
    if spec.threads_min == 0 && spec.threads_max == 0 {
        (spec.threads_min, spec.threads_max) = (5, 5);
    }
    number(&mut spec.health_timeout_s, 60);
    number(&mut spec.keep_releases, 5);
    number(&mut spec.timeout_s, 1800);
    if spec.gems() == Gems::Unspecified {
        spec.set_gems(Gems::Rubygems);
    }
    if spec.secret_delivery() == SecretDelivery::Unspecified {
        spec.set_secret_delivery(SecretDelivery::Credential);
    }
    if spec.database_auth() == DatabaseAuth::Unspecified {
        spec.set_database_auth(DatabaseAuth::Peer);
    }
    if !spec.database_name.is_empty()
        && (spec.database_user.is_empty() || spec.database_auth() == DatabaseAuth::Peer)
    {
        spec.database_user = key.user();
    }
    if !spec.shared_paths.iter().any(|path| path == "log") {
        spec.shared_paths.insert(0, "log".into());
    }
}

fn check_root(root: &str) -> Result<(), Fault> {
    let inside = ROOTS.iter().find_map(|top| root.strip_prefix(top));
    let fits = inside.is_some_and(|path| RelPath::try_from(path).is_ok());
    if fits {
        return Ok(());
    }
    Err(Fault::invalid(format!("`{}` cannot be the folder of an app", root.escape_debug()))
        .hint("It must be below /srv, /var/www, /opt or /home, with letters, digits and . _ - in its path."))
}
