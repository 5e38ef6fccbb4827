//! `hms-controller user` and `hms-controller ca`: what is done on the controller's own host, with the database alone.

use std::io::{self, Read as _, Write as _};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hms_proto::{Role, access::role_word, names::UserName};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    auth::{Password, Passwords, Record, Source},
    config::UserCommand,
    db::{self, audit::Intent},
};

/// Manages accounts.
pub(crate) async fn user(database: &str, command: UserCommand) -> anyhow::Result<()> {
    let db = db::connect(database)?;
    db::migrate(&db).await.context("cannot use the database")?;
    match command {
        UserCommand::Add { name, role, generate } => {
            let text = if generate { generated() } else { read_password()? };
            add(&db, &name, role, Password::new(text.clone())).await?;
            let mut out = io::stdout().lock();
            if generate {
                writeln!(out, "{text}")?;
            }
            eprintln!("Added {name} ({}).", role_word(role));
            Ok(())
        }
    }
}

/// Adds an account, audited like every other change.
async fn add(db: &PgPool, name: &UserName, role: Role, password: Password) -> anyhow::Result<()> {
    password.check_new(name.as_str())?;
    let hash = Passwords::new().await?.hash(&password).await?;
    let intent = Intent {
        request_id: Uuid::now_v7(),
        actor: "(console)".into(),
        user_id: None,
        source: Source::System,
        address: None,
        method: "hms-controller user add".into(),
        host: String::new(),
        target: name.to_string(),
        params: serde_json::json!({ "name": name.as_str(), "role": role_word(role) }),
    };
    let record = Record::open(db, &intent).await?;
    let added = db::users::add(db, name.as_str(), role, &hash).await.map_err(Into::into);
    if let Err(fault) = record.close(db, added).await {
        match fault.kind() {
            hms_proto::fault::FaultKind::Conflict => bail!("there is a user `{name}` already"),
            _ => return Err(fault.into()),
        }
    }
    Ok(())
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

    #[sqlx::test(migrations = "../migrations")]
    async fn an_account_is_added_once_with_a_good_password_and_a_record(pool: PgPool) -> Test {
        let name = UserName::try_from("ada")?;
        let short = add(&pool, &name, Role::Admin, Password::new("short".into())).await.unwrap_err();
        assert!(short.to_string().contains("at least 15"), "{short}");
        let text = generated();
        add(&pool, &name, Role::Admin, Password::new(text.clone())).await?;
        let twice = add(&pool, &name, Role::Viewer, Password::new(text.clone())).await.unwrap_err();
        assert_eq!(twice.to_string(), "there is a user `ada` already");
        let user = db::users::get_by_name(&pool, "ada").await?.unwrap();
        assert_eq!(user.role(), Role::Admin);
        assert!(Passwords::new().await?.fits(&Password::new(text), Some(&user.password_hash)).await?);
        let outcomes: Vec<_> = db::audit::recent(&pool, 9).await?.into_iter().map(|r| r.outcome).collect();
        assert_eq!(outcomes, ["failed", "ok"]);
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
