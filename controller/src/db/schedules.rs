//! Schedules: scripts that run by themselves.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hms_proto::controller::v1::Target;
use sqlx::{FromRow, PgConnection, PgExecutor, types::Json};
use uuid::Uuid;

use super::Result;

/// A schedule, with how its last run is.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Schedule {
    pub(crate) id: Uuid,
    pub(crate) script: String,
    pub(crate) target: Json<Target>,
    pub(crate) parameters: Json<BTreeMap<String, String>>,
    pub(crate) cron: String,
    pub(crate) batch: i32,
    pub(crate) paused: bool,
    pub(crate) created_by: String,
    pub(crate) user_id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) next_at: DateTime<Utc>,
    pub(crate) last_at: Option<DateTime<Utc>>,
    pub(crate) last_run_id: Option<Uuid>,
    pub(crate) missed: i32,
    pub(crate) missed_since: Option<DateTime<Utc>>,
}

/// A schedule to add.
#[derive(Debug, Clone)]
pub(crate) struct NewSchedule {
    pub(crate) script: String,
    pub(crate) target: Target,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) cron: String,
    pub(crate) batch: u32,
    pub(crate) automatic: bool,
    pub(crate) created_by: String,
    pub(crate) user_id: Uuid,
    pub(crate) next_at: DateTime<Utc>,
}

/// What became of the times that have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passed {
    /// When it is due next.
    pub(crate) next_at: DateTime<Utc>,
    /// The run that was begun.
    pub(crate) run: Option<Uuid>,
    /// How many times it should have run and did not, and the first of them.
    pub(crate) missed: u32,
    pub(crate) missed_since: Option<DateTime<Utc>>,
}

/// All schedules, by script.
pub(crate) async fn list(db: impl PgExecutor<'_>) -> Result<Vec<Schedule>> {
    let sql = "SELECT * FROM schedules ORDER BY script COLLATE \"C\", created_at, id";
    Ok(sqlx::query_as(sql).fetch_all(db).await?)
}

/// Adds a schedule.
pub(crate) async fn add(db: impl PgExecutor<'_>, new: &NewSchedule) -> Result<Schedule> {
    let sql =
        "INSERT INTO schedules (id, script, target, parameters, cron, batch, automatic, created_by, user_id,
            next_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *";
    Ok(sqlx::query_as(sql)
        .bind(Uuid::now_v7())
        .bind(&new.script)
        .bind(Json(&new.target))
        .bind(Json(&new.parameters))
        .bind(&new.cron)
        .bind(i32::try_from(new.batch).unwrap_or(i32::MAX))
        .bind(new.automatic)
        .bind(&new.created_by)
        .bind(new.user_id)
        .bind(new.next_at)
        .fetch_one(db)
        .await?)
}

/// Whether a script has a schedule.
pub(crate) async fn has_any(db: impl PgExecutor<'_>, script: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM schedules WHERE script = $1)";
    Ok(sqlx::query_scalar(sql).bind(script).fetch_one(db).await?)
}

/// Removes the schedule that was made for a script by itself.
pub(crate) async fn remove_automatic(db: impl PgExecutor<'_>, script: &str) -> Result<bool> {
    let sql = "DELETE FROM schedules WHERE script = $1 AND automatic";
    Ok(sqlx::query(sql).bind(script).execute(db).await?.rows_affected() > 0)
}

/// The schedule with this id.
pub(crate) async fn get(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Schedule>> {
    Ok(sqlx::query_as("SELECT * FROM schedules WHERE id = $1").bind(id).fetch_optional(db).await?)
}

/// Pauses a schedule, or lets it go on at `next_at`: what its times would have been meanwhile is not missed.
pub(crate) async fn pause(
    db: impl PgExecutor<'_>,
    id: Uuid,
    paused: bool,
    next_at: DateTime<Utc>,
) -> Result<Option<Schedule>> {
    let sql = "UPDATE schedules SET paused = $2, next_at = CASE WHEN paused = $2 THEN next_at ELSE $3 END
        WHERE id = $1 RETURNING *";
    Ok(sqlx::query_as(sql).bind(id).bind(paused).bind(next_at).fetch_optional(db).await?)
}

/// Removes a schedule. False when there was none.
pub(crate) async fn remove(db: impl PgExecutor<'_>, id: Uuid) -> Result<bool> {
    let done = sqlx::query("DELETE FROM schedules WHERE id = $1").bind(id).execute(db).await?;
    Ok(done.rows_affected() > 0)
}

/// Takes a schedule whose time has come, until the transaction ends. One that somebody else took is left to them.
pub(crate) async fn take_due(db: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<Schedule>> {
    let sql = "SELECT * FROM schedules WHERE NOT paused AND next_at <= $1
        ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED";
    Ok(sqlx::query_as(sql).bind(now).fetch_optional(db).await?)
}

/// Notes what became of the times that have come. A run forgets what was missed before it.
pub(crate) async fn passed(
    db: impl PgExecutor<'_>,
    id: Uuid,
    now: DateTime<Utc>,
    what: &Passed,
) -> Result<()> {
    let sql = "UPDATE schedules SET next_at = $3,
            last_at = CASE WHEN $4::uuid IS NULL THEN last_at ELSE $2 END,
            last_run_id = coalesce($4, last_run_id),
            missed = CASE WHEN $4 IS NULL THEN missed + $5 ELSE $5 END,
            missed_since = CASE WHEN $4 IS NULL THEN coalesce(missed_since, $6) ELSE $6 END
        WHERE id = $1";
    sqlx::query(sql)
        .bind(id)
        .bind(now)
        .bind(what.next_at)
        .bind(what.run)
        .bind(i32::try_from(what.missed).unwrap_or(i32::MAX))
        .bind(what.missed_since)
        .execute(db)
        .await?;
    Ok(())
}

/// A schedule for tests: of `hello`, on all hosts, each minute, due at `next_at`.
#[cfg(test)]
pub(crate) fn sample(next_at: DateTime<Utc>) -> NewSchedule {
    NewSchedule {
        script: "hello".into(),
        target: Target { all: true, ..Target::default() },
        parameters: BTreeMap::new(),
        cron: "* * * * *".into(),
        batch: 10,
        automatic: false,
        created_by: "ada".into(),
        user_id: Uuid::from_u128(7),
        next_at,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use sqlx::PgPool;

    use super::*;
    use crate::db::scripts;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    #[sqlx::test(migrations = "../migrations")]
    async fn a_due_schedule_is_taken_by_one(pool: PgPool) -> Test {
        scripts::put(&pool, &[scripts::sample("hello")]).await?;
        let now = Utc::now();
        let mine = add(&pool, &sample(now)).await?;
        let later = add(&pool, &sample(now + TimeDelta::minutes(1))).await?;
        let (mut a, mut b) = (pool.begin().await?, pool.begin().await?);
        assert_eq!(take_due(&mut a, now).await?.unwrap().id, mine.id);
        assert!(take_due(&mut b, now).await?.is_none(), "somebody has it");
        let run = Uuid::now_v7();
        let next_at = now + TimeDelta::minutes(5);
        passed(&mut *a, mine.id, now, &Passed { next_at, run: Some(run), missed: 0, missed_since: None })
            .await?;
        a.commit().await?;
        assert!(take_due(&mut b, now).await?.is_none(), "it is not due any more");
        assert_eq!(get(&pool, mine.id).await?.unwrap().last_run_id, Some(run));
        assert!(pause(&pool, later.id, true, now).await?.unwrap().paused);
        assert!(take_due(&mut b, now + TimeDelta::hours(1)).await?.is_some_and(|s| s.id == mine.id));
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn missed_times_add_up_until_it_runs_again(pool: PgPool) -> Test {
        scripts::put(&pool, &[scripts::sample("hello")]).await?;
        let now = DateTime::from_timestamp(1_795_521_600, 0).unwrap();
        let id = add(&pool, &sample(now)).await?.id;
        let missed = |n, since| Passed { next_at: now, run: None, missed: n, missed_since: Some(since) };
        passed(&pool, id, now, &missed(2, now)).await?;
        passed(&pool, id, now, &missed(3, now + TimeDelta::hours(1))).await?;
        let schedule = get(&pool, id).await?.unwrap();
        assert_eq!((schedule.missed, schedule.missed_since, schedule.last_at), (5, Some(now), None));
        let ran = Passed { run: Some(Uuid::now_v7()), missed: 0, missed_since: None, next_at: now };
        passed(&pool, id, now, &ran).await?;
        let schedule = get(&pool, id).await?.unwrap();
        assert_eq!((schedule.missed, schedule.missed_since, schedule.last_at), (0, None, Some(now)));
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn schedules_go_with_their_script(pool: PgPool) -> Test {
        scripts::put(&pool, &[scripts::sample("hello")]).await?;
        let one = add(&pool, &sample(Utc::now())).await?;
        add(&pool, &NewSchedule { automatic: true, ..sample(Utc::now()) }).await?;
        assert!(has_any(&pool, "hello").await? && !has_any(&pool, "other").await?);
        assert!(remove_automatic(&pool, "hello").await? && !remove_automatic(&pool, "hello").await?);
        assert_eq!(list(&pool).await?.len(), 1);
        scripts::put(&pool, &[]).await?;
        assert!(list(&pool).await?.is_empty());
        assert!(!remove(&pool, one.id).await?);
        Ok(())
    }
}
