//! Secrets through their service, against a real database.

use hms_proto::{
    Role,
    controller::v1::{
        AppSettings, ImportSecretsRequest, ListSecretsRequest, RevealSecretRequest, RotateSecretRequest,
        SecretsChange, SetSecretsRequest,
    },
    fault::{Fault, FaultKind},
    host::v1::Secret,
};
use sqlx::PgPool;
use uuid::Uuid;

use super::*;
use crate::{
    auth::{Caller, Password, Passwords, Source},
    jobs::tests::controller,
    state::State,
};

type Test = anyhow::Result<()>;

const PASSWORD: &str = "correct horse battery";

async fn ada(state: &State) -> anyhow::Result<Caller> {
    let hash = Passwords::new().await?.hash(&Password::new(PASSWORD.into())).await?;
    let id = db::users::add(&state.db, "ada", Role::Admin, &hash).await?.id;
    Ok(Caller { id, name: "ada".into(), role: Role::Admin, source: Source::Web, ..Caller::system() })
}

fn again(caller: &Caller) -> Caller {
    Caller { request_id: Uuid::now_v7(), ..caller.clone() }
}

async fn with_cigar(pool: &PgPool) -> anyhow::Result<(State, Caller)> {
    let state = controller(pool).await?;
    let ada = ada(&state).await?;
    let cigar = AppSettings { key: "cigar".into(), host: "web1".into(), ..AppSettings::default() };
    state.gate.apps(&ada).add(cigar).await?;
    Ok((state, again(&ada)))
}

fn set(pairs: &[(&str, &str)]) -> SetSecretsRequest {
    let secret = |(name, value): &(&str, &str)| Secret { name: (*name).into(), value: (*value).into() };
    SetSecretsRequest {
        key: "cigar".into(),
        secrets: pairs.iter().map(secret).collect(),
        ..Default::default()
    }
}

fn latest_of(key: &str) -> ListSecretsRequest {
    ListSecretsRequest { key: key.into(), version: 0 }
}

async fn change(state: &State, ada: &Caller, request: SetSecretsRequest) -> Result<SecretsChange, Fault> {
    let changed = state.gate.secrets(&again(ada)).set(request).await;
    changed.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
}

async fn value(state: &State, name: &str, version: u32) -> anyhow::Result<String> {
    let set = at(&state.core, &AppKey::try_from("cigar")?, version).await?;
    Ok(set.get(name).map(|secret| secret.value.to_string()).unwrap_or_default())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_new_app_has_random_secrets_and_each_change_is_a_version(pool: PgPool) -> Test {
    let (state, ada) = with_cigar(&pool).await?;
    let first = state.gate.secrets(&ada).list(latest_of("cigar")).await?.into_inner();
    let told: Vec<_> = first.secrets.iter().map(|s| (s.name.as_str(), s.version, s.length)).collect();
    assert_eq!(told, [("API_TOKEN", 1, 64), ("DATABASE_PASSWORD", 1, 64), ("SECRET_KEY_BASE", 1, 128)]);
    assert!(first.secrets.iter().all(|s| s.changed_by == "ada" && s.changed_usec > 0));

    let changed =
        change(&state, &ada, set(&[("SMTP_PASSWORD", "a b\n\"c\"%$"), ("API_TOKEN", "mine")])).await?;
    assert_eq!(
        (changed.version, changed.added, changed.changed),
        (2, vec!["SMTP_PASSWORD".into()], vec!["API_TOKEN".into()])
    );
    assert_eq!(changed.unchanged, ["DATABASE_PASSWORD", "SECRET_KEY_BASE"]);
    let same = change(&state, &ada, set(&[("API_TOKEN", "mine")])).await?;
    assert_eq!((same.version, same.changed.len(), same.unchanged.len()), (2, 0, 4), "nothing changed");
    let dry = SetSecretsRequest { remove: vec!["SMTP_PASSWORD".into()], dry_run: true, ..set(&[]) };
    assert_eq!(change(&state, &ada, dry.clone()).await?.removed, ["SMTP_PASSWORD"]);
    assert_eq!(change(&state, &ada, SetSecretsRequest { dry_run: false, ..dry }).await?.version, 3);
    assert_eq!(value(&state, "SMTP_PASSWORD", 0).await?, "");
    assert_eq!(value(&state, "SMTP_PASSWORD", 2).await?, "a b\n\"c\"%$");
    assert_ne!(value(&state, "API_TOKEN", 1).await?, "mine");
    let gone = SetSecretsRequest { remove: vec!["SMTP_PASSWORD".into()], ..set(&[]) };
    assert_eq!(change(&state, &ada, gone).await.unwrap_err().kind(), FaultKind::NotFound);
    let none =
        state.gate.secrets(&again(&ada)).list(ListSecretsRequest { key: "cigar".into(), version: 9 }).await;
    assert_eq!(Fault::from_status(&none.unwrap_err()).kind(), FaultKind::NotFound);
    Ok(())
}

/// Security case 76.
#[sqlx::test(migrations = "../migrations")]
async fn names_and_values_that_cannot_be_are_refused_and_not_repeated(pool: PgPool) -> Test {
    let (state, ada) = with_cigar(&pool).await?;
    let long = "canary".repeat(20_000);
    for (name, value) in [
        ("A=B", "canary"),
        ("1A", "canary"),
        ("", "canary"),
        ("LD_PRELOAD", "canary"),
        ("PATH", "canary"),
        ("lower", "canary"),
        ("A", "canary\0"),
        ("A", &long),
        (GIT_KEY, "canary"),
        (GIT_TOKEN, "canary canary"),
    ] {
        let fault = change(&state, &ada, set(&[(name, value)])).await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::Invalid, "{name:?}");
        assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
    }
    assert_eq!(
        change(&state, &ada, set(&[("A", "x"), ("A", "y")])).await.unwrap_err().kind(),
        FaultKind::Invalid
    );
    let most = "x".repeat(64 << 10);
    assert!(change(&state, &ada, set(&[("A", &most), ("B", "")])).await.is_ok());
    let many: Vec<String> = (0..16).map(|n| format!("N{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), most.as_str())).collect();
    let fault = change(&state, &ada, set(&many)).await.unwrap_err();
    assert!(fault.message.contains("480 KiB"), "{fault:?}");
    Ok(())
}

/// Security case 82: between apps, names and versions.
#[sqlx::test(migrations = "../migrations")]
async fn a_sealed_value_that_was_moved_is_not_opened(pool: PgPool) -> Test {
    let (state, ada) = with_cigar(&pool).await?;
    let other = AppSettings { key: "tobacco".into(), host: "web1".into(), ..AppSettings::default() };
    state.gate.apps(&again(&ada)).add(other).await?;
    change(&state, &ada, set(&[("A", "one"), ("B", "two")])).await?;
    change(&state, &ada, set(&[("A", "three")])).await?;
    let swaps = [
        "UPDATE app_secrets SET value = (SELECT value FROM app_secrets WHERE app_key = 'cigar' AND name = 'A' AND version = 2)
            WHERE app_key = 'cigar' AND name = 'A' AND version = 3",
        "UPDATE app_secrets SET value = (SELECT value FROM app_secrets WHERE app_key = 'cigar' AND name = 'B')
            WHERE app_key = 'cigar' AND name = 'A' AND version = 3",
        "UPDATE app_secrets SET value = (SELECT value FROM app_secrets WHERE app_key = 'tobacco' AND name = 'API_TOKEN')
            WHERE app_key = 'cigar' AND name = 'API_TOKEN'",
    ];
    for swap in swaps {
        let mut tx = pool.begin().await?;
        assert_eq!(sqlx::query(swap).execute(&mut *tx).await?.rows_affected(), 1);
        let key = AppKey::try_from("cigar")?;
        let Err(fault) = read(&mut tx, state.pki.sealer(), &key, 3).await else {
            panic!("opened after {swap}")
        };
        assert_eq!(fault.kind(), FaultKind::Internal);
        assert!(fault.message.contains("cannot be opened"), "{fault:?}");
    }
    assert_eq!(value(&state, "A", 0).await?, "three");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_written_by_hand_is_taken_over_and_sealed(pool: PgPool) -> Test {
    let (state, ada) = with_cigar(&pool).await?;
    let sql = "INSERT INTO apps (app_key, app_name, subdomain, domain, github_repo, document_root, database_name,
            database_username, database_password, secret_key_base, api_token, deployed_server)
        VALUES ('old', 'Old', 'old', 'example.org', '', '/var/www/old', '', '', 'canary-a', 'canary-b', '', 'web1')";
    sqlx::query(sql).execute(&pool).await?;
    let old = AppKey::try_from("old")?;
    let set = latest(&state.core, &old).await?;
    let told: Vec<_> = set.secrets.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
    assert_eq!(told, [("DATABASE_PASSWORD", "canary-a"), ("SECRET_KEY_BASE", "canary-b")]);
    assert_eq!(set.version(), 1);
    sqlx::query("UPDATE apps SET json_api_url = 'canary-c' WHERE app_key = 'old'").execute(&pool).await?;
    let list = state.gate.secrets(&ada).list(latest_of("old")).await?.into_inner();
    assert_eq!((list.version, list.secrets.len()), (2, 3));
    assert_eq!(latest(&state.core, &old).await?.get("JSON_API_URL").unwrap().value.as_str(), "canary-c");
    // The plan's columns hold the latest value, sealed for their place.
    let columns = db::secrets::columns(&pool, "old").await?;
    for (column, name) in db::secrets::COLUMNS {
        let Some(text) = columns.get(name) else { continue };
        let place = Place { table: "apps", column, row: "old" };
        assert!(open(state.pki.sealer(), place, text)?.starts_with("canary-"), "{column}");
    }
    assert_eq!(columns.len(), 3);
    Ok(())
}

/// Security case 78: what is recorded of calls, and what tables hold.
#[sqlx::test(migrations = "../migrations")]
async fn no_value_is_in_the_audit_or_in_any_table(pool: PgPool) -> Test {
    let (state, ada) = with_cigar(&pool).await?;
    change(&state, &ada, set(&[("SMTP_PASSWORD", "canary-7f3"), (GIT_TOKEN, "canary-7f4")])).await?;
    let import = ImportSecretsRequest {
        key: "cigar".into(),
        text: "A=canary-7f5\nexport B='canary-7f6'\n".into(),
        ..Default::default()
    };
    assert!(!format!("{import:?}{:?}", set(&[("A", "canary-7f7")])).contains("canary"));
    let added = state.gate.secrets(&again(&ada)).import(import).await?.into_inner().added;
    assert_eq!(added, ["A", "B"]);
    let exported = state.gate.secrets(&again(&ada)).export(latest_of("cigar")).await?.into_inner();
    assert!(exported.secrets.iter().all(|s| s.value.starts_with("hms1:")));
    let back = SetSecretsRequest { secrets: exported.secrets.clone(), sealed: true, ..set(&[]) };
    let unchanged = change(&state, &ada, back).await?;
    assert_eq!(unchanged.unchanged.len(), 7, "what was exported is the same when it comes back");
    let mut moved = exported.secrets[0].clone();
    moved.name = "OTHER".into();
    let moved = SetSecretsRequest { secrets: vec![moved], sealed: true, ..set(&[]) };
    assert_eq!(change(&state, &ada, moved).await.unwrap_err().kind(), FaultKind::Invalid);

    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT query_to_xml('SELECT * FROM ' || quote_ident(tablename), true, false, '')::text
            FROM pg_tables WHERE schemaname = 'public'",
    )
    .fetch_all(&pool)
    .await?;
    let everything = tables.concat();
    assert!(everything.contains("SMTP_PASSWORD") && everything.contains("SecretService/Import"));
    assert!(!everything.contains("canary"), "a value is in a table");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_value_is_shown_to_who_proved_again_who_they_are(pool: PgPool) -> Test {
    let (state, ada) = with_cigar(&pool).await?;
    change(&state, &ada, set(&[("SMTP_PASSWORD", "canary-7f3")])).await?;
    let ask = async |caller: &Caller, name: &str| {
        let request = RevealSecretRequest { key: "cigar".into(), name: name.into(), version: 0 };
        let shown = state.gate.secrets(caller).reveal(request).await;
        shown.map(|secret| secret.into_inner().value).map_err(|status| Fault::from_status(&status))
    };
    let confirmed = || Caller { confirmed: Some(chrono::Utc::now()), ..again(&ada) };
    assert_eq!(ask(&confirmed(), "SMTP_PASSWORD").await?, "canary-7f3");
    assert_eq!(ask(&confirmed(), "NOTHING").await.unwrap_err().kind(), FaultKind::NotFound);
    let unproved = Caller { session: Some(Uuid::nil()), ..again(&ada) };
    assert_eq!(ask(&unproved, "SMTP_PASSWORD").await.unwrap_err().kind(), FaultKind::ProofNeeded);
    let token = Caller { session: None, ..again(&ada) };
    assert_eq!(ask(&token, "SMTP_PASSWORD").await.unwrap_err().kind(), FaultKind::Denied);
    let records = db::audit::recent(&pool, 100).await?;
    let reveals = records.iter().filter(|r| r.method.ends_with("/Reveal")).count();
    assert_eq!(reveals, 4, "each attempt is recorded");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deploy_key_is_made_and_only_its_public_part_is_told(pool: PgPool) -> Test {
    let (state, ada) = with_cigar(&pool).await?;
    let rotate = async |name: &str| {
        let request = RotateSecretRequest { key: "cigar".into(), name: name.into() };
        let changed = state.gate.secrets(&again(&ada)).rotate(request).await;
        changed.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
    };
    assert_eq!(rotate(GIT_KEY).await?.added, [GIT_KEY]);
    let list = state.gate.secrets(&again(&ada)).list(latest_of("cigar")).await?.into_inner();
    assert!(list.git_public_key.starts_with("ssh-ed25519 ") && list.git_public_key.ends_with(" hms-cigar"));
    assert_eq!(rotate(GIT_KEY).await?.changed, [GIT_KEY]);
    let before = value(&state, "SECRET_KEY_BASE", 0).await?;
    assert_eq!(rotate("SECRET_KEY_BASE").await?.changed, ["SECRET_KEY_BASE"]);
    assert_ne!(value(&state, "SECRET_KEY_BASE", 0).await?, before);
    for other in ["SMTP_PASSWORD", GIT_TOKEN, "a b"] {
        assert_eq!(rotate(other).await.unwrap_err().kind(), FaultKind::Invalid, "{other}");
    }
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn replacing_by_a_file_keeps_what_hms_made(pool: PgPool) -> Test {
    let (state, ada) = with_cigar(&pool).await?;
    change(&state, &ada, set(&[("A", "1"), ("B", "2"), (GIT_TOKEN, "t")])).await?;
    let import =
        ImportSecretsRequest { key: "cigar".into(), text: "B=2\nC=3\n".into(), replace: true, dry_run: true };
    let would = state.gate.secrets(&again(&ada)).import(import.clone()).await?.into_inner();
    assert_eq!((would.added, would.removed), (vec!["C".into()], vec!["A".into()]));
    assert_eq!(value(&state, "A", 0).await?, "1");
    state.gate.secrets(&again(&ada)).import(ImportSecretsRequest { dry_run: false, ..import }).await?;
    let list = state.gate.secrets(&again(&ada)).list(latest_of("cigar")).await?.into_inner();
    let names: Vec<_> = list.secrets.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["API_TOKEN", "B", "C", "DATABASE_PASSWORD", "SECRET_KEY_BASE", GIT_TOKEN]);
    Ok(())
}

/// The host may still have the secrets of an earlier app of this key.
#[sqlx::test(migrations = "../migrations")]
async fn versions_of_a_later_app_of_the_same_key_are_new(pool: PgPool) -> Test {
    let (state, ada) = with_cigar(&pool).await?;
    let host = (state.fleet.host("web1").unwrap().row.id, "web1".to_owned());
    let id = Uuid::now_v7();
    let new = db::deployments::NewDeployment {
        id,
        app: "cigar".into(),
        kind: v1::JobKind::Deploy,
        host,
        wanted: Default::default(),
        actor: "ada".into(),
        user_id: ada.id,
        source: Source::Web,
    };
    db::deployments::begin(&pool, &new).await?;
    db::deployments::pin(&pool, id, 7).await?;
    db::apps::remove(&pool, "cigar").await?;
    let cigar = AppSettings { key: "cigar".into(), host: "web1".into(), ..AppSettings::default() };
    state.gate.apps(&again(&ada)).add(cigar).await?;
    let list = state.gate.secrets(&again(&ada)).list(latest_of("cigar")).await?.into_inner();
    assert_eq!(list.version, 8);
    Ok(())
}
