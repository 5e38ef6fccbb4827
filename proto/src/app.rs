//! What may be said of an app: checked by the controller when it is said, and by the agent before it acts.

mod fields;
mod files;

use crate::{
    fault::Fault,
    host::v1::{AppSpec, DatabaseAuth, Gems, SecretDelivery},
    names::AppKey,
};

/// Files whose text can be one's own.
pub const OVERRIDABLE: [&str; 5] = ["service", "socket", "puma", "site", "logrotate"];

/// Of one variable, and of one file of one's own. In bytes.
pub const TEXT_MOST: usize = 64 * 1024;

/// Checks a specification, and fills in what was left out. A fault begins with the name of the field.
pub fn complete(mut spec: AppSpec) -> Result<AppSpec, Fault> {
    let key = AppKey::try_from(spec.key.as_str())?;
    defaults(&mut spec, &key);
    fields::check(&spec)?;
    Ok(spec)
}

/// Whether a value can be that of a variable, secret or not. The fault shows nothing of it.
pub fn check_value(name: &str, value: &str) -> Result<(), Fault> {
    let name = name.escape_debug();
    if value.len() > TEXT_MOST {
        let most = TEXT_MOST / 1024;
        return Err(Fault::invalid(format!(
            "the value of {name} has {} bytes, more than {most} KiB",
            value.len()
        )));
    }
    if value.contains('\0') {
        return Err(Fault::invalid(format!(
            "the value of {name} has a NUL in it, which no variable can have"
        )));
    }
    Ok(())
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
    if spec.gems == Gems::Unspecified as i32 {
        spec.set_gems(Gems::Rubygems);
    }
    if spec.secret_delivery == SecretDelivery::Unspecified as i32 {
        spec.set_secret_delivery(SecretDelivery::Credential);
    }
    if spec.database_auth == DatabaseAuth::Unspecified as i32 {
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
