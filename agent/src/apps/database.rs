//! The PostgreSQL role and database of an app. psql runs as `postgres` in a unit of its own and reads SQL from memory; in it
//! are parsed names and a verifier, never a password.

use std::time::Duration;

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{ChangeAction, DatabaseAuth},
};

use super::{App, scram};
use crate::systemd::{
    Session,
    work::{self, Work},
};

const PSQL: &str = "/usr/bin/psql";
const LIMIT: Duration = Duration::from_secs(60);
/// How the role of an app is marked as HMS's own.
const MARK: &str = "HMS app ";

/// What the host has. It is never shown: a verifier is as good as a hash.
#[derive(Clone, Default, PartialEq, Eq)]
struct Found {
    /// The comment of the role. `None`: there is no such role.
    role: Option<String>,
    is_superuser: bool,
    /// Its verifier, as PostgreSQL keeps it.
    verifier: String,
    /// Whom the database belongs to. `None`: there is none.
    owner: Option<String>,
}

/// What is to be done, and what stands in its way.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    pub(super) role: ChangeAction,
    pub(super) database: ChangeAction,
    pub(super) refusal: String,
}

/// Looks at what making the database would do. Changes nothing.
pub(super) async fn outlook(session: &Session, app: &App) -> Result<Option<Outlook>, Fault> {
    if app.spec().database_name.is_empty() {
        return Ok(None);
    }
    let found = match find(session, app).await {
        Ok(found) => found,
        Err(fault) if fault.kind() == FaultKind::Failed => {
            return Ok(Some(Outlook { refusal: fault.message, ..Outlook::default() }));
        }
        Err(fault) => return Err(fault),
    };
    let action = |is_there: bool| if is_there { ChangeAction::None } else { ChangeAction::Create };
    Ok(Some(Outlook {
        role: action(found.role.is_some()),
        database: action(found.owner.is_some()),
        refusal: check(app, &found).err().map(|fault| fault.message).unwrap_or_default(),
    }))
}

/// Makes role and database where they are missing, and sets the role's password where it has another one. Says what it did.
pub(super) async fn prepare(
    session: &Session,
    app: &App,
    password: Option<&str>,
) -> Result<Vec<String>, Fault> {
    let spec = app.spec();
    if spec.database_name.is_empty() {
        return Ok(Vec::new());
    }
    let found = find(session, app).await?;
    check(app, &found)?;
    let verifier = match (spec.database_auth(), password) {
        (DatabaseAuth::Scram, Some(password)) => Some(scram::new_verifier(password, &found.verifier)?),
        (DatabaseAuth::Scram, None) => {
            return Err(Fault::invalid("the app has no secret DATABASE_PASSWORD, which its database needs")
                .hint("Set it with the app's other secrets, or use `peer`, which needs none."));
        }
        _ => None,
    };
    let statements = statements(app, &found, verifier.flatten().as_deref());
    let (sql, did): (Vec<String>, Vec<String>) = statements.into_iter().unzip();
    if !sql.is_empty() {
        psql(session, &sql.join("\n")).await?;
    }
    Ok(did)
}

/// Removes database and role, if they are HMS's own. Connections to it are ended.
pub(super) async fn remove(session: &Session, app: &App) -> Result<(), Fault> {
    if app.spec().database_name.is_empty() {
        return Ok(());
    }
    let found = find(session, app).await?;
    check(app, &found)?;
    let (database, role) = (identifier(&app.spec().database_name), identifier(&app.spec().database_user));
    let mut sql = String::new();
    if found.owner.is_some() {
        sql.push_str(&format!("DROP DATABASE {database} WITH (FORCE);\n"));
    }
    if found.role.is_some() {
        sql.push_str(&format!("DROP ROLE {role};\n"));
    }
    if sql.is_empty() { Ok(()) } else { psql(session, &sql).await.map(drop) }
}

/// A role that others use must not get a new password, and a database of others must not get a new reader.
fn check(app: &App, found: &Found) -> Result<(), Fault> {
    let (database, role) = (&app.spec().database_name, &app.spec().database_user);
    let conflict = |message: String, hint: String| Err(Fault::new(FaultKind::Conflict, message).hint(hint));
    let mark = format!("{MARK}{}", app.key());
    if found.is_superuser {
        return conflict(
            format!("the role `{role}` is a superuser of PostgreSQL"),
            "Name another role for the app.".into(),
        );
    }
    if let Some(comment) = found.role.as_ref().filter(|comment| **comment != mark) {
        let whose = comment
            .strip_prefix(MARK)
            .map_or("was not made by HMS".to_owned(), |key| format!("is of the app {key}"));
        return conflict(
            format!("the role `{role}` is there already, and {whose}"),
            format!("If it is meant for this app: COMMENT ON ROLE \"{role}\" IS '{mark}'."),
        );
    }
    match &found.owner {
        Some(owner) if owner != role => conflict(
            format!("the database `{database}` is there already, and belongs to `{owner}`"),
            format!("If it is meant for this app: ALTER DATABASE \"{database}\" OWNER TO \"{role}\"."),
        ),
        _ => Ok(()),
    }
}

/// SQL, each with what it does in words.
fn statements(app: &App, found: &Found, verifier: Option<&str>) -> Vec<(String, String)> {
    let (database, role) = (&app.spec().database_name, &app.spec().database_user);
    let (database_id, role_id) = (identifier(database), identifier(role));
    let mut all = Vec::new();
    if found.role.is_none() {
        let mark = literal(&format!("{MARK}{}", app.key()));
        all.push((
            format!("BEGIN; CREATE ROLE {role_id} LOGIN; COMMENT ON ROLE {role_id} IS {mark}; COMMIT;"),
            format!("made the database role {role}"),
        ));
    }
    if let Some(verifier) = verifier {
        let sql = format!("ALTER ROLE {role_id} PASSWORD {};", literal(verifier));
        all.push((sql, format!("set the password of the database role {role}")));
    }
    if found.owner.is_none() {
        let sql = format!(
            "CREATE DATABASE {database_id} OWNER {role_id} ENCODING 'UTF8' TEMPLATE template0;\n\
             REVOKE CONNECT, TEMPORARY ON DATABASE {database_id} FROM PUBLIC;"
        );
        all.push((sql, format!("made the database {database}")));
    }
    all
}

async fn find(session: &Session, app: &App) -> Result<Found, Fault> {
    let (database, role) = (literal(&app.spec().database_name), literal(&app.spec().database_user));
    let sql = format!(
        "SELECT 'role', coalesce(shobj_description(oid, 'pg_authid'), ''), rolsuper, coalesce(rolpassword, '') FROM pg_authid WHERE rolname = {role};\n\
         SELECT 'database', pg_get_userbyid(datdba) FROM pg_database WHERE datname = {database};"
    );
    Ok(read(&psql(session, &sql).await?))
}

fn read(output: &str) -> Found {
    let mut found = Found::default();
    for line in output.lines() {
        let fields: Vec<&str> = line.split('\u{1f}').collect();
        match fields.as_slice() {
            ["role", comment, superuser, verifier] => {
                found.role = Some((*comment).to_owned());
                found.is_superuser = *superuser == "t";
                (*verifier).clone_into(&mut found.verifier);
            }
            ["database", owner] => found.owner = Some((*owner).to_owned()),
            _ => {}
        }
    }
    found
}

async fn psql(session: &Session, sql: &str) -> Result<String, Fault> {
    if std::fs::metadata(PSQL).is_err() {
        return Err(Fault::new(
            FaultKind::Failed,
            "PostgreSQL is not installed on this host: there is no psql",
        )
        .hint("Install it, or leave the database out of the app's settings."));
    }
    let options = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\u{1f}"];
    let rest = ["--set=ON_ERROR_STOP=1", "--dbname=postgres", "--file=-"];
    let command = std::iter::once(PSQL).chain(options).chain(rest).map(str::to_owned).collect();
    let work = Work {
        unit: format!("hms-database-{}.service", uuid::Uuid::new_v4().simple()),
        description: "HMS prepares a database".to_owned(),
        command,
        input: sql.as_bytes().to_vec(),
        user: "postgres".to_owned(),
        limit: LIMIT,
        ..Work::default()
    };
    let done = work::run(session, &work).await?;
    if done.result == "done" {
        return Ok(done.output);
    }
    let said = done
        .output
        .lines()
        .find(|line| line.contains("rror:") || line.contains("ERROR:"))
        .unwrap_or("it says not why");
    Err(Fault::new(FaultKind::Failed, format!("PostgreSQL does not do it: {}", said.trim()))
        .hint("Look at `systemctl status postgresql` and its log on the host."))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Of names and verifiers: there is no backslash in them, whatever standard_conforming_strings says.
fn literal(text: &str) -> String {
    debug_assert!(!text.contains('\\'));
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::AppSpec;

    use super::{super::layout::tests::app, *};

    fn spec(auth: DatabaseAuth) -> AppSpec {
        let mut spec =
            AppSpec { database_name: "cigar".into(), database_user: "web".into(), ..AppSpec::default() };
        spec.set_database_auth(auth);
        spec
    }

    #[test]
    fn roles_and_databases_of_others_are_left_alone() {
        let app = app(spec(DatabaseAuth::Scram));
        let own = Found { role: Some("HMS app cigar".into()), owner: Some("web".into()), ..Found::default() };
        assert!(check(&app, &own).is_ok() && check(&app, &Found::default()).is_ok());
        assert!(statements(&app, &own, None).is_empty());
        for bad in [
            Found { role: Some(String::new()), ..Found::default() },
            Found { role: Some("HMS app tobacco".into()), ..Found::default() },
            Found { is_superuser: true, ..own.clone() },
            Found { owner: Some("hms".into()), ..own.clone() },
            Found { owner: Some("postgres".into()), ..Found::default() },
        ] {
            assert_eq!(check(&app, &bad).unwrap_err().kind(), FaultKind::Conflict, "{:?}", bad.role);
        }
    }

    #[test]
    fn what_psql_says_is_read() {
        let found = read("role\u{1f}HMS app cigar\u{1f}f\u{1f}SCRAM-SHA-256$x\ndatabase\u{1f}web\n");
        assert_eq!(found.role.as_deref(), Some("HMS app cigar"));
        assert!(
            !found.is_superuser
                && found.verifier == "SCRAM-SHA-256$x"
                && found.owner.as_deref() == Some("web")
        );
        assert!(read("") == Found::default());
    }

    /// Security case 84.
    #[test]
    fn no_password_is_in_what_psql_reads() {
        let app = app(spec(DatabaseAuth::Scram));
        let verifier = scram::new_verifier("c4nary-pencil", "").unwrap();
        let sql = format!("{:?}", statements(&app, &Found::default(), verifier.as_deref()));
        assert!(sql.contains("SCRAM-SHA-256$") && !sql.contains("c4nary"));
    }
}
