//! Deployments: work on an app. Each is a run with one job, and all three have the same id.

use std::collections::HashMap;

use chrono::DateTime;
use hms_proto::{
    controller::v1::{self, Target},
    host::v1::{Job as JobOnHost, JobKind, Release},
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgExecutor, PgPool, types::Json};
use uuid::Uuid;

use super::{
    Result,
    audit::text,
    jobs::{self, Job},
    reach::{bounds, within},
    runs::Cursor,
};
use crate::auth::{Scope, Source};

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    pub(crate) branch: String,
    pub(crate) commit: String,
    pub(crate) release: String,
    /// The number of the contract's RestartKind.
    pub(crate) restart: i32,
    pub(crate) revert_drift: bool,
    pub(crate) accept_destructive: bool,
    pub(crate) delete_data: bool,
}

/// A deployment to begin.
#[derive(Debug, Clone)]
pub(crate) struct NewDeployment {
    pub(crate) id: Uuid,
    pub(crate) app: String,
    pub(crate) kind: JobKind,
    /// Id and name.
    pub(crate) host: (Uuid, String),
    pub(crate) wanted: Wanted,
    pub(crate) actor: String,
    pub(crate) user_id: Uuid,
    pub(crate) source: Source,
}

/// A deployment with its job.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Deployment {
    pub(crate) app_key: String,
    pub(crate) wanted: Json<Wanted>,
    pub(crate) from_release: String,
    from_commit: String,
    subject: String,
    author: String,
    pub(crate) secrets_version: i32,
    #[sqlx(flatten)]
    pub(crate) job: Job,
}

impl Deployment {
    /// As the contract has it.
    pub(crate) fn to_proto(&self) -> v1::Deployment {
        let wanted = &self.wanted.0;
        let first =
            |of: [&str; 2]| of.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned();
        // Settings are brought to the release that is live.
        let asked = if self.job.kind() == JobKind::Apply { &self.from_release } else { &wanted.release };
        v1::Deployment {
            id: self.job.id.to_string(),
            key: self.app_key.clone(),
            kind: self.job.kind().into(),
            host: self.job.host.clone(),
            branch: wanted.branch.clone(),
            release: first([&self.job.release, asked]),
            from_release: self.from_release.clone(),
            from_commit: self.from_commit.clone(),
            subject: self.subject.clone(),
            author: self.author.clone(),
            secrets_version: u32::try_from(self.secrets_version).unwrap_or_default(),
            actor: self.job.actor.clone(),
            source: self.job.source.clone(),
            job: Some(self.job.to_proto()),
            joined: false,
        }
    }
}

/// Begins a deployment. `Conflict`: one with this id is known, or another works on the app.
pub(crate) async fn begin(pool: &PgPool, new: &NewDeployment) -> Result<()> {
    let mut tx = pool.begin().await?;
    let sql = "INSERT INTO runs (id, kind, app, script, script_sha256, parameters, json, mutates, is_check, reports,
            timeout_s, batch, max_failures, target, actor, user_id, source)
        VALUES ($1, $2, $3, '', '', '{}', false, true, false, false, 0, 1, 0, $4, $5, $6, $7)";
    let target = Target { hosts: vec![new.host.1.clone()], ..Target::default() };
    sqlx::query(sql)
        .bind(new.id)
        .bind(jobs::kind_word(new.kind))
        .bind(&new.app)
        .bind(Json(target))
        .bind(&new.actor)
        .bind(new.user_id)
        .bind(new.source.word())
        .execute(&mut *tx)
        .await?;
    sqlx::query("INSERT INTO jobs (id, run_id, host_id, host) VALUES ($1, $1, $2, $3)")
        .bind(new.id)
        .bind(new.host.0)
        .bind(&new.host.1)
        .execute(&mut *tx)
        .await?;
    sqlx::query("INSERT INTO deployments (id, app_key, wanted) VALUES ($1, $2, $3)")
        .bind(new.id)
        .bind(&new.app)
        .bind(Json(&new.wanted))
        .execute(&mut *tx)
        .await?;
    Ok(tx.commit().await?)
}

/// Takes over work that somebody asked the host for directly, to be followed like all other. False when it is known
/// already, or is none of an app that is there now.
pub(crate) async fn adopt(pool: &PgPool, host: (Uuid, &str), user: Uuid, job: &JobOnHost) -> Result<bool> {
    let (Ok(id), Some(created)) =
        (Uuid::try_parse(&job.id), DateTime::from_timestamp_micros(job.created_usec))
    else {
        return Ok(false);
    };
    let mut tx = pool.begin().await?;
    let sql = "INSERT INTO runs (id, kind, app, script, script_sha256, parameters, json, mutates, is_check, reports,
            timeout_s, batch, max_failures, target, actor, user_id, source, created_at)
        SELECT $1, $2, app_key, '', '', '{}', false, true, false, false, 0, 1, 0, $3, $4, $5, 'cli', $6 FROM apps
        WHERE app_key = $7 AND deployed_server = $8 AND created_at AT TIME ZONE 'UTC' <= $6
        ON CONFLICT (id) DO NOTHING";
    let target = Target { hosts: vec![host.1.to_owned()], ..Target::default() };
    let begun = sqlx::query(sql)
        .bind(id)
        .bind(jobs::kind_word(job.kind()))
        .bind(Json(target))
        .bind(text(&job.actor))
        .bind(user)
        .bind(created)
        .bind(&job.app)
        .bind(host.1)
        .execute(&mut *tx)
        .await?;
    if begun.rows_affected() == 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO jobs (id, run_id, host_id, host, state, attempts, accepted_at)
        VALUES ($1, $1, $2, $3, 'running', 1, now())";
    sqlx::query(sql).bind(id).bind(host.0).bind(host.1).execute(&mut *tx).await?;
    let sql = "INSERT INTO deployments (id, app_key, wanted, open, created_at) VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(sql)
        .bind(id)
        .bind(&job.app)
        .bind(Json(Wanted { release: text(&job.release), ..Wanted::default() }))
        .bind(job.ended_usec == 0)
        .bind(created)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!(
        "SELECT d.app_key, d.wanted, d.from_release, d.from_commit, d.subject, d.author, d.secrets_version, {}
            JOIN deployments d ON d.id = j.id {rest}",
        jobs::COLUMNS
    ))
}

/// The deployment with this id.
pub(crate) async fn get(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Deployment>> {
    Ok(sqlx::query_as(select("WHERE d.id = $1")).bind(id).fetch_optional(db).await?)
}

/// The one that works on an app now.
pub(crate) async fn at_work(db: impl PgExecutor<'_>, app: &str) -> Result<Option<Deployment>> {
    Ok(sqlx::query_as(select("WHERE d.app_key = $1 AND d.open")).bind(app).fetch_optional(db).await?)
}

/// All that work on an app now.
pub(crate) async fn all_at_work(db: impl PgExecutor<'_>) -> Result<Vec<Deployment>> {
    Ok(sqlx::query_as(select("WHERE d.open")).fetch_all(db).await?)
}

/// The newest of some kinds that succeeded, for each app. What an earlier app of the same key had is not meant.
const NEWEST: &str = "SELECT DISTINCT ON (l.app_key) l.id FROM deployments l
        JOIN apps a ON a.app_key = l.app_key AND l.created_at >= a.created_at AT TIME ZONE 'UTC'
        JOIN runs lr ON lr.id = l.id AND lr.kind = ANY($1)
        JOIN jobs lj ON lj.id = l.id AND lj.state = 'succeeded'
    ORDER BY l.app_key, l.created_at DESC, l.id DESC";

/// What made each app as it is: the newest deployment or rollback that succeeded, with the version of the secrets that
/// was brought there since.
pub(crate) async fn live(pool: &PgPool) -> Result<Vec<Deployment>> {
    let rest = format!("WHERE d.id IN ({NEWEST})");
    let mut live: Vec<Deployment> =
        sqlx::query_as(select(&rest)).bind(["deploy", "rollback"]).fetch_all(pool).await?;
    let sql = format!("SELECT app_key, secrets_version FROM deployments WHERE id IN ({NEWEST})");
    let delivered: HashMap<String, i32> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(["deploy", "rollback", "apply"])
        .fetch_all(pool)
        .await?
        .into_iter()
        .collect();
    for one in &mut live {
        one.secrets_version = delivered.get(&one.app_key).copied().unwrap_or(one.secrets_version);
    }
    Ok(live)
}

/// Newest first, and the cursor of the next page: what is within a scope. `app` empty: of all apps.
pub(crate) async fn list(
    pool: &PgPool,
    app: &str,
    scope: &Scope,
    limit: u32,
    after: Option<&Cursor>,
) -> Result<(Vec<Deployment>, Option<Cursor>)> {
    let rest = format!(
        "WHERE ($1 = '' OR d.app_key = $1)
            AND ($2::timestamptz IS NULL OR (d.created_at, d.id) < ($2, $3))
            AND {}
        ORDER BY d.created_at DESC, d.id DESC LIMIT $4",
        within("$5", "j.host", "d.app_key")
    );
    let mut rows: Vec<Deployment> = sqlx::query_as(select(&rest))
        .bind(app)
        .bind(after.map(|c| c.created_at))
        .bind(after.map(|c| c.id))
        .bind(i64::from(limit) + 1)
        .bind(bounds(scope))
        .fetch_all(pool)
        .await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|d| Cursor { created_at: d.job.created_at, id: d.job.id });
    Ok((rows, next))
}

/// Notes what was live before. What was noted first stays.
pub(crate) async fn from(pool: &PgPool, id: Uuid, release: &str, commit: &str) -> Result<()> {
    let sql = "UPDATE deployments SET from_release = $2, from_commit = $3 WHERE id = $1 AND from_release = ''
        AND $2 <> ''";
    sqlx::query(sql).bind(id).bind(text(release)).bind(text(commit)).execute(pool).await?;
    Ok(())
}

/// Notes which version of the secrets is sent. What was noted first stays, and is the answer.
pub(crate) async fn pin(db: impl PgExecutor<'_>, id: Uuid, version: i32) -> Result<i32> {
    let sql = "UPDATE deployments SET secrets_version = CASE WHEN secrets_version = 0 THEN $2 ELSE secrets_version END
        WHERE id = $1 RETURNING secrets_version";
    Ok(sqlx::query_scalar(sql).bind(id).bind(version).fetch_one(db).await?)
}

/// Notes what the host tells of the release that a job made or went back to.
pub(crate) async fn told(pool: &PgPool, id: Uuid, release: &Release) -> Result<()> {
    let sql = "UPDATE deployments SET subject = $2, author = $3,
            secrets_version = CASE WHEN secrets_version = 0 THEN $4 ELSE secrets_version END
        WHERE id = $1 AND (subject, author, secrets_version) IS DISTINCT FROM ($2, $3, $4)";
    sqlx::query(sql)
        .bind(id)
        .bind(text(&release.subject))
        .bind(text(&release.author))
        .bind(i32::try_from(release.secrets_version).unwrap_or_default())
        .execute(pool)
        .await?;
    Ok(())
}

/// The highest version of secrets that any work on an app of this key had: a later app of the same key goes on from there,
/// since its host may still have those.
pub(crate) async fn highest_secrets_version(db: impl PgExecutor<'_>, app: &str) -> Result<i32> {
    let sql = "SELECT coalesce(max(secrets_version), 0) FROM deployments WHERE app_key = $1";
    Ok(sqlx::query_scalar(sql).bind(app).fetch_one(db).await?)
}

#[cfg(test)]
#[path = "deployments_tests.rs"]
mod tests;
