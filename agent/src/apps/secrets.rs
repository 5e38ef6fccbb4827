//! Secrets of an app on its host: sealed by systemd-creds(1), opened by systemd for the app's process, and in plain text on
//! no disk. All variables of a version are one file: `NAME=value`, each ended by a NUL.

use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{DatabaseAuth, Secret},
    names::{AppKey, EnvName},
};

use super::{
    App,
    emit::environment_drop_in,
    environment::DATABASE_URL,
    layout::{unreadable, unwritable},
    provision::place,
};
use crate::systemd::{
    Bus, Session, fault_of,
    work::{self, Work},
};

/// The name of the credential with an app's variables.
pub(crate) const CREDENTIAL: &str = "env";
/// Puts them into the environment of a program, and becomes that program.
pub(crate) const HMS_EXEC: &str = "/usr/bin/hms-exec";
/// systemd takes credentials of 1 MiB, and a program an environment of 2 MiB with its pointers.
const ALL_MOST: usize = 512 * 1024;
const VALUE_MOST: usize = 64 * 1024;
const DATABASE_PASSWORD: &str = "DATABASE_PASSWORD";
const SEAL: Duration = Duration::from_secs(30);

/// The variables as one text, each checked. With a password for the database comes where the database is.
pub(crate) fn environment(app: &App, secrets: &[Secret]) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for secret in secrets {
        EnvName::try_from(secret.name.as_str())?;
        let bad = |why: &str| Err(Fault::invalid(format!("the value of `{}` {why}", secret.name)));
        if secret.value.contains('\0') {
            return bad("has a NUL in it");
        }
        if secret.value.len() > VALUE_MOST {
            return bad("is longer than 64 KiB");
        }
        if !names.insert(secret.name.as_str()) {
            return bad("is given twice");
        }
        add(&mut bytes, &secret.name, &secret.value);
    }
    if let Some(url) = database_url(app, secrets) {
        add(&mut bytes, DATABASE_URL, &url);
    }
    if bytes.len() > ALL_MOST {
        return Err(Fault::invalid("the secrets of an app must be 512 KiB at most, all together"));
    }
    Ok(bytes)
}

fn add(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(0);
}

/// Where the database is, with its password in it; unless somebody said it already.
fn database_url(app: &App, secrets: &[Secret]) -> Option<String> {
    let spec = app.spec();
    let is_said =
        spec.environment.contains_key(DATABASE_URL) || secrets.iter().any(|s| s.name == DATABASE_URL);
    if is_said || spec.database_name.is_empty() || spec.database_auth() != DatabaseAuth::Scram {
        return None;
    }
    let password = secrets.iter().find(|secret| secret.name == DATABASE_PASSWORD)?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
    let encoded: String = password
        .value
        .bytes()
        .map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    Some(format!("postgresql://{}:{encoded}@127.0.0.1/{}", spec.database_user, spec.database_name))
}

/// The password for the database among these variables.
pub(crate) fn database_password(variables: &[(String, String)]) -> Option<&str> {
    variables.iter().find(|(name, _)| name == DATABASE_PASSWORD).map(|(_, value)| value.as_str())
}

/// The variables of a text that [`environment`] made. What is not UTF-8 was not made by it, and is refused.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| crate::internal("the secrets of an app are not text"))?;
    text.split_terminator('\0')
        .map(|variable| {
            let (name, value) =
                variable.split_once('=').ok_or_else(|| crate::internal("a secret has no name"))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Seals bytes so that only this host can open them, under this name. They go through memory only.
pub(crate) async fn seal(session: &Session, name: &str, plain: &[u8]) -> Result<Vec<u8>, Fault> {
    let command =
        ["/usr/bin/systemd-creds", "encrypt", "--with-key=host", &format!("--name={name}"), "-", "-"];
    let work = Work {
        unit: format!("hms-seal-{}.service", uuid::Uuid::new_v4().simple()),
        description: "HMS seals secrets".to_owned(),
        command: command.map(str::to_owned).to_vec(),
        input: plain.to_vec(),
        // The host's own key is there, and is made when there is none.
        writable: vec!["/var/lib/systemd".to_owned()],
        output_most: 2 * 1024 * 1024,
        limit: SEAL,
        ..Work::default()
    };
    let done = work::run(session, &work).await?;
    // What it complains about stands between.
    let (sealed, said): (Vec<&str>, Vec<&str>) = done.output.lines().partition(|line| is_base64(line));
    let length = STANDARD.decode(sealed.concat()).map_or(0, |bytes| bytes.len());
    // What is sealed is longer than what it was: nothing is lost in between.
    if done.result == "done" && length > plain.len() {
        return Ok((sealed.join("\n") + "\n").into_bytes());
    }
    let why = said.first().unwrap_or(&"it says not why");
    Err(Fault::new(FaultKind::Failed, format!("secrets cannot be sealed on this host: {why}"))
        .hint("`systemd-creds setup` on the host makes its key; it needs systemd 250 or newer."))
}

fn is_base64(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
}

/// Writes the drop-in with an app's secrets, which systemd has opened for this process, and has systemd read it.
pub(crate) async fn write_environment(key: &AppKey, state: &Path) -> Result<(), Fault> {
    let app = App::load(key, state)?.ok_or_else(|| Fault::not_found("app", key.as_str()))?;
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
        .ok_or_else(|| Fault::invalid("systemd calls this, and gives it the secrets to write"))?;
    let file = Path::new(&folder).join(CREDENTIAL);
    let bytes = std::fs::read(&file).map_err(|e| unreadable(&file, &e))?;
    let text = environment_drop_in(&app, &read(&bytes)?)?;
    let path = app.environment_drop_in();
    place(&path, &text, 0o600).map_err(|e| unwritable(&path, &e))?;
    let session = Bus::default().session().await?;
    session.manager.reload().await.map_err(|e| fault_of(&e, &app.service()))
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::AppSpec;
    use proptest::prelude::*;

    use super::{super::layout::tests::app, *};

    fn secret(name: &str, value: &str) -> Secret {
        Secret { name: name.into(), value: value.into() }
    }

    /// Security case 76.
    #[test]
    fn what_no_process_could_have_is_refused() {
        let app = app(AppSpec::default());
        for bad in [
            [secret("A", "x\0y")].as_slice(),
            &[secret("A=B", "x")],
            &[secret("1A", "x")],
            &[secret("", "x")],
            &[secret("LD_PRELOAD", "x")],
            &[secret("A", &"x".repeat(VALUE_MOST + 1))],
            &[secret("A", "x"), secret("A", "y")],
        ] {
            let fault = environment(&app, bad).unwrap_err();
            assert!(!format!("{fault:?}").contains("x\\0y"), "a value is told");
        }
        let many: Vec<Secret> = (0..9).map(|n| secret(&format!("A{n}"), &"x".repeat(VALUE_MOST))).collect();
        assert!(environment(&app, &many).is_err());
        assert!(environment(&app, &many[..7]).is_ok());
        assert!(read(b"A=\xff\0").is_err());
    }

    #[test]
    fn the_password_of_a_database_comes_with_its_address() {
        let mut spec =
            AppSpec { database_name: "cigar".into(), database_user: "web".into(), ..AppSpec::default() };
        spec.set_database_auth(DatabaseAuth::Scram);
        let given = [secret("DATABASE_PASSWORD", "p@ss/w:%")];
        let own = read(&environment(&app(spec.clone()), &given).unwrap()).unwrap();
        assert_eq!(database_password(&own), Some("p@ss/w:%"));
        assert_eq!(own[1].1, "postgresql://web:p%40ss%2Fw%3A%25@127.0.0.1/cigar");
        let said = [given[0].clone(), secret("DATABASE_URL", "x")];
        assert_eq!(read(&environment(&app(spec.clone()), &said).unwrap()).unwrap()[1].1, "x");
        // With peer there is no password, and none is told.
        spec.set_database_auth(DatabaseAuth::Peer);
        assert_eq!(read(&environment(&app(spec), &given).unwrap()).unwrap().len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        /// Security case 36.
        #[test]
        fn variables_come_back_as_they_were(values in prop::collection::vec("[^\0]{0,30}", 0..6)) {
            let secrets: Vec<Secret> =
                values.iter().enumerate().map(|(n, value)| secret(&format!("V{n}"), value)).collect();
            let expected: Vec<_> = secrets.iter().map(|s| (s.name.clone(), s.value.clone())).collect();
            let bytes = environment(&app(AppSpec::default()), &secrets).unwrap();
            prop_assert_eq!(read(&bytes).unwrap(), expected);
        }
    }
}
