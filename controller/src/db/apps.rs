//! The apps of the installation. Their secrets are in `secrets.rs`.

use chrono::NaiveDateTime;
use hms_proto::host::v1::AppSpec;
use sqlx::{FromRow, PgConnection, PgExecutor, types::Json};

use super::Result;

/// An app without its secrets.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct App {
    pub(crate) app_key: String,
    pub(crate) app_name: String,
    pub(crate) subdomain: String,
    pub(crate) domain: String,
    /// Name of the host it runs on.
    pub(crate) deployed_server: Option<String>,
    pub(crate) github_repo: String,
    pub(crate) document_root: String,
    pub(crate) database_name: String,
    pub(crate) database_username: String,
    pub(crate) cert_path: Option<String>,
    pub(crate) key_path: Option<String>,
    pub(crate) port: Option<i32>,
    pub(crate) enabled: Option<bool>,
    pub(crate) backup_enabled: Option<bool>,
    pub(crate) backup_schedule: Option<String>,
    pub(crate) backup_retention_days: Option<i32>,
    pub(crate) local_code_path: Option<String>,
    /// What the columns do not say. None: the row was added by hand.
    pub(crate) settings: Option<Json<AppSpec>>,
    /// The latest version of its secrets.
    pub(crate) secrets_version: i32,
    /// UTC.
    pub(crate) created_at: Option<NaiveDateTime>,
    /// UTC; the version of the settings.
    pub(crate) updated_at: Option<NaiveDateTime>,
}

const SELECT: &str =
    "SELECT app_key, app_name, subdomain, domain, deployed_server, github_repo, document_root,
        database_name, database_username, cert_path, key_path, port, enabled, backup_enabled, backup_schedule,
        backup_retention_days, local_code_path, settings, secrets_version, created_at, updated_at FROM apps";

/// All apps, by key.
pub(crate) async fn list(db: impl PgExecutor<'_>) -> Result<Vec<App>> {
    let sql = format!("{SELECT} ORDER BY app_key");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(db).await?)
}

/// The app with this key.
pub(crate) async fn get(db: impl PgExecutor<'_>, key: &str) -> Result<Option<App>> {
    let sql = format!("{SELECT} WHERE app_key = $1");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(key).fetch_optional(db).await?)
}

/// Nobody else adds or edits apps until the transaction ends: what apps share on a host is compared.
pub(crate) async fn lock(db: &mut PgConnection) -> Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('hms.apps'))").execute(db).await?;
    Ok(())
}

/// Adds an app whose secrets follow in the same transaction.
pub(crate) async fn add(db: &mut PgConnection, app: &App) -> Result<()> {
    let sql = "INSERT INTO apps (app_key, app_name, subdomain, domain, deployed_server, github_repo, document_root,
            database_name, database_username, cert_path, key_path, port, enabled, backup_enabled, backup_schedule,
            backup_retention_days, local_code_path, settings, database_password, secret_key_base, api_token)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, '', '', '')";
    bind(sql, app).execute(db).await?;
    Ok(())
}

/// Edits an app. False when it is not the one that was seen: gone, or edited by somebody else. `seen` none: whatever it is.
pub(crate) async fn edit(db: &mut PgConnection, app: &App, seen: Option<NaiveDateTime>) -> Result<bool> {
    let sql = "UPDATE apps SET app_name = $2, subdomain = $3, domain = $4, deployed_server = $5, github_repo = $6,
            document_root = $7, database_name = $8, database_username = $9, cert_path = $10, key_path = $11,
            port = $12, enabled = $13, backup_enabled = $14, backup_schedule = $15, backup_retention_days = $16,
            local_code_path = $17, settings = $18
        WHERE app_key = $1 AND ($19::timestamp IS NULL OR updated_at = $19)";
    let done = bind(sql, app).bind(seen).execute(db).await?;
    Ok(done.rows_affected() > 0)
}

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind(sql: &'static str, app: &App) -> Query {
    let app = app.clone();
    sqlx::query(sql)
        .bind(app.app_key)
        .bind(app.app_name)
        .bind(app.subdomain)
        .bind(app.domain)
        .bind(app.deployed_server)
        .bind(app.github_repo)
        .bind(app.document_root)
        .bind(app.database_name)
        .bind(app.database_username)
        .bind(app.cert_path)
        .bind(app.key_path)
        .bind(app.port)
        .bind(app.enabled)
        .bind(app.backup_enabled)
        .bind(app.backup_schedule)
        .bind(app.backup_retention_days)
        .bind(app.local_code_path)
        .bind(app.settings)
}

/// The domain that the installation itself has.
pub(crate) async fn usual_domain(db: impl PgExecutor<'_>) -> Result<Option<String>> {
    Ok(sqlx::query_scalar("SELECT domain FROM hms_config").fetch_one(db).await?)
}

/// Forgets an app with its secrets. Its history stays. False when there was none.
pub(crate) async fn remove(db: impl PgExecutor<'_>, key: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM apps WHERE app_key = $1").bind(key).execute(db).await?;
    Ok(done.rows_affected() > 0)
}

/// An app for tests.
#[cfg(test)]
pub(crate) fn sample(key: &str) -> App {
    App {
        app_key: key.into(),
        app_name: "Cigar".into(),
        subdomain: key.into(),
        domain: "example.org".into(),
        deployed_server: Some("web1".into()),
        github_repo: "https://git.example/cigar.git".into(),
        document_root: format!("/srv/{key}/current/public"),
        database_name: String::new(),
        database_username: String::new(),
        cert_path: None,
        key_path: None,
        port: None,
        enabled: Some(true),
        backup_enabled: Some(false),
        backup_schedule: Some("0 2 * * *".into()),
        backup_retention_days: Some(30),
        local_code_path: None,
        settings: None,
        secrets_version: 0,
        created_at: None,
        updated_at: None,
    }
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    async fn add_cigar(pool: &PgPool) -> Result<()> {
        add(&mut *pool.acquire().await?, &sample("cigar")).await
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn an_app_is_added_once_listed_and_removed(pool: PgPool) -> Test {
        add_cigar(&pool).await?;
        assert!(matches!(add_cigar(&pool).await, Err(super::super::Error::Conflict)));
        assert_eq!(list(&pool).await?[0].deployed_server.as_deref(), Some("web1"));
        assert!(!remove(&pool, "' OR '1'='1").await?);
        assert!(remove(&pool, "cigar").await? && !remove(&pool, "cigar").await?);
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn every_edit_has_a_version_of_its_own_and_only_the_one_that_was_seen_counts(pool: PgPool) -> Test {
        add_cigar(&pool).await?;
        let mut db = pool.acquire().await?;
        let first = get(&pool, "cigar").await?.unwrap();
        let named = |name: &str| App { app_name: name.into(), ..first.clone() };
        assert!(edit(&mut db, &named("One"), first.updated_at).await?);
        assert!(!edit(&mut db, &named("Two"), first.updated_at).await?, "somebody edited it meanwhile");
        let second = get(&pool, "cigar").await?.unwrap();
        assert_eq!(second.app_name, "One");
        assert!(second.updated_at > first.updated_at);
        sqlx::query("UPDATE apps SET domain = 'example.net'").execute(&pool).await?;
        assert!(!edit(&mut db, &named("Two"), second.updated_at).await?, "by hand, too");
        assert!(edit(&mut db, &named("Two"), None).await?, "who does not care");
        assert!(!edit(&mut db, &sample("other"), None).await?, "there is none");
        Ok(())
    }

    /// A row as the plan's own program wrote it.
    #[sqlx::test(migrations = "../migrations")]
    async fn a_row_that_was_added_by_hand_has_the_plans_defaults(pool: PgPool) -> Test {
        let sql = "INSERT INTO apps (app_key, app_name, subdomain, domain, github_repo, document_root, database_name,
                database_username, database_password, secret_key_base, api_token)
            VALUES ('cigar', 'Cigar', 'cigars', 'example.org', '', '/var/www/cigar', 'cigar', 'cigar', 'a', 'b', 'c')";
        sqlx::query(sql).execute(&pool).await?;
        let app = get(&pool, "cigar").await?.unwrap();
        assert_eq!((app.port, app.enabled, app.backup_retention_days), (Some(3000), Some(true), Some(30)));
        assert!(app.settings.is_none() && app.secrets_version == 0);
        Ok(())
    }

    /// The plan's own text, so that a column that is lost is noticed.
    #[sqlx::test(migrations = "../migrations")]
    async fn the_tables_have_the_columns_of_the_plan(pool: PgPool) -> Test {
        let plan = [
            (
                "apps",
                "app_key app_name subdomain domain github_repo document_root database_name database_username \
              database_password secret_key_base api_token json_api_url openrouter_api_key cert_path key_path port \
              enabled backup_enabled backup_schedule backup_retention_days local_code_path deployed_server \
              created_at updated_at",
            ),
            (
                "hms_config",
                "subdomain domain database_name database_username database_password database_port \
              database_host admin_username admin_password jwt_secret api_token",
            ),
        ];
        for (table, columns) in plan {
            for column in columns.split_whitespace() {
                let sql = "SELECT count(*) FROM information_schema.columns
                    WHERE table_name = $1 AND column_name = $2";
                let n: i64 = sqlx::query_scalar(sql).bind(table).bind(column).fetch_one(&pool).await?;
                assert_eq!(n, 1, "{table}.{column}");
            }
        }
        Ok(())
    }
}
