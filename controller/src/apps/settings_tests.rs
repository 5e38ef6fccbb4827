//! Settings through their service, against a real database.

use hms_proto::{
    Role,
    controller::v1::{GetAppRequest, RemoveAppRequest},
    host::v1::{Gems, SecretDelivery},
};
use sqlx::PgPool;
use uuid::Uuid;

use super::*;
use crate::{
    auth::{Caller, Source},
    jobs::tests::controller,
    state::State,
};

type Test = anyhow::Result<()>;

struct Asking {
    state: State,
    ada: Caller,
}

impl Asking {
    async fn open(pool: &PgPool) -> anyhow::Result<Self> {
        let state = controller(pool).await?;
        let id = db::users::add(pool, "ada", Role::Admin, "x").await?.id;
        let ada = Caller { id, name: "ada".into(), source: Source::Web, ..Caller::system() };
        Ok(Self { state, ada })
    }

    fn ada(&self) -> Caller {
        Caller { request_id: Uuid::now_v7(), ..self.ada.clone() }
    }

    async fn add(&self, given: AppSettings) -> Result<AppSettings, Fault> {
        let added = self.state.gate.apps(&self.ada()).add(given).await;
        added.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
    }

    async fn edit(&self, given: AppSettings) -> Result<AppSettings, Fault> {
        let edited = self.state.gate.apps(&self.ada()).edit(given).await;
        edited.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
    }

    async fn settings(&self, key: &str) -> Result<AppSettings, Fault> {
        let settings =
            self.state.gate.apps(&self.ada()).get_settings(GetAppRequest { key: key.into() }).await;
        settings.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
    }
}

fn new(key: &str) -> AppSettings {
    AppSettings { key: key.into(), host: "web1".into(), ..AppSettings::default() }
}

fn spec(settings: &mut AppSettings) -> &mut AppSpec {
    settings.spec.get_or_insert_default()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_and_a_host_make_an_app(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    sqlx::query("UPDATE hms_config SET domain = 'example.org'").execute(&pool).await?;
    let added = asking.add(new("cigar")).await?;
    let spec = added.spec.clone().unwrap();
    assert_eq!(
        (added.name.as_str(), added.subdomain.as_str(), added.domain.as_str()),
        ("Cigar", "cigar", "example.org")
    );
    assert_eq!(
        (spec.root.as_str(), spec.server_names.clone()),
        ("/srv/cigar", vec!["cigar.example.org".to_owned()])
    );
    assert_eq!(
        (spec.gems(), spec.secret_delivery(), spec.port),
        (Gems::Rubygems, SecretDelivery::Credential, 0)
    );
    assert!(added.enabled && !added.backup_enabled && added.created_usec > 0);
    assert_eq!((added.backup_schedule.as_str(), added.backup_retention_days), ("0 2 * * *", 30));
    let row: (String, Option<i32>) =
        sqlx::query_as("SELECT document_root, port FROM apps").fetch_one(&pool).await?;
    assert_eq!(row, ("/srv/cigar/current/public".into(), None));
    assert_eq!(asking.settings("cigar").await?, added);
    assert_eq!(asking.state.fleet.apps().len(), 1, "it is seen at once");
    assert_eq!(asking.add(new("cigar")).await.unwrap_err().kind(), FaultKind::Conflict);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn everything_that_can_be_set_is_kept(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    let mut given = AppSettings {
        name: "Cigars & more".into(),
        subdomain: "www".into(),
        domain: "cigar.example".into(),
        backup_enabled: true,
        backup_schedule: "30 3 * * 0".into(),
        backup_retention_days: 7,
        local_code_path: "/home/ada/cigar".into(),
        spec: Some(AppSpec {
            root: "/var/www/cigar".into(),
            git_url: "git@github.com:acme/cigar.git".into(),
            branch: "release".into(),
            port: 3001,
            workers: 2,
            threads_min: 1,
            threads_max: 3,
            health_path: "/health".into(),
            health_timeout_s: 30,
            keep_releases: 3,
            release_tasks: vec!["db:migrate".into()],
            shared_paths: vec!["log".into(), "storage".into()],
            database_name: "cigar_production".into(),
            memory_max_bytes: 1 << 30,
            environment: [("LOCALE".to_owned(), "de".to_owned())].into(),
            timeout_s: 600,
            ..AppSpec::default()
        }),
        ..new("cigar")
    };
    spec(&mut given).set_gems(Gems::System);
    let added = asking.add(given.clone()).await?;
    let want = app::complete(AppSpec {
        key: "cigar".into(),
        server_names: vec!["www.cigar.example".into()],
        ..given.spec.clone().unwrap()
    })?;
    assert_eq!(added.spec, Some(want));
    let told =
        AppSettings { spec: None, version: String::new(), created_usec: 0, updated_usec: 0, ..added.clone() };
    assert_eq!(told, AppSettings { spec: None, enabled: true, ..given });

    // An edit replaces everything; what is left out has its default again.
    let edited = asking.edit(AppSettings { spec: None, enabled: false, ..added.clone() }).await?;
    let spec = edited.spec.clone().unwrap();
    assert_eq!(
        (spec.root.as_str(), spec.workers, spec.port, spec.environment.len()),
        ("/srv/cigar", 0, 0, 0)
    );
    assert!(!edited.enabled && edited.version != added.version);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn of_two_that_edit_at_once_the_second_is_told(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    let seen = asking.add(new("cigar")).await?;
    let named = |name: &str| AppSettings { name: name.into(), ..seen.clone() };
    let (one, two) = tokio::join!(asking.edit(named("One")), asking.edit(named("Two")));
    assert!(one.is_ok() ^ two.is_ok());
    let fault = one.err().or(two.err()).unwrap();
    assert!(
        fault.kind() == FaultKind::Conflict && fault.message.contains("after you read them"),
        "{fault:?}"
    );
    assert!(
        asking.edit(AppSettings { version: String::new(), ..named("Three") }).await.is_ok(),
        "whatever it is"
    );
    for bad in ["yesterday", "-1e9", "99999999999999999999"] {
        let fault = asking.edit(AppSettings { version: bad.into(), ..named("Four") }).await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::Invalid, "{bad}");
    }
    assert_eq!(asking.edit(new("nothing")).await.unwrap_err().kind(), FaultKind::NotFound);
    let unknown = AppSettings { key: "other".into(), version: String::new(), ..seen };
    assert_eq!(asking.edit(unknown).await.unwrap_err().kind(), FaultKind::NotFound);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn two_apps_of_a_host_do_not_take_from_each_other(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    let mut cigar = new("cigar");
    (spec(&mut cigar).port, spec(&mut cigar).database_name) = (3001, "cigars".into());
    asking.add(cigar.clone()).await?;
    let other = |change: fn(&mut AppSettings)| {
        let mut other = new("tobacco");
        change(&mut other);
        other
    };
    for (taker, what) in [
        (other(|a| a.subdomain = "cigar".into()), "the name cigar.localhost is that of cigar on web1"),
        (other(|a| spec(a).port = 3001), "port 3001 is that of cigar"),
        (other(|a| spec(a).root = "/srv/cigar/shared".into()), "the folder /srv/cigar/shared"),
        (other(|a| spec(a).database_name = "cigars".into()), "the database cigars"),
    ] {
        let fault = asking.add(taker.clone()).await.unwrap_err();
        assert!(fault.kind() == FaultKind::Conflict && fault.message.contains(what), "{fault:?}");
        let elsewhere = AppSettings { host: "web2".into(), ..taker };
        asking.add(elsewhere).await?;
        asking
            .state
            .gate
            .apps(&asking.ada())
            .remove(RemoveAppRequest { key: "tobacco".into(), ..Default::default() })
            .await?;
    }
    let added = asking.add(other(|_| ())).await?;
    let fault = asking.edit(AppSettings { subdomain: "cigar".into(), ..added.clone() }).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Conflict);
    asking.edit(added).await?;
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn what_cannot_be_is_refused(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    type Spoil = fn(&mut AppSettings);
    let bad: [(&str, Spoil); 13] = [
        ("key", |a| a.key = "../x".into()),
        ("host", |a| a.host = "-x".into()),
        ("name", |a| a.name = "a\nb".into()),
        ("long name", |a| a.name = "a".repeat(101)),
        ("subdomain", |a| a.subdomain = "a b".into()),
        ("domain", |a| a.domain = "example.org;".into()),
        ("schedule", |a| a.backup_schedule = "@daily".into()),
        ("retention", |a| a.backup_retention_days = 100_000),
        ("path", |a| a.local_code_path = "a\0b".into()),
        ("git", |a| spec(a).git_url = "ext::sh -c id".into()),
        ("branch", |a| spec(a).branch = "--upload-pack=x".into()),
        ("root", |a| spec(a).root = "/etc".into()),
        ("environment", |a| drop(spec(a).environment.insert("LD_PRELOAD".into(), "x".into()))),
    ];
    for (what, change) in bad {
        let mut app = new("cigar");
        change(&mut app);
        assert_eq!(asking.add(app).await.unwrap_err().kind(), FaultKind::Invalid, "{what}");
    }
    let nowhere = AppSettings { host: "web9".into(), ..new("cigar") };
    assert_eq!(asking.add(nowhere).await.unwrap_err().kind(), FaultKind::NotFound);
    assert!(db::apps::list(&pool).await?.is_empty());
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_that_was_added_by_hand_is_shown_and_can_be_edited(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    let sql = "INSERT INTO apps (app_key, app_name, subdomain, domain, github_repo, document_root, database_name,
            database_username, database_password, secret_key_base, api_token, deployed_server)
        VALUES ('old', 'Old', '', 'old.example.org', '', '/var/www/old/', 'old', 'old', 'a', 'b', 'c', 'web1'),
            ('odd', 'Odd', '', 'odd.example.org', 'not a url', '/', '', '', '', '', '', 'web2')";
    sqlx::query(sql).execute(&pool).await?;
    let old = asking.settings("old").await?;
    let spec = old.spec.clone().unwrap();
    assert_eq!(
        (spec.root.as_str(), spec.port, spec.server_names),
        ("/var/www/old", 3000, vec!["old.example.org".into()])
    );
    let edited = asking.edit(AppSettings { name: "Older".into(), ..old }).await?;
    assert_eq!((edited.name.as_str(), edited.spec.unwrap().root.as_str()), ("Older", "/var/www/old"));
    // One that says what cannot be is shown as it is.
    let odd = asking.settings("odd").await?;
    assert_eq!(odd.spec.clone().unwrap().git_url, "not a url");
    assert_eq!(asking.edit(odd).await.unwrap_err().kind(), FaultKind::Invalid);
    Ok(())
}
