//! Jobs: each host's part of a run.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hms_proto::host::v1::{self, JobKind, JobState};
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool, types::Json};
use uuid::Uuid;

use super::{Result, audit::text};

/// More steps than any kind of job has.
const MOST_STEPS: usize = 50;

/// A job, with what it has of its run.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Job {
    pub(crate) id: Uuid,
    pub(crate) run_id: Uuid,
    pub(crate) host: String,
    pub(crate) host_id: Uuid,
    state: String,
    /// How many times it was sent, or was about to be.
    pub(crate) attempts: i32,
    /// When its host said that it has it.
    pub(crate) accepted_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    exit_status: i32,
    killed_by_signal: bool,
    result: String,
    pub(crate) reason: String,
    output_bytes: i64,
    output_truncated: bool,
    pub(crate) output_removed_at: Option<DateTime<Utc>>,
    peak_memory_bytes: i64,
    peak_memory_source: String,
    cpu_usec: i64,
    steps: Json<Vec<v1::JobStep>>,
    /// That it made or went back to.
    pub(crate) release: String,
    commit_id: String,
    /// Who wants it to end, and through which face.
    pub(crate) cancel_user_id: Option<Uuid>,
    pub(crate) cancel_source: Option<String>,

    kind: String,
    /// The app that it works on.
    pub(crate) app: String,
    pub(crate) script: String,
    pub(crate) script_sha256: String,
    pub(crate) parameters: Json<BTreeMap<String, String>>,
    pub(crate) json: bool,
    pub(crate) is_check: bool,
    pub(crate) reports: bool,
    pub(crate) timeout_s: i32,
    pub(crate) actor: String,
    pub(crate) user_id: Uuid,
    pub(crate) source: String,
    pub(super) created_at: DateTime<Utc>,
}

impl Job {
    /// How it is.
    pub(crate) fn state(&self) -> JobState {
        state(&self.state)
    }

    /// What it does.
    pub(crate) fn kind(&self) -> JobKind {
        kind(&self.kind)
    }

    /// Whether nothing about it will change.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// Its steps; none for scripts.
    pub(crate) fn steps(&self) -> &Vec<v1::JobStep> {
        &self.steps.0
    }

    /// How much of its output is kept.
    pub(crate) fn output_bytes(&self) -> u64 {
        unsigned(self.output_bytes)
    }

    /// As the contract has it.
    pub(crate) fn to_proto(&self) -> v1::Job {
        let usec = |time: Option<DateTime<Utc>>| time.map_or(0, |t| t.timestamp_micros());
        v1::Job {
            id: self.id.to_string(),
            state: self.state().into(),
            script: self.script.clone(),
            script_sha256: self.script_sha256.clone(),
            parameters: self.parameters.0.clone(),
            json: self.json,
            host: self.host.clone(),
            actor: self.actor.clone(),
            created_usec: self.created_at.timestamp_micros(),
            started_usec: usec(self.started_at),
            ended_usec: usec(self.ended_at),
            exit_status: self.exit_status,
            killed_by_signal: self.killed_by_signal,
            result: self.result.clone(),
            reason: self.reason.clone(),
            output_bytes: self.output_bytes(),
            output_truncated: self.output_truncated,
            peak_memory_bytes: unsigned(self.peak_memory_bytes),
            peak_memory_source: self.peak_memory_source.clone(),
            cpu_usec: unsigned(self.cpu_usec),
            kind: self.kind().into(),
            app: self.app.clone(),
            steps: self.steps.0.clone(),
            release: self.release.clone(),
            commit: self.commit_id.clone(),
        }
    }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A time of the contract, where 0 is none.
fn time(usec: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(usec).filter(|_| usec > 0)
}

/// A state as the database and the contract's JSON form have it.
pub(crate) fn word(state: JobState) -> String {
    state.as_str_name().trim_start_matches("JOB_STATE_").to_ascii_lowercase()
}

/// The state that a word stands for.
pub(crate) fn state(word: &str) -> JobState {
    JobState::from_str_name(&format!("JOB_STATE_{}", word.to_ascii_uppercase())).unwrap_or_default()
}

/// A kind as the database and the contract's JSON form have it.
pub(crate) fn kind_word(kind: JobKind) -> String {
    kind.as_str_name().trim_start_matches("JOB_KIND_").to_ascii_lowercase()
}

/// The kind that a word stands for.
pub(crate) fn kind(word: &str) -> JobKind {
    JobKind::from_str_name(&format!("JOB_KIND_{}", word.to_ascii_uppercase())).unwrap_or_default()
}

/// All of a job, and the tables that it is in.
pub(super) const COLUMNS: &str =
    "j.*, r.kind, r.app, r.script, r.script_sha256, r.parameters, r.json, r.is_check, r.reports, r.timeout_s, r.actor,
        r.user_id, r.source, r.created_at
    FROM jobs j JOIN runs r ON r.id = j.run_id";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} {rest}"))
}

/// The job with this id.
pub(crate) async fn get(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Job>> {
    Ok(sqlx::query_as(select("WHERE j.id = $1")).bind(id).fetch_optional(db).await?)
}

/// The jobs of a run, by host.
pub(crate) async fn of_run(db: impl PgExecutor<'_>, run: Uuid) -> Result<Vec<Job>> {
    Ok(sqlx::query_as(select("WHERE j.run_id = $1 ORDER BY j.host")).bind(run).fetch_all(db).await?)
}

/// Ids and states of the jobs of a run, by host.
pub(crate) async fn states(db: impl PgExecutor<'_>, run: Uuid) -> Result<Vec<(Uuid, JobState)>> {
    let sql = "SELECT id, state FROM jobs WHERE run_id = $1 ORDER BY host";
    let rows: Vec<(Uuid, String)> = sqlx::query_as(sql).bind(run).fetch_all(db).await?;
    Ok(rows.into_iter().map(|(id, word)| (id, state(&word))).collect())
}

/// Jobs that run, or may.
pub(crate) async fn begun(pool: &PgPool) -> Result<Vec<Uuid>> {
    let sql = "SELECT id FROM jobs WHERE state IN ('running', 'unknown') ORDER BY id";
    Ok(sqlx::query_scalar(sql).fetch_all(pool).await?)
}

/// Takes waiting jobs to be started.
pub(crate) async fn claim(db: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<()> {
    let sql = "UPDATE jobs SET state = 'running' WHERE id = ANY($1) AND state = 'queued'";
    sqlx::query(sql).bind(ids).execute(db).await?;
    Ok(())
}

/// Ends jobs that were not started.
pub(crate) async fn drop_waiting(
    db: impl PgExecutor<'_>,
    ids: &[Uuid],
    to: JobState,
    reason: &str,
) -> Result<()> {
    let sql =
        "UPDATE jobs SET state = $2, reason = $3, ended_at = now() WHERE id = ANY($1) AND state = 'queued'";
    sqlx::query(sql).bind(ids).bind(word(to)).bind(text(reason)).execute(db).await?;
    Ok(())
}

/// Notes that a job is about to be sent to its host. How many times it was, this one included; none when it has ended.
pub(crate) async fn attempt(pool: &PgPool, id: Uuid) -> Result<Option<i32>> {
    let sql = "UPDATE jobs SET attempts = attempts + 1 WHERE id = $1 AND ended_at IS NULL RETURNING attempts";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_optional(pool).await?)
}

/// Notes that the host has the job, and when it began.
pub(crate) async fn accepted(pool: &PgPool, id: Uuid, job: &v1::Job) -> Result<()> {
    let sql = "UPDATE jobs SET state = 'running', reason = '', accepted_at = coalesce(accepted_at, now()),
            started_at = coalesce($2, started_at, now()),
            steps = CASE WHEN $3 = '[]'::jsonb THEN steps ELSE $3 END
        WHERE id = $1 AND ended_at IS NULL";
    sqlx::query(sql).bind(id).bind(time(job.started_usec)).bind(steps(job)).execute(pool).await?;
    Ok(())
}

/// Notes how far a job is.
pub(crate) async fn progress(pool: &PgPool, id: Uuid, job: &v1::Job) -> Result<()> {
    let sql = "UPDATE jobs SET steps = $2, release = $3, commit_id = $4
        WHERE id = $1 AND ended_at IS NULL AND (steps, release, commit_id) IS DISTINCT FROM ($2, $3, $4)";
    let (release, commit) = (text(&job.release), text(&job.commit));
    sqlx::query(sql).bind(id).bind(steps(job)).bind(release).bind(commit).execute(pool).await?;
    Ok(())
}

/// Bounded, and without what PostgreSQL cannot keep.
fn steps(job: &v1::Job) -> Json<Vec<v1::JobStep>> {
    let clean = |step: &v1::JobStep| v1::JobStep {
        name: text(&step.name),
        detail: text(&step.detail),
        ..step.clone()
    };
    Json(job.steps.iter().take(MOST_STEPS).map(clean).collect())
}

/// Notes that nobody can say how a job is, and why.
pub(crate) async fn unknown(pool: &PgPool, id: Uuid, reason: &str) -> Result<()> {
    let sql = "UPDATE jobs SET state = 'unknown', reason = $2
        WHERE id = $1 AND ended_at IS NULL AND (state, reason) IS DISTINCT FROM ('unknown', $2)";
    sqlx::query(sql).bind(id).bind(text(reason)).execute(pool).await?;
    Ok(())
}

/// Notes how a job ended. False when that was noted already: what was said first stays.
pub(crate) async fn end(db: impl PgExecutor<'_>, id: Uuid, job: &v1::Job) -> Result<bool> {
    let sql = "UPDATE jobs SET state = $2, reason = $3, result = $4, exit_status = $5, killed_by_signal = $6,
            output_truncated = $7, peak_memory_bytes = $8, peak_memory_source = $9, cpu_usec = $10,
            started_at = coalesce($11, started_at),
            ended_at = coalesce($12, now()),
            steps = CASE WHEN $13 = '[]'::jsonb THEN steps ELSE $13 END,
            release = CASE WHEN $14 = '' THEN release ELSE $14 END,
            commit_id = CASE WHEN $15 = '' THEN commit_id ELSE $15 END
        WHERE id = $1 AND ended_at IS NULL";
    let done = sqlx::query(sql)
        .bind(id)
        .bind(word(job.state()))
        .bind(text(&job.reason))
        .bind(text(&job.result))
        .bind(job.exit_status)
        .bind(job.killed_by_signal)
        .bind(job.output_truncated)
        .bind(signed(job.peak_memory_bytes))
        .bind(text(&job.peak_memory_source))
        .bind(signed(job.cpu_usec))
        .bind(time(job.started_usec))
        .bind(time(job.ended_usec))
        .bind(steps(job))
        .bind(text(&job.release))
        .bind(text(&job.commit))
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes who wants jobs of a run to end: those that wait are, the others will be. `job`: only that one.
pub(crate) async fn cancel(
    db: &mut PgConnection,
    run: Uuid,
    job: Option<Uuid>,
    (user, source): (Uuid, &str),
    reason: &str,
) -> Result<()> {
    let sql = "UPDATE jobs SET state = 'canceled', reason = $3, ended_at = now()
        WHERE run_id = $1 AND ($2::uuid IS NULL OR id = $2) AND state = 'queued'";
    sqlx::query(sql).bind(run).bind(job).bind(text(reason)).execute(&mut *db).await?;
    let sql = "UPDATE jobs SET cancel_user_id = $3, cancel_source = $4
        WHERE run_id = $1 AND ($2::uuid IS NULL OR id = $2) AND ended_at IS NULL AND cancel_user_id IS NULL";
    sqlx::query(sql).bind(run).bind(job).bind(user).bind(source).execute(db).await?;
    Ok(())
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
