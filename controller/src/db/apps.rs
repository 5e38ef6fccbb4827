//! The apps of the installation.

use sqlx::{FromRow, PgPool};

use super::{Error, Result};

/// An app: what is needed of it to show it and to find its unit. Its secrets are read only where they are delivered.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct App {
    pub(crate) app_key: String,
    pub(crate) app_name: String,
    pub(crate) subdomain: String,
    pub(crate) domain: String,
    /// Name of the host it runs on.
    pub(crate) deployed_server: Option<String>,
}

/// An app to add. The three secrets are sealed already.
#[derive(Clone)]
pub(crate) struct NewApp {
    pub(crate) app_key: String,
    pub(crate) app_name: String,
    pub(crate) subdomain: String,
    pub(crate) domain: String,
    pub(crate) github_repo: String,
    pub(crate) document_root: String,
    pub(crate) database_name: String,
    pub(crate) database_username: String,
    pub(crate) database_password: String,
    pub(crate) secret_key_base: String,
    pub(crate) api_token: String,
    pub(crate) deployed_server: String,
}

/// All apps, by key.
pub(crate) async fn list(pool: &PgPool) -> Result<Vec<App>> {
    Ok(sqlx::query_as("SELECT * FROM apps ORDER BY app_key").fetch_all(pool).await?)
}

/// Adds an app.
pub(crate) async fn add(pool: &PgPool, app: &NewApp) -> Result<App, Error> {
    let sql =
        "INSERT INTO apps (app_key, app_name, subdomain, domain, github_repo, document_root, database_name,
            database_username, database_password, secret_key_base, api_token, deployed_server)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING *";
    Ok(sqlx::query_as(sql)
        .bind(&app.app_key)
        .bind(&app.app_name)
        .bind(&app.subdomain)
        .bind(&app.domain)
        .bind(&app.github_repo)
        .bind(&app.document_root)
        .bind(&app.database_name)
        .bind(&app.database_username)
        .bind(&app.database_password)
        .bind(&app.secret_key_base)
        .bind(&app.api_token)
        .bind(&app.deployed_server)
        .fetch_one(pool)
        .await?)
}

/// Forgets an app. False when there was none.
pub(crate) async fn remove(pool: &PgPool, key: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM apps WHERE app_key = $1").bind(key).execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    fn cigar() -> NewApp {
        NewApp {
            app_key: "cigar".into(),
            app_name: "Cigar".into(),
            subdomain: "cigars".into(),
            domain: "example.org".into(),
            github_repo: "https://git.example/cigar.git".into(),
            document_root: "/var/www/cigar".into(),
            database_name: "cigar_production".into(),
            database_username: "cigar".into(),
            database_password: "hms1:a".into(),
            secret_key_base: "hms1:b".into(),
            api_token: "hms1:c".into(),
            deployed_server: "asterra".into(),
        }
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn an_app_is_added_once_listed_and_removed(pool: PgPool) -> Test {
        add(&pool, &cigar()).await?;
        let defaults: (i32, bool) = sqlx::query_as("SELECT port, enabled FROM apps").fetch_one(&pool).await?;
        assert_eq!(defaults, (3000, true), "those of the plan");
        assert!(matches!(add(&pool, &cigar()).await, Err(Error::Conflict)));
        assert_eq!(list(&pool).await?[0].deployed_server.as_deref(), Some("asterra"));
        assert!(!remove(&pool, "' OR '1'='1").await?);
        assert!(remove(&pool, "cigar").await? && !remove(&pool, "cigar").await?);
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
