//! `hms-controller user` and `hms-controller ca`: what is done on the controller's own host, with the database alone.

use std::io::{self, Read as _, Write as _};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hms_proto::{Role, access::role_word, fault::Fault, names::UserName};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    auth::{self, Limit, Password, Passwords, Record, Source},
    config::UserCommand,
    db::{self, audit::Intent},
};

/// Manages accounts.
pub(crate) async fn user(database: &str, command: UserCommand) -> anyhow::Result<()> {
    let db = db::connect(database)?;
    db::schema::check(&db).await.context("cannot use the database")?;
    match command {
        UserCommand::Add { name, role, generate } => {
            let password = ask_password(generate)?;
            change(&db, &name, &Change::Add(role, &password)).await?;
            password.show_generated()?;
            eprintln!("Added {name} ({}).", role_word(role));
        }
        UserCommand::Invite { name, role } => {
            let code = Zeroizing::new(auth::new_secret());
            change(&db, &name, &Change::Invite(role, &code)).await?;
            writeln!(io::stdout().lock(), "{}", code.as_str())?;
            eprintln!(
                "Added {name} ({}). Open /login/invitation on the web port within a day, and paste the code there.",
                role_word(role)
            );
        }
        UserCommand::Password { name, generate } => {
            let password = ask_password(generate)?;
            change(&db, &name, &Change::Password(&password)).await?;
            password.show_generated()?;
            eprintln!("{name} has a new password; all sessions of {name} ended.");
        }
        UserCommand::Role { name, role } => {
            change(&db, &name, &Change::Role(role)).await?;
            eprintln!("{name} is {} now.", role_word(role));
        }
        UserCommand::Disable { name } => {
            change(&db, &name, &Change::Disabled(true)).await?;
            eprintln!("{name} is locked; all sessions of {name} ended.");
        }
        UserCommand::Enable { name } => {
            change(&db, &name, &Change::Disabled(false)).await?;
            eprintln!("{name} may log in again.");
        }
        UserCommand::List => list(&db).await?,
    }
    Ok(())
}

async fn list(db: &PgPool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for user in db::users::list(db, None, chrono::Utc::now()).await? {
        let user = user.to_proto();
        let state = if user.state == "active" { "" } else { user.state.as_str() };
        writeln!(out, "{:<24} {:<9} {state}", user.username, user.role)?;
    }
    Ok(())
}

enum Change<'a> {
    Add(Role, &'a Typed),
    Invite(Role, &'a str),
    Password(&'a Typed),
    Role(Role),
    Disabled(bool),
}

impl Change<'_> {
    /// As the audit has it.
    fn described(&self, name: &UserName) -> (&'static str, serde_json::Value) {
        let name = name.as_str();
        match self {
            Self::Add(role, _) => ("add", serde_json::json!({ "name": name, "role": role_word(*role) })),
            Self::Invite(role, _) => {
                ("invite", serde_json::json!({ "name": name, "role": role_word(*role) }))
            }
            Self::Password(_) => ("password", serde_json::json!({ "name": name })),
            Self::Role(role) => ("role", serde_json::json!({ "name": name, "role": role_word(*role) })),
            Self::Disabled(true) => ("disable", serde_json::json!({ "name": name })),
            Self::Disabled(false) => ("enable", serde_json::json!({ "name": name })),
        }
    }
}

/// Changes an account, audited like every other change.
async fn change(db: &PgPool, name: &UserName, change: &Change<'_>) -> Result<(), Fault> {
    let (verb, params) = change.described(name);
    let intent = Intent {
        request_id: Uuid::now_v7(),
        actor: "(console)".into(),
        user_id: None,
        source: Source::System,
        address: None,
        method: format!("hms-controller user {verb}"),
        host: String::new(),
        target: name.to_string(),
        params,
    };
    let record = Record::open(db, &intent).await?;
    record.close(db, perform(db, name.as_str(), change).await).await
}

async fn invite(db: &PgPool, name: &str, role: Role, code: &str) -> Result<(), Fault> {
    let mut tx = db.begin().await.map_err(db::Error::from)?;
    let added = db::users::invite(&mut tx, name, role, &Limit::Everything).await;
    let user = added.map_err(|error| auth::not_added(error, name))?;
    db::invitations::put(&mut *tx, user.id, &auth::hash_of(code), chrono::Utc::now()).await?;
    tx.commit().await.map_err(db::Error::from)?;
    Ok(())
}

async fn perform(db: &PgPool, name: &str, change: &Change<'_>) -> Result<(), Fault> {
    let found = match change {
        Change::Add(role, password) => {
            let hash = password.hash(name).await?;
            let added = db::users::add(db, name, *role, &hash).await;
            return added.map(drop).map_err(|error| auth::not_added(error, name));
        }
        Change::Invite(role, code) => return invite(db, name, *role, code).await,
        Change::Password(password) => {
            let hash = password.hash(name).await?;
            db::users::set_password(&mut *db.acquire().await.map_err(db::Error::from)?, name, Some(&hash))
                .await?
        }
        Change::Role(role) => db::users::set_role(db, name, *role).await?,
        Change::Disabled(disabled) => {
            db::users::set_disabled(&mut *db.acquire().await.map_err(db::Error::from)?, name, *disabled)
                .await?
        }
    };
    if found { Ok(()) } else { Err(Fault::not_found("user", name)) }
}

/// A password that was typed, or made.
struct Typed {
    text: Zeroizing<String>,
    is_generated: bool,
}

impl Typed {
    async fn hash(&self, name: &str) -> Result<String, Fault> {
        let password = Password::new(self.text.to_string());
        password.check_new(name, false)?;
        Passwords::new().await?.hash(&password).await
    }

    /// Only after it was set, and on standard output alone.
    fn show_generated(&self) -> io::Result<()> {
        if self.is_generated { writeln!(io::stdout().lock(), "{}", self.text.as_str()) } else { Ok(()) }
    }
}

fn ask_password(generate: bool) -> anyhow::Result<Typed> {
    let text = if generate { generated() } else { read_password()? };
    Ok(Typed { text: Zeroizing::new(text), is_generated: generate })
}

/// 144 random bits: 24 characters that go through any terminal.
fn generated() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>())
}

/// One line of standard input. Never an argument, which every user of the machine could read.
fn read_password() -> anyhow::Result<String> {
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .take(64 * 1024)
        .read_to_string(&mut text)
        .context("cannot read the password from standard input")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        bail!("no password on standard input; pipe one in, or use --generate");
    }
    if line.contains(['\n', '\0']) {
        bail!("the password on standard input must be one line");
    }
    Ok(line.to_owned())
}

/// Prints the root certificate, or its SHA-256.
pub(crate) async fn ca(database: &str, fingerprint: bool) -> anyhow::Result<()> {
    let db = db::connect(database)?;
    let root = db::authority::root(&db).await.context("cannot read the certificate authority")?;
    let root =
        root.context("there is no certificate authority yet; the first start of hms-controller makes it")?;
    let text = if fingerprint { fingerprint_of(&root)? } else { root.trim_end().to_owned() };
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}

fn fingerprint_of(pem: &str) -> anyhow::Result<String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let der =
        CertificateDer::from_pem_slice(pem.as_bytes()).context("the root certificate cannot be read")?;
    Ok(hex::encode(Sha256::digest(&der)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Test = Result<(), Box<dyn std::error::Error>>;

    fn typed(text: &str) -> Typed {
        Typed { text: Zeroizing::new(text.into()), is_generated: false }
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn accounts_are_changed_with_good_passwords_and_a_record(pool: PgPool) -> Test {
        let (ada, bob) = (UserName::try_from("ada")?, UserName::try_from("bob")?);
        let good = typed(&generated());
        let why =
            async |name, to: Change<'_>| change(&pool, name, &to).await.err().map(|fault| fault.message);
        assert!(why(&ada, Change::Add(Role::Admin, &typed("short"))).await.unwrap().contains("at least 15"));
        assert_eq!(why(&ada, Change::Add(Role::Admin, &good)).await, None);
        assert_eq!(
            why(&ada, Change::Add(Role::Viewer, &good)).await.unwrap(),
            "there is a user `ada` already"
        );
        assert_eq!(why(&bob, Change::Disabled(true)).await.unwrap(), "there is no user named `bob`");
        let user = db::users::get_by_name(&pool, "ada").await?.unwrap();
        assert_eq!(user.role(), Role::Admin);
        let password = Password::new(good.text.to_string());
        assert!(Passwords::new().await?.fits(&password, user.password_hash.as_deref()).await?);
        assert_eq!(why(&ada, Change::Role(Role::Viewer)).await, None);
        assert_eq!(why(&ada, Change::Password(&typed("another rather fine one"))).await, None);
        assert_eq!(why(&ada, Change::Disabled(true)).await, None);
        let user = db::users::get_by_name(&pool, "ada").await?.unwrap();
        assert!(user.disabled_at.is_some() && user.role() == Role::Viewer);
        assert!(!Passwords::new().await?.fits(&password, user.password_hash.as_deref()).await?);
        let records = db::audit::recent(&pool, 9).await?;
        let outcomes: Vec<_> = records.iter().map(|r| r.outcome.as_str()).collect();
        assert_eq!(outcomes, ["ok", "ok", "ok", "failed", "failed", "ok", "failed"]);
        let text = format!("{records:?}");
        assert!(!text.contains("fine one") && !text.contains(good.text.as_str()), "{text}");
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn the_fingerprint_is_the_hash_that_tokens_pin(pool: PgPool) -> Test {
        let sealer = std::sync::Arc::new(crate::seal::Sealer::new([7; 32]));
        let pki = crate::pki::Authority::open(&pool, sealer, &[]).await?;
        let root = db::authority::root(&pool).await?.unwrap();
        assert_eq!(fingerprint_of(&root)?, hex::encode(pki.root_hash()));
        Ok(())
    }
}
