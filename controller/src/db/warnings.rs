//! Warnings: what checks found on the hosts when they last ran there.

use chrono::{DateTime, Utc};
use hms_proto::{controller::v1::Warning, report::Level};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::{
    Result,
    audit::text,
    jobs::Job,
    reach::{bounds, within},
};
use crate::auth::Scope;

/// Something to warn of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) level: Level,
    pub(crate) subject: String,
    pub(crate) message: String,
}

/// Makes this what the script warns of on the job's host. A subject that it warned of before keeps its beginning.
/// Nothing happens when the host or the script is gone by now.
pub(crate) async fn replace(pool: &PgPool, job: &Job, found: &[Found], now: DateTime<Utc>) -> Result<()> {
    // Each subject once, with the worst that was said of it.
    let mut worst: Vec<&Found> = Vec::new();
    for one in found.iter().filter(|f| f.level != Level::Ok) {
        match worst.iter_mut().find(|w| w.subject == one.subject) {
            Some(known) if known.level < one.level => *known = one,
            Some(_) => {}
            None => worst.push(one),
        }
    }
    let subjects: Vec<String> = worst.iter().map(|f| text(&f.subject)).collect();
    let mut tx = pool.begin().await?;
    sqlx::query("DELETE FROM warnings WHERE host_id = $1 AND script = $2 AND subject <> ALL($3)")
        .bind(job.host_id)
        .bind(&job.script)
        .bind(&subjects)
        .execute(&mut *tx)
        .await?;
    let sql = "INSERT INTO warnings (host_id, script, subject, level, message, run_id, job_id, since, seen)
        SELECT h.id, s.name, t.subject, t.level, t.message, $3, $4, $5, $5
        FROM unnest($6, $7, $8) AS t (subject, level, message), hosts h, scripts s
        WHERE h.id = $1 AND s.name = $2
        ON CONFLICT (host_id, script, subject) DO UPDATE
        SET level = excluded.level, message = excluded.message, run_id = $3, job_id = $4, seen = $5";
    sqlx::query(sql)
        .bind(job.host_id)
        .bind(&job.script)
        .bind(job.run_id)
        .bind(job.id)
        .bind(now)
        .bind(&subjects)
        .bind(worst.iter().map(|f| f.level.word().to_owned()).collect::<Vec<_>>())
        .bind(worst.iter().map(|f| text(&f.message)).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// All warnings within a scope, the critical ones first, then by host. `host`: only of this one, unless it is empty.
pub(crate) async fn list(pool: &PgPool, host: &str, scope: &Scope) -> Result<Vec<Warning>> {
    let sql = format!(
        "SELECT h.name AS host, w.* FROM warnings w JOIN hosts h ON h.id = w.host_id
        WHERE ($1 = '' OR h.name = $1) AND {}
        ORDER BY w.level, h.name, w.script, w.subject LIMIT 5000",
        within("$2", "h.name", "''")
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(host).bind(bounds(scope));
    let rows: Vec<Row> = query.fetch_all(pool).await?;
    Ok(rows.into_iter().map(Warning::from).collect())
}

#[derive(FromRow)]
struct Row {
    host: String,
    script: String,
    subject: String,
    level: String,
    message: String,
    run_id: Uuid,
    job_id: Uuid,
    since: DateTime<Utc>,
    seen: DateTime<Utc>,
}

impl From<Row> for Warning {
    fn from(row: Row) -> Self {
        Self {
            host: row.host,
            script: row.script,
            level: row.level,
            subject: row.subject,
            message: row.message,
            run_id: row.run_id.to_string(),
            job_id: row.job_id.to_string(),
            since_usec: row.since.timestamp_micros(),
            seen_usec: row.seen.timestamp_micros(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use hms_proto::names::{Address, HostName};

    use super::*;
    use crate::db::{hosts, runs, scripts};

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    fn found(level: Level, subject: &str, message: &str) -> Found {
        Found { level, subject: subject.into(), message: message.into() }
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_report_replaces_the_one_before_and_keeps_beginnings(pool: PgPool) -> Test {
        scripts::put(&pool, &[scripts::sample("hello")]).await?;
        let name = HostName::try_from("asterra")?;
        let host = hosts::add(&pool, &name, &Address::try_from("a:1")?).await?;
        let run = runs::NewRun { hosts: vec![(host.id, "asterra".into())], ..runs::sample(&[]) };
        let job = runs::put(&pool, &run).await?.remove(0);
        let (first, second) = (Utc::now(), Utc::now() + TimeDelta::hours(1));
        let report = [
            found(Level::Warning, "/", "91 % full"),
            found(Level::Ok, "/boot", "12 % full"),
            found(Level::Warning, "/srv", "92 % full"),
            found(Level::Critical, "/srv", "no inodes\0"),
        ];
        replace(&pool, &job, &report, first).await?;
        let warnings = list(&pool, "", &Scope::everything()).await?;
        let said: Vec<_> = warnings.iter().map(|w| (w.level.as_str(), w.subject.as_str())).collect();
        assert_eq!(said, [("critical", "/srv"), ("warning", "/")]);
        assert_eq!((warnings[1].job_id.clone(), warnings[1].host.as_str()), (job.id.to_string(), "asterra"));

        replace(
            &pool,
            &job,
            &[found(Level::Critical, "/", "full"), found(Level::Warning, "/home", "x")],
            second,
        )
        .await?;
        let warnings = list(&pool, "asterra", &Scope::everything()).await?;
        assert_eq!((warnings[0].subject.as_str(), warnings[0].message.as_str()), ("/", "full"));
        assert_eq!(warnings[0].since_usec, first.timestamp_micros());
        assert_eq!(warnings[0].seen_usec, second.timestamp_micros());
        assert_eq!(warnings[1].since_usec, second.timestamp_micros());
        assert!(list(&pool, "other", &Scope::everything()).await?.is_empty());

        hosts::remove(&pool, &name).await?;
        assert!(list(&pool, "", &Scope::everything()).await?.is_empty(), "they go with their host");
        replace(&pool, &job, &report, second).await?;
        assert!(list(&pool, "", &Scope::everything()).await?.is_empty(), "a late report brings nothing back");
        Ok(())
    }
}
