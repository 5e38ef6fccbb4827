//! Runs: one script on some hosts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hms_proto::{
    controller::v1::{ListRunsRequest, Run, Target},
    host::v1::{self, JobState},
};
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool, types::Json};
use uuid::Uuid;

use super::{
    Result, jobs,
    reach::{bounds, within},
};
use crate::auth::{Scope, Source};

/// People look back a quarter of a year.
const KEPT_DAYS: i32 = 90;
/// A schedule begins many runs that nobody looks at again.
const KEPT_DAYS_SCHEDULED: i32 = 14;

/// A run to begin.
#[derive(Debug, Clone)]
pub(crate) struct NewRun {
    pub(crate) id: Uuid,
    pub(crate) script: String,
    pub(crate) script_sha256: String,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) json: bool,
    pub(crate) mutates: bool,
    /// Whether exit statuses 1 and 2 mean that it found something.
    pub(crate) is_check: bool,
    /// Whether what it finds belongs on the dashboard.
    pub(crate) reports: bool,
    pub(crate) timeout_s: u32,
    pub(crate) batch: u32,
    pub(crate) max_failures: u32,
    pub(crate) target: Target,
    pub(crate) actor: String,
    pub(crate) user_id: Uuid,
    pub(crate) source: Source,
    pub(crate) schedule_id: Option<Uuid>,
    /// Ids and names.
    pub(crate) hosts: Vec<(Uuid, String)>,
}

/// What decides which jobs of a run are next.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Limits {
    pub(crate) batch: i32,
    pub(crate) max_failures: i32,
    pub(crate) mutates: bool,
    pub(crate) canceled: bool,
}

/// Begins a run with all its jobs waiting. False when there is one with this id already. The caller commits.
pub(crate) async fn begin(db: &mut PgConnection, new: &NewRun) -> Result<bool> {
    let sql =
        "INSERT INTO runs (id, script, script_sha256, parameters, json, mutates, is_check, reports, timeout_s,
            batch, max_failures, target, actor, user_id, source, schedule_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        ON CONFLICT (id) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(new.id)
        .bind(&new.script)
        .bind(&new.script_sha256)
        .bind(Json(&new.parameters))
        .bind(new.json)
        .bind(new.mutates)
        .bind(new.is_check)
        .bind(new.reports)
        .bind(number(new.timeout_s))
        .bind(number(new.batch))
        .bind(number(new.max_failures))
        .bind(Json(&new.target))
        .bind(&new.actor)
        .bind(new.user_id)
        .bind(new.source.word())
        .bind(new.schedule_id)
        .execute(&mut *db)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let ids: Vec<Uuid> = new.hosts.iter().map(|_| Uuid::now_v7()).collect();
    let (host_ids, hosts): (Vec<Uuid>, Vec<String>) = new.hosts.iter().cloned().unzip();
    let sql = "INSERT INTO jobs (id, run_id, host_id, host)
        SELECT id, $1, host_id, host FROM unnest($2, $3, $4) AS t (id, host_id, host)";
    sqlx::query(sql).bind(new.id).bind(ids).bind(host_ids).bind(hosts).execute(db).await?;
    Ok(true)
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A run with its jobs.
pub(crate) async fn get(pool: &PgPool, id: Uuid) -> Result<Option<Run>> {
    let mut tx = pool.begin().await?;
    // One picture of the run and its jobs.
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut *tx).await?;
    let sql = format!("{SELECT} WHERE r.id = $1");
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *tx).await?;
    let Some(row) = row else { return Ok(None) };
    let jobs = jobs::of_run(&mut *tx, id).await?;
    // The parameters are the run's: a thousand copies of them would not fit into a message.
    let without = |job: &jobs::Job| v1::Job { parameters: BTreeMap::new(), ..job.to_proto() };
    Ok(Some(Run { jobs: jobs.iter().map(without).collect(), ..row.into() }))
}

/// How a run is, in one word; unspecified when there is none.
pub(crate) async fn state(pool: &PgPool, id: Uuid) -> Result<JobState> {
    let sql = format!("{SELECT} WHERE r.id = $1");
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await?;
    Ok(row.map_or(JobState::Unspecified, |row| jobs::state(&row.state)))
}

/// The runs of scripts that fit and are within a scope with all their jobs, newest first, without these, and the cursor of the
/// next page. The limit is `filter.limit`.
pub(crate) async fn list(
    pool: &PgPool,
    filter: &ListRunsRequest,
    scope: &Scope,
    after: Option<&Cursor>,
) -> Result<(Vec<Run>, Option<Cursor>)> {
    let sql = format!(
        "{SELECT} WHERE r.kind = 'script' AND ($1 = '' OR r.script = $1)
            AND ($2 = '' OR EXISTS (SELECT FROM jobs h WHERE h.run_id = r.id AND h.host = $2))
            AND ($3 = '' OR r.actor = $3)
            AND ($4 = '' OR c.state = $4)
            AND ($5::uuid IS NULL OR r.schedule_id = $5)
            AND ($6::timestamptz IS NULL OR (r.created_at, r.id) < ($6, $7))
            AND ($9::jsonb = '[]' OR (EXISTS (SELECT FROM jobs b WHERE b.run_id = r.id)
                AND NOT EXISTS (SELECT FROM jobs b WHERE b.run_id = r.id AND NOT {})))
        ORDER BY r.created_at DESC, r.id DESC LIMIT $8",
        within("$9", "b.host", "''")
    );
    let limit = i64::from(filter.limit);
    let mut rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(&filter.script)
        .bind(&filter.host)
        .bind(&filter.actor)
        .bind(&filter.state)
        .bind(Uuid::try_parse(&filter.schedule_id).ok())
        .bind(after.map(|c| c.created_at))
        .bind(after.map(|c| c.id))
        .bind(limit + 1)
        .bind(bounds(scope))
        .fetch_all(pool)
        .await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(filter.limit as usize);
    let next = rows.last().filter(|_| more).map(|r| Cursor { created_at: r.created_at, id: r.id });
    Ok((rows.into_iter().map(Run::from).collect(), next))
}

/// A place in the list of runs, or of deployments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(super) created_at: DateTime<Utc>,
    pub(super) id: Uuid,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}.{}", self.created_at.timestamp_micros(), self.id.simple())
    }
}

impl std::str::FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let wrong = "a cursor is copied from the page before";
        let (time, id) = text.split_once('.').ok_or(wrong)?;
        let usec = i64::from_str_radix(time, 16).map_err(|_| wrong)?;
        let created_at = DateTime::from_timestamp_micros(usec).ok_or(wrong)?;
        Ok(Self { created_at, id: Uuid::try_parse(id).map_err(|_| wrong)? })
    }
}

/// Runs that have not ended.
pub(crate) async fn open(pool: &PgPool) -> Result<Vec<Uuid>> {
    let sql = "SELECT id FROM runs WHERE ended_at IS NULL ORDER BY created_at, id";
    Ok(sqlx::query_scalar(sql).fetch_all(pool).await?)
}

/// Takes a run that has not ended for itself, until the transaction ends.
pub(crate) async fn lock(db: &mut PgConnection, id: Uuid) -> Result<Option<Limits>> {
    let sql = "SELECT batch, max_failures, mutates, canceled_at IS NOT NULL AS canceled
        FROM runs WHERE id = $1 AND ended_at IS NULL FOR UPDATE";
    Ok(sqlx::query_as(sql).bind(id).fetch_optional(db).await?)
}

/// Notes that nothing of a run is left to do.
pub(crate) async fn end(db: impl PgExecutor<'_>, id: Uuid) -> Result<()> {
    let sql = "UPDATE runs SET ended_at = now() WHERE id = $1 AND ended_at IS NULL";
    sqlx::query(sql).bind(id).execute(db).await?;
    Ok(())
}

/// Notes that a run is not to go on.
pub(crate) async fn cancel(db: impl PgExecutor<'_>, id: Uuid) -> Result<()> {
    sqlx::query("UPDATE runs SET canceled_at = now() WHERE id = $1 AND canceled_at IS NULL")
        .bind(id)
        .execute(db)
        .await?;
    Ok(())
}

/// Whether a run of this schedule still holds up the next one. A job whose host is away does so only when the script
/// changes something: else one lost host would end the checks of all others.
pub(crate) async fn is_busy(db: impl PgExecutor<'_>, schedule: Uuid) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM runs r JOIN jobs j ON j.run_id = r.id
        WHERE r.schedule_id = $1 AND r.ended_at IS NULL
            AND (j.state IN ('queued', 'running') OR (j.state = 'unknown' AND r.mutates)))";
    Ok(sqlx::query_scalar(sql).bind(schedule).fetch_one(db).await?)
}

/// Removes runs of scripts that ended long ago, a few at a time. How many it were. Deployments are history, and stay.
pub(crate) async fn forget_old(pool: &PgPool, now: DateTime<Utc>) -> Result<u64> {
    let sql = "DELETE FROM runs WHERE id IN (SELECT id FROM runs
        WHERE kind = 'script' AND ended_at < $1 - make_interval(days => CASE WHEN schedule_id IS NULL THEN $2 ELSE $3 END)
        LIMIT 100)";
    let done = sqlx::query(sql).bind(now).bind(KEPT_DAYS).bind(KEPT_DAYS_SCHEDULED).execute(pool).await?;
    Ok(done.rows_affected())
}

/// In the order of the attention they need, the first one speaks for a run.
const SELECT: &str = "SELECT r.*, c.* FROM runs r JOIN LATERAL (
        SELECT count(*) FILTER (WHERE state = 'succeeded') AS succeeded,
            count(*) FILTER (WHERE ended_at IS NOT NULL AND state <> 'succeeded') AS failed,
            count(*) FILTER (WHERE state IN ('running', 'unknown')) AS running,
            count(*) FILTER (WHERE state = 'queued') AS waiting,
            coalesce((array['running', 'unknown', 'queued', 'failed', 'timed_out', 'lost', 'canceled', 'skipped',
                'succeeded'])[min(array_position(array['running', 'unknown', 'queued', 'failed', 'timed_out',
                'lost', 'canceled', 'skipped', 'succeeded'], state))], '') AS state
        FROM jobs WHERE run_id = r.id) c ON true";

#[derive(FromRow)]
struct Row {
    id: Uuid,
    script: String,
    script_sha256: String,
    parameters: Json<BTreeMap<String, String>>,
    json: bool,
    mutates: bool,
    timeout_s: i32,
    batch: i32,
    max_failures: i32,
    target: Json<Target>,
    actor: String,
    source: String,
    schedule_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    succeeded: i64,
    failed: i64,
    running: i64,
    waiting: i64,
    state: String,
}

impl From<Row> for Run {
    fn from(row: Row) -> Self {
        let number = |value: i32| u32::try_from(value).unwrap_or_default();
        let count = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        let state: JobState = jobs::state(&row.state);
        Self {
            id: row.id.to_string(),
            script: row.script,
            script_sha256: row.script_sha256,
            parameters: row.parameters.0,
            json: row.json,
            timeout_s: number(row.timeout_s),
            batch: number(row.batch),
            max_failures: number(row.max_failures),
            target: Some(row.target.0),
            actor: row.actor,
            source: row.source,
            created_usec: row.created_at.timestamp_micros(),
            ended_usec: row.ended_at.map_or(0, |t| t.timestamp_micros()),
            state: state.into(),
            jobs: Vec::new(),
            succeeded: count(row.succeeded),
            failed: count(row.failed),
            running: count(row.running),
            waiting: count(row.waiting),
            schedule_id: row.schedule_id.map(|id| id.to_string()).unwrap_or_default(),
            mutates: row.mutates,
        }
    }
}

/// A run for tests, on hosts of these names.
#[cfg(test)]
pub(crate) fn sample(hosts: &[&str]) -> NewRun {
    NewRun {
        id: Uuid::now_v7(),
        script: "hello".into(),
        script_sha256: "0".repeat(64),
        parameters: BTreeMap::from([("app".into(), "cigar".into())]),
        json: false,
        mutates: false,
        is_check: false,
        reports: false,
        timeout_s: 60,
        batch: 10,
        max_failures: 0,
        target: Target { hosts: hosts.iter().map(|h| (*h).into()).collect(), ..Target::default() },
        actor: "ada".into(),
        user_id: Uuid::from_u128(7),
        source: Source::Cli,
        schedule_id: None,
        hosts: hosts.iter().map(|h| (Uuid::now_v7(), (*h).to_owned())).collect(),
    }
}

/// Begins a run in tests, and gives its jobs by host.
#[cfg(test)]
pub(crate) async fn put(pool: &PgPool, new: &NewRun) -> Result<Vec<jobs::Job>> {
    let mut tx = pool.begin().await?;
    assert!(begin(&mut tx, new).await?);
    tx.commit().await?;
    jobs::of_run(pool, new.id).await
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
