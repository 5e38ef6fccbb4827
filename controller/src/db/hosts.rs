//! The hosts of the installation.

use chrono::{DateTime, Utc};
use hms_proto::names::{Address, HostName};
use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

use super::{Error, Result};

/// A host.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Host {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// Where its agent listens, as `host:port`.
    pub(crate) address: String,
    /// When its agent joined first.
    pub(crate) joined_at: Option<DateTime<Utc>>,
    /// Of its newest certificate.
    pub(crate) certificate_serial: Option<String>,
    /// Of its newest certificate.
    pub(crate) certificate_expires_at: Option<DateTime<Utc>>,
    /// In order.
    pub(crate) labels: Vec<String>,
}

impl Host {
    /// Whether both speak of the same agent at the same place. A renewed certificate changes nothing about that; a new
    /// join does.
    pub(crate) fn is_same_party(&self, other: &Self) -> bool {
        (self.id, &self.address, self.joined_at) == (other.id, &other.address, other.joined_at)
    }
}

/// All hosts, by name.
pub(crate) async fn list(pool: &PgPool) -> Result<Vec<Host>> {
    Ok(sqlx::query_as("SELECT * FROM hosts ORDER BY name").fetch_all(pool).await?)
}

/// The host of this name.
pub(crate) async fn get_by_name(pool: &PgPool, name: &HostName) -> Result<Option<Host>> {
    Ok(sqlx::query_as("SELECT * FROM hosts WHERE name = $1").bind(name.as_str()).fetch_optional(pool).await?)
}

/// The host with this id.
pub(crate) async fn get_by_id(pool: &PgPool, id: Uuid) -> Result<Option<Host>> {
    Ok(sqlx::query_as("SELECT * FROM hosts WHERE id = $1").bind(id).fetch_optional(pool).await?)
}

/// Adds a host. It gets an id that no host ever had, so a name that is used again inherits nothing.
pub(crate) async fn add(pool: &PgPool, name: &HostName, address: &Address) -> Result<Host, Error> {
    let sql = "INSERT INTO hosts (name, address) VALUES ($1, $2) RETURNING *";
    Ok(sqlx::query_as(sql).bind(name.as_str()).bind(address.as_str()).fetch_one(pool).await?)
}

/// Gives a host labels, and takes some away. None when there is no such host.
pub(crate) async fn label(
    pool: &PgPool,
    name: &HostName,
    add: &[String],
    remove: &[String],
) -> Result<Option<Host>> {
    let sql = "UPDATE hosts SET labels = ARRAY(
            SELECT label FROM unnest(labels || $2) AS label WHERE label <> ALL($3)
            GROUP BY label ORDER BY label COLLATE \"C\")
        WHERE name = $1 RETURNING *";
    Ok(sqlx::query_as(sql).bind(name.as_str()).bind(add).bind(remove).fetch_optional(pool).await?)
}

/// Forgets a host and its tokens. False when there was none.
pub(crate) async fn remove(pool: &PgPool, name: &HostName) -> Result<bool> {
    let done = sqlx::query("DELETE FROM hosts WHERE name = $1").bind(name.as_str()).execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

/// Notes that the agent of a host joined, and its certificate. None when the host was removed meanwhile.
pub(crate) async fn joined(
    db: impl PgExecutor<'_>,
    id: Uuid,
    serial: &str,
    expires: DateTime<Utc>,
) -> Result<Option<Host>> {
    let sql = "UPDATE hosts SET joined_at = now(), certificate_serial = $2, certificate_expires_at = $3,
            previous_certificate_serial = NULL
        WHERE id = $1 RETURNING *";
    Ok(sqlx::query_as(sql).bind(id).bind(serial).bind(expires).fetch_optional(db).await?)
}

/// Notes the certificate that replaces `old`. None when the host was removed meanwhile, or when `old` is neither its
/// newest certificate nor the one before: then another agent has the host's identity by now.
pub(crate) async fn renewed(
    db: impl PgExecutor<'_>,
    id: Uuid,
    old: &str,
    serial: &str,
    expires: DateTime<Utc>,
) -> Result<Option<Host>> {
    let sql = "UPDATE hosts SET certificate_serial = $3, certificate_expires_at = $4, previous_certificate_serial = $2
        WHERE id = $1 AND joined_at IS NOT NULL AND $2 IN (certificate_serial, previous_certificate_serial)
        RETURNING *";
    Ok(sqlx::query_as(sql).bind(id).bind(old).bind(serial).bind(expires).fetch_optional(db).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    #[sqlx::test(migrations = "../migrations")]
    async fn a_host_is_added_once_found_joined_and_removed(pool: PgPool) -> Test {
        let name = HostName::try_from("asterra")?;
        let host = add(&pool, &name, &Address::try_from("10.0.0.1:9444")?).await?;
        assert!(host.joined_at.is_none());
        assert!(renewed(&pool, host.id, "", "00", Utc::now()).await?.is_none(), "it has not joined");
        assert!(matches!(
            add(&pool, &name, &Address::try_from("10.0.0.2:9444")?).await,
            Err(Error::Conflict)
        ));
        let first = joined(&pool, host.id, "0a", Utc::now()).await?.unwrap();
        let next = renewed(&pool, host.id, "0a", "0b", Utc::now()).await?.unwrap();
        assert!(first.is_same_party(&next) && !first.is_same_party(&host));
        let again = joined(&pool, host.id, "0c", Utc::now()).await?.unwrap();
        assert!(!again.is_same_party(&next));
        assert_eq!(get_by_name(&pool, &name).await?.unwrap().id, host.id);
        assert!(get_by_id(&pool, host.id).await?.unwrap().joined_at.is_some());
        assert!(remove(&pool, &name).await? && !remove(&pool, &name).await?);
        assert!(joined(&pool, host.id, "0d", Utc::now()).await?.is_none());
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_lost_answer_is_no_end_and_two_agents_with_one_identity_are_found_out(pool: PgPool) -> Test {
        let id = add(&pool, &HostName::try_from("asterra")?, &Address::try_from("a:1")?).await?.id;
        joined(&pool, id, "0a", Utc::now()).await?;
        let renew =
            async |old, new| renewed(&pool, id, old, new, Utc::now()).await.map(|host| host.is_some());
        assert!(renew("0a", "0b").await?);
        assert!(renew("0a", "0c").await?, "the answer with 0b was lost");
        assert!(renew("0c", "0d").await?);
        assert!(!renew("0b", "0e").await?, "the answer was not lost after all: a copy has it");
        assert!(!renew("0a", "0e").await?, "two certificates ago");
        joined(&pool, id, "0f", Utc::now()).await?;
        assert!(!renew("0d", "10").await?, "from before the host joined anew");
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn labels_are_a_set_in_order(pool: PgPool) -> Test {
        let name = HostName::try_from("asterra")?;
        assert!(label(&pool, &name, &[], &[]).await?.is_none());
        assert!(add(&pool, &name, &Address::try_from("a:1")?).await?.labels.is_empty());
        let labels = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        label(&pool, &name, &labels(&["web", "env=test", "web"]), &[]).await?;
        let host = label(&pool, &name, &labels(&["db"]), &labels(&["web", "nothing"])).await?.unwrap();
        assert_eq!(host.labels, ["db", "env=test"]);
        assert_eq!(get_by_name(&pool, &name).await?.unwrap().labels, ["db", "env=test"]);
        Ok(())
    }

    /// Security case 94.
    #[sqlx::test(migrations = "../migrations")]
    async fn a_host_of_the_same_name_is_another_host(pool: PgPool) -> Test {
        let (name, address) = (HostName::try_from("asterra")?, Address::try_from("a:1")?);
        let first = add(&pool, &name, &address).await?;
        remove(&pool, &name).await?;
        let second = add(&pool, &name, &address).await?;
        assert_ne!(first.id, second.id);
        assert!(second.joined_at.is_none());
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn changes_of_hosts_are_told(pool: PgPool) -> Test {
        let mut listener = sqlx::postgres::PgListener::connect_with(&pool).await?;
        listener.listen("hms_directory").await?;
        add(&pool, &HostName::try_from("asterra")?, &Address::try_from("a:1")?).await?;
        assert!(listener.try_recv().await?.is_some());
        Ok(())
    }
}
