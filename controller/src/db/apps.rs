//! The apps of the installation.

use hms_proto::{
    controller::v1::AddAppRequest,
    fault::Fault,
    names::{AppKey, HostName},
};
use sqlx::{FromRow, PgPool};
use zeroize::Zeroizing;

use super::{Error, Result};
use crate::seal::{Place, Sealer};

/// An app, without its secrets.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) app_key: AppKey,
    pub(crate) app_name: String,
    pub(crate) subdomain: String,
    pub(crate) domain: String,
    /// Name of the host it runs on.
    pub(crate) deployed_server: String,
    pub(crate) enabled: bool,
}

#[derive(FromRow)]
struct Row {
    app_key: String,
    app_name: String,
    subdomain: String,
    domain: String,
    deployed_server: Option<String>,
    enabled: Option<bool>,
}

impl Row {
    /// A row that somebody wrote by hand may have a key that is none; it must not take the others with it.
    fn parse(self) -> Option<App> {
        let app_key = AppKey::try_from(self.app_key.as_str());
        let app_key = app_key.inspect_err(|error| tracing::warn!(%error, "left out a row of the table apps")).ok()?;
        Some(App {
            app_key,
            app_name: self.app_name,
            subdomain: self.subdomain,
            domain: self.domain,
            deployed_server: self.deployed_server.unwrap_or_default(),
            enabled: self.enabled.unwrap_or(true),
        })
    }
}

/// All apps, by key.
pub(crate) async fn list(pool: &PgPool) -> Result<Vec<App>> {
    let rows: Vec<Row> = sqlx::query_as("SELECT * FROM apps ORDER BY app_key").fetch_all(pool).await?;
    Ok(rows.into_iter().filter_map(Row::parse).collect())
}

/// Why an app was not added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddError {
    #[error(transparent)]
    Database(#[from] Error),
    #[error(transparent)]
    Seal(#[from] crate::seal::SealError),
    #[error(transparent)]
    Invalid(#[from] Fault),
    #[error("there is an app with the key `{0}` already")]
    Exists(AppKey),
}

impl From<AddError> for Fault {
    fn from(error: AddError) -> Self {
        use hms_proto::fault::FaultKind;
        match error {
            AddError::Database(error) => error.into(),
            AddError::Invalid(fault) => fault,
            AddError::Exists(_) => Self::new(FaultKind::Conflict, error.to_string()),
            AddError::Seal(error) => {
                tracing::error!(%error, "a secret cannot be sealed");
                Self::new(FaultKind::Internal, "something went wrong inside HMS")
            }
        }
    }
}

/// Adds an app. Its secrets are made here, and sealed before they leave this function.
pub(crate) async fn add(
    pool: &PgPool,
    sealer: &Sealer,
    key: &AppKey,
    host: &HostName,
    wanted: &AddAppRequest,
) -> Result<(), AddError> {
    let or = |given: &str, default: String| if given.is_empty() { default } else { given.to_owned() };
    let domain = super::config::get(pool).await?.domain;
    let name = or(&wanted.name, with_capital(key.as_str()));
    let subdomain = or(&wanted.subdomain, key.to_string());
    let domain = or(&wanted.domain, domain.unwrap_or_else(|| "localhost".into()));
    check_text("name", &name, 100)?;
    check_text("git_url", &wanted.git_url, 500)?;
    for host in [&subdomain, &domain] {
        HostName::try_from(host.as_str()).map_err(Fault::from)?;
    }
    check_text("subdomain", &subdomain, 100)?;
    let secret = |column: &str, bytes: usize| {
        let secret = Zeroizing::new(hex::encode(random(bytes)));
        sealer.seal(Place { table: "apps", column, row: key.as_str() }, secret.as_bytes())
    };
    let identifier = key.as_str().replace('-', "_");
    let sql = "INSERT INTO apps (app_key, app_name, subdomain, domain, github_repo, document_root, database_name,
            database_username, database_password, secret_key_base, api_token, deployed_server)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let done = sqlx::query(sql)
        .bind(key.as_str())
        .bind(name)
        .bind(subdomain)
        .bind(domain)
        .bind(&wanted.git_url)
        .bind(format!("/var/www/{key}"))
        .bind(format!("{identifier}_production"))
        .bind(identifier)
        .bind(secret("database_password", 32)?)
        .bind(secret("secret_key_base", 64)?)
        .bind(secret("api_token", 32)?)
        .bind(host.as_str())
        .execute(pool)
        .await;
    match done.map_err(Error::from) {
        Ok(_) => Ok(()),
        Err(Error::Conflict) => Err(AddError::Exists(key.clone())),
        Err(error) => Err(error.into()),
    }
}

fn random(bytes: usize) -> Zeroizing<Vec<u8>> {
    use rand::Rng as _;
    let mut secret = Zeroizing::new(vec![0; bytes]);
    rand::rng().fill(secret.as_mut_slice());
    secret
}

fn with_capital(key: &str) -> String {
    let mut chars = key.chars();
    chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), Fault> {
    match text.chars().count() <= most && !text.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(Fault::invalid(format!("{what} must have at most {most} characters, and no control characters"))),
    }
}

/// Forgets an app. False when there was none.
pub(crate) async fn remove(pool: &PgPool, key: &AppKey) -> Result<bool> {
    let done = sqlx::query("DELETE FROM apps WHERE app_key = $1").bind(key.as_str()).execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    fn cigar() -> (AppKey, HostName, AddAppRequest) {
        let request = AddAppRequest { key: "cigar".into(), host: "asterra".into(), ..Default::default() };
        (AppKey::try_from("cigar").unwrap(), HostName::try_from("asterra").unwrap(), request)
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn an_app_is_added_once_listed_and_removed(pool: PgPool) -> Test {
        let (sealer, (key, host, wanted)) = (Sealer::new([7; 32]), cigar());
        add(&pool, &sealer, &key, &host, &wanted).await?;
        let twice = add(&pool, &sealer, &key, &host, &wanted).await.unwrap_err();
        assert_eq!(Fault::from(twice).message, "there is an app with the key `cigar` already");
        let app = list(&pool).await?.remove(0);
        assert_eq!((app.app_name.as_str(), app.subdomain.as_str(), app.domain.as_str()), ("Cigar", "cigar", "localhost"));
        assert!(app.enabled && app.deployed_server == "asterra");
        assert!(remove(&pool, &key).await? && !remove(&pool, &key).await?);
        Ok(())
    }

    /// Security case 81.
    #[sqlx::test(migrations = "../migrations")]
    async fn its_secrets_are_sealed_and_its_own(pool: PgPool) -> Test {
        let (sealer, (key, host, wanted)) = (Sealer::new([7; 32]), cigar());
        add(&pool, &sealer, &key, &host, &wanted).await?;
        let sealed: (String, String, String) =
            sqlx::query_as("SELECT database_password, secret_key_base, api_token FROM apps").fetch_one(&pool).await?;
        let place = |column| Place { table: "apps", column, row: "cigar" };
        assert_eq!(sealer.open(place("database_password"), &sealed.0)?.len(), 64);
        assert_eq!(sealer.open(place("secret_key_base"), &sealed.1)?.len(), 128);
        assert!(sealer.open(place("api_token"), &sealed.0).is_err(), "the secret of another column");
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn bad_texts_are_refused_and_a_bad_row_hides_no_other(pool: PgPool) -> Test {
        let (sealer, (key, host, wanted)) = (Sealer::new([7; 32]), cigar());
        for bad in [
            AddAppRequest { name: "a\nb".into(), ..wanted.clone() },
            AddAppRequest { name: "x".repeat(101), ..wanted.clone() },
            AddAppRequest { domain: "-x".into(), ..wanted.clone() },
            AddAppRequest { subdomain: "a;b".into(), ..wanted.clone() },
            AddAppRequest { git_url: "x\0".into(), ..wanted.clone() },
        ] {
            let error = add(&pool, &sealer, &key, &host, &bad).await.unwrap_err();
            assert!(matches!(error, AddError::Invalid(_)), "{error:?}");
        }
        add(&pool, &sealer, &key, &host, &wanted).await?;
        let copy = "INSERT INTO apps SELECT (jsonb_populate_record(apps, '{\"app_key\": \"../x\"}')).* FROM apps";
        sqlx::query(copy).execute(&pool).await?;
        assert_eq!(list(&pool).await?.len(), 1);
        Ok(())
    }

    /// The plan's own text, so that a column that is lost is noticed.
    #[sqlx::test(migrations = "../migrations")]
    async fn the_tables_have_the_columns_of_the_plan(pool: PgPool) -> Test {
        let plan = [
            ("apps", "app_key app_name subdomain domain github_repo document_root database_name database_username \
              database_password secret_key_base api_token json_api_url openrouter_api_key cert_path key_path port \
              enabled backup_enabled backup_schedule backup_retention_days local_code_path deployed_server \
              created_at updated_at"),
            ("hms_config", "subdomain domain database_name database_username database_password database_port \
              database_host admin_username admin_password jwt_secret api_token"),
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
