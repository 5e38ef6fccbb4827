//! Versions of nginx files, and which of them HMS stands for.

use chrono::{DateTime, Utc};
use hms_proto::controller::v1::NginxVersion;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::Result;

/// What became of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct New {
    pub(crate) path: String,
    /// `applied`, `outside`, ... (`NginxVersion.event`).
    pub(crate) event: &'static str,
    /// Empty: the file is gone.
    pub(crate) sha256: String,
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) enabled: bool,
    pub(crate) author: String,
    pub(crate) reason: String,
    pub(crate) request_id: String,
    pub(crate) apply_id: String,
}

impl New {
    /// Whether HMS stands for it: an edit made outside, and one that nginx did not take, change nothing about that.
    fn is_known(&self) -> bool {
        !matches!(self.event, "outside" | "rolled-back")
    }
}

/// The newest version of a file, and the one that HMS stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
pub(crate) struct Latest {
    pub(crate) path: String,
    pub(crate) sha256: String,
    pub(crate) enabled: bool,
    pub(crate) time: DateTime<Utc>,
    pub(crate) known_id: Option<i64>,
    pub(crate) known_sha256: Option<String>,
    pub(crate) known_enabled: Option<bool>,
}

/// The files of a host as they were last seen, by path. Files that went are among them, with an empty hash.
pub(crate) async fn latest(pool: &PgPool, host: Uuid) -> Result<Vec<Latest>> {
    let sql = "SELECT DISTINCT ON (v.path) v.path, v.sha256, v.enabled, v.time,
            k.id AS known_id, k.sha256 AS known_sha256, k.enabled AS known_enabled
        FROM nginx_versions v
            LEFT JOIN nginx_known n ON n.host_id = v.host_id AND n.path = v.path
            LEFT JOIN nginx_versions k ON k.id = n.version_id
        WHERE v.host_id = $1 AND v.event <> 'rolled-back'
        ORDER BY v.path, v.id DESC";
    Ok(sqlx::query_as(sql).bind(host).fetch_all(pool).await?)
}

/// Adds versions: all of them, or none.
pub(crate) async fn record(pool: &PgPool, host: Uuid, versions: &[New]) -> Result<()> {
    let insert = "INSERT INTO nginx_versions
            (host_id, path, event, sha256, content, enabled, author, reason, request_id, apply_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id";
    let stand = "INSERT INTO nginx_known (host_id, path, version_id) VALUES ($1, $2, $3)
        ON CONFLICT (host_id, path) DO UPDATE SET version_id = excluded.version_id";
    let mut work = pool.begin().await?;
    for new in versions {
        let id: i64 = sqlx::query_scalar(insert)
            .bind(host)
            .bind(&new.path)
            .bind(new.event)
            .bind(&new.sha256)
            .bind(new.content.as_deref())
            .bind(new.enabled)
            .bind(clean(&new.author))
            .bind(clean(&new.reason))
            .bind(clean(&new.request_id))
            .bind(clean(&new.apply_id))
            .fetch_one(&mut *work)
            .await?;
        if new.is_known() {
            sqlx::query(stand).bind(host).bind(&new.path).bind(id).execute(&mut *work).await?;
        }
    }
    Ok(work.commit().await?)
}

/// PostgreSQL has no NUL in text, and what an agent or a caller says is no reason to lose a version.
fn clean(text: &str) -> String {
    text.chars().take(1_000).collect::<String>().replace('\0', "\u{fffd}")
}

/// Whether the end of this apply was recorded already: the same apply may end twice, applied and then reverted.
pub(crate) async fn has_apply(pool: &PgPool, host: Uuid, apply_id: &str, reverted: bool) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM nginx_versions
        WHERE host_id = $1 AND apply_id = $2 AND (event = 'reverted') = $3 AND event <> 'rolled-back')";
    Ok(sqlx::query_scalar(sql).bind(host).bind(apply_id).bind(reverted).fetch_one(pool).await?)
}

/// Which versions are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter<'a> {
    /// Empty: of all hosts.
    pub(crate) host: &'a str,
    /// Empty: of all files.
    pub(crate) path: &'a str,
    /// Only older ones; 0: from the newest.
    pub(crate) before: i64,
    pub(crate) limit: u32,
}

/// A query for [`Row`]s.
macro_rules! versions {
    ($rest:literal $(,)?) => {
        concat!(
            "SELECT v.id, h.name AS host, v.path, v.sha256, v.time, v.author, v.reason, v.event, v.request_id,
                v.enabled FROM nginx_versions v JOIN hosts h ON h.id = v.host_id ",
            $rest
        )
    };
}

/// Versions without their content, newest first.
pub(crate) async fn list(pool: &PgPool, filter: Filter<'_>) -> Result<Vec<NginxVersion>> {
    let sql = versions!(
        "WHERE ($1 = '' OR h.name = $1) AND ($2 = '' OR v.path = $2) AND ($3 <= 0 OR v.id < $3)
        ORDER BY v.id DESC LIMIT $4",
    );
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(clean(filter.host))
        .bind(clean(filter.path))
        .bind(filter.before)
        .bind(i64::from(filter.limit))
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(NginxVersion::from).collect())
}

/// One version, its content, and the content of the same file before it.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub(crate) version: NginxVersion,
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) before: Option<Vec<u8>>,
}

/// The version with this id.
pub(crate) async fn get(pool: &PgPool, id: i64) -> Result<Option<Whole>> {
    let sql = versions!("WHERE v.id = $1");
    let Some(row) = sqlx::query_as::<_, Row>(sql).bind(id).fetch_optional(pool).await? else {
        return Ok(None);
    };
    let content = sqlx::query_scalar("SELECT content FROM nginx_versions WHERE id = $1");
    let before = "SELECT b.content FROM nginx_versions b JOIN nginx_versions v ON v.host_id = b.host_id AND v.path = b.path
        WHERE v.id = $1 AND b.id < v.id AND b.event <> 'rolled-back' ORDER BY b.id DESC LIMIT 1";
    Ok(Some(Whole {
        version: row.into(),
        content: content.bind(id).fetch_one(pool).await?,
        before: sqlx::query_scalar::<_, Option<Vec<u8>>>(before)
            .bind(id)
            .fetch_optional(pool)
            .await?
            .flatten(),
    }))
}

/// The content that has this hash, wherever it was seen.
pub(crate) async fn content(pool: &PgPool, sha256: &str) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT content FROM nginx_versions WHERE sha256 = $1 AND content IS NOT NULL LIMIT 1";
    Ok(sqlx::query_scalar(sql).bind(clean(sha256)).fetch_optional(pool).await?)
}

#[derive(FromRow)]
struct Row {
    id: i64,
    host: String,
    path: String,
    sha256: String,
    time: DateTime<Utc>,
    author: String,
    reason: String,
    event: String,
    request_id: String,
    enabled: bool,
}

impl From<Row> for NginxVersion {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            host: row.host,
            path: row.path,
            sha256: row.sha256,
            time_usec: row.time.timestamp_micros(),
            author: row.author,
            reason: row.reason,
            event: row.event,
            request_id: row.request_id,
            enabled: row.enabled,
            content: String::new(),
            diff: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::names::{Address, HostName};

    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    async fn host(pool: &PgPool) -> std::result::Result<Uuid, Box<dyn std::error::Error>> {
        let address = Address::try_from("10.0.0.1:9444")?;
        Ok(super::super::hosts::add(pool, &HostName::try_from("asterra")?, &address).await?.id)
    }

    fn cigar(event: &'static str, content: &str) -> New {
        New {
            path: "sites-available/cigar".into(),
            event,
            sha256: format!("sha-{content}"),
            content: Some(content.into()),
            enabled: true,
            author: "ada".into(),
            ..New::default()
        }
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn versions_are_listed_newest_first_in_pages(pool: PgPool) -> Test {
        let host = host(&pool).await?;
        for content in ["a", "b", "c"] {
            record(&pool, host, &[cigar("applied", content)]).await?;
        }
        let page = |before| Filter { host: "asterra", limit: 2, before, ..Filter::default() };
        let first = list(&pool, page(0)).await?;
        let rest = list(&pool, page(first[1].id)).await?;
        let told = |versions: &[NginxVersion]| versions.iter().map(|v| v.sha256.clone()).collect::<Vec<_>>();
        assert_eq!((told(&first), told(&rest)), (vec!["sha-c".into(), "sha-b".into()], vec!["sha-a".into()]));
        for nothing in [
            Filter { host: "borealis", limit: 9, ..Filter::default() },
            Filter { path: "nginx.conf", limit: 9, ..Filter::default() },
            Filter { host: "\0", limit: 9, ..Filter::default() },
        ] {
            assert!(list(&pool, nothing).await?.is_empty());
        }
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_version_has_the_one_before_it_beside_it(pool: PgPool) -> Test {
        let host = host(&pool).await?;
        record(&pool, host, &[cigar("first-seen", "a")]).await?;
        record(&pool, host, &[cigar("rolled-back", "broken")]).await?;
        record(&pool, host, &[cigar("applied", "b")]).await?;
        let versions = list(&pool, Filter { limit: 9, ..Filter::default() }).await?;
        let newest = get(&pool, versions[0].id).await?.unwrap();
        assert_eq!(newest.content.as_deref(), Some(&b"b"[..]));
        assert_eq!(newest.before.as_deref(), Some(&b"a"[..]), "what nginx did not take was never there");
        assert!(get(&pool, versions[2].id).await?.unwrap().before.is_none());
        assert!(get(&pool, 0).await?.is_none());
        assert_eq!(content(&pool, "sha-b").await?.as_deref(), Some(&b"b"[..]));
        assert!(content(&pool, "sha-x").await?.is_none());
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn an_outside_edit_is_seen_and_not_stood_for_until_it_is_adopted(pool: PgPool) -> Test {
        let host = host(&pool).await?;
        record(&pool, host, &[cigar("applied", "a")]).await?;
        record(&pool, host, &[cigar("outside", "b")]).await?;
        let seen = latest(&pool, host).await?.remove(0);
        assert_eq!((seen.sha256.as_str(), seen.known_sha256.as_deref()), ("sha-b", Some("sha-a")));
        record(&pool, host, &[cigar("adopted", "b")]).await?;
        let seen = latest(&pool, host).await?.remove(0);
        assert_eq!((seen.sha256.as_str(), seen.known_sha256.as_deref()), ("sha-b", Some("sha-b")));
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn versions_are_added_together_or_not_at_all(pool: PgPool) -> Test {
        let host = host(&pool).await?;
        let bad = New { path: String::new(), ..cigar("applied", "b") };
        assert!(record(&pool, host, &[cigar("applied", "a"), bad]).await.is_err());
        let large = New { content: Some(vec![b'#'; (1 << 20) + 1]), ..cigar("applied", "c") };
        assert!(record(&pool, host, &[large]).await.is_err());
        assert!(latest(&pool, host).await?.is_empty());
        let odd = New { reason: "why\0".into(), content: Some(vec![0, 0xff]), ..cigar("applied", "d") };
        record(&pool, host, &[odd]).await?;
        assert_eq!(latest(&pool, host).await?.len(), 1);
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn an_apply_may_be_recorded_as_applied_and_later_as_reverted(pool: PgPool) -> Test {
        let host = host(&pool).await?;
        let by = |event, content| New { apply_id: "0193".into(), ..cigar(event, content) };
        record(&pool, host, &[by("applied", "a")]).await?;
        assert!(has_apply(&pool, host, "0193", false).await?);
        assert!(!has_apply(&pool, host, "0193", true).await?);
        record(&pool, host, &[by("reverted", "b")]).await?;
        assert!(has_apply(&pool, host, "0193", true).await?);
        Ok(())
    }
}
