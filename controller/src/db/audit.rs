//! The record of what was done. Rows are only ever added.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use hms_proto::controller::v1::{AuditRecord, ListAuditRequest};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

use super::{
    Error, Result,
    reach::{bounds, within},
};
use crate::{
    audit::Changed,
    auth::{Scope, Source},
};

/// Longer parameters are cut: a record is for reading.
const PARAMS_MAX: usize = 16 * 1024;
const TEXT_MAX: usize = 2 * 1024;
/// A text longer than this is left out of parameters that are too long.
const LONG: usize = 500;

/// What is about to be done.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    /// Of the one call that this is about.
    pub(crate) request_id: Uuid,
    /// Name of the user, or of what acts by itself.
    pub(crate) actor: String,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) source: Source,
    pub(crate) address: Option<IpAddr>,
    /// `/package.Service/Method`.
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) target: String,
    /// The request, secrets blanked.
    pub(crate) params: Value,
}

/// Appends a row to the chain: the only way there is.
const APPEND: &str =
    "SELECT audit_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

/// Records an intent. What it speaks of must not be done unless this succeeded.
pub(crate) async fn intent(db: impl PgExecutor<'_>, intent: &Intent) -> Result<i64> {
    let seq: Option<i64> = sqlx::query_scalar(APPEND)
        .bind("intent")
        .bind(intent.request_id)
        .bind(text(&intent.actor))
        .bind(intent.user_id)
        .bind(intent.source.word())
        .bind(intent.address.map(|a| a.to_canonical().to_string()).unwrap_or_default())
        .bind(text(&intent.method))
        .bind(text(&intent.host))
        .bind(text(&intent.target))
        .bind(params(&intent.params))
        .bind(None::<&str>)
        .bind("")
        .bind(None::<i64>)
        .bind(None::<Value>)
        .bind(None::<Value>)
        .bind(None::<&str>)
        .bind(None::<&str>)
        .fetch_one(db)
        .await?;
    // The function has no number for an outcome that is there already; an intent fails instead.
    seq.ok_or(Error::Conflict)
}

/// Records how it ended. Only the first outcome of a call counts.
pub(crate) async fn outcome(
    pool: &PgPool,
    request_id: Uuid,
    outcome: &str,
    detail: &str,
    took_ms: u32,
) -> Result<()> {
    outcome_with(pool, request_id, outcome, detail, took_ms, None).await
}

/// The same, with what it changed.
pub(crate) async fn outcome_with(
    db: impl PgExecutor<'_>,
    request_id: Uuid,
    outcome: &str,
    detail: &str,
    took_ms: u32,
    changed: Option<&Changed>,
) -> Result<()> {
    let before = changed.map(|changed| &changed.before);
    let after = changed.map(|changed| &changed.after);
    sqlx::query(APPEND)
        .bind("outcome")
        .bind(request_id)
        .bind("")
        .bind(None::<Uuid>)
        .bind("")
        .bind("")
        .bind("")
        .bind("")
        .bind("")
        .bind(Value::Object(Default::default()))
        .bind(outcome)
        .bind(text(detail))
        .bind(i64::from(took_ms))
        .bind(before.map(params))
        .bind(after.map(params))
        .bind(before.map(hash_of))
        .bind(after.map(hash_of))
        .execute(db)
        .await?;
    Ok(())
}

/// Of the whole value: what is stored of it may be cut.
fn hash_of(value: &Value) -> String {
    hex::encode(Sha256::digest(value.to_string()))
}

/// Gives every intent without an outcome the outcome "unknown": at start, when nobody is left who could know it.
pub(crate) async fn close_unfinished(pool: &PgPool) -> Result<u64> {
    let sql = "SELECT count(audit_append('outcome', request_id, '', NULL, '', '', '', '', '', '{}',
            'unknown', 'the controller stopped before the outcome was known', NULL, NULL, NULL, NULL, NULL))
        FROM (
            SELECT i.request_id FROM audit i
            WHERE i.phase = 'intent'
                AND NOT EXISTS (SELECT FROM audit o WHERE o.request_id = i.request_id AND o.phase = 'outcome')
            ORDER BY i.seq
        ) AS unfinished";
    let closed: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
    Ok(closed.unsigned_abs())
}

/// The records that fit, newest first.
#[cfg(test)]
pub(crate) async fn list(pool: &PgPool, filter: &ListAuditRequest) -> Result<Vec<AuditRecord>> {
    list_for(pool, filter, Uuid::nil(), &Scope::everything()).await
}

/// The records that fit and are about something within a scope, or about what this user did, newest first.
pub(crate) async fn list_for(
    pool: &PgPool,
    filter: &ListAuditRequest,
    user: Uuid,
    scope: &Scope,
) -> Result<Vec<AuditRecord>> {
    let limit = if filter.limit == 0 { 50 } else { filter.limit.min(500) };
    // The app that a call was about: what a host does to a unit is about the app there that the unit is of.
    let bounded = within("$9", "coalesce(nullif(i.host, ''), a.deployed_server)", "a.app_key");
    let sql = format!(
        "SELECT i.seq, i.time, i.actor, i.source, i.address, i.method, i.host, i.target, i.params,
            i.request_id, coalesce(o.outcome, 'running') AS outcome, coalesce(o.detail, '') AS detail,
            coalesce(o.took_ms, 0) AS took_ms, o.before, o.after
        FROM audit i LEFT JOIN audit o ON o.request_id = i.request_id AND o.phase = 'outcome'
        WHERE i.phase = 'intent'
            AND ($1 = '' OR i.actor = $1)
            AND ($2 = '' OR i.host = $2)
            AND ($3 = '' OR position($3 IN i.method) > 0)
            AND ($4 = '' OR coalesce(o.outcome, 'running') = $4)
            AND ($5 <= 0 OR i.seq < $5)
            AND ($6 <= 0 OR i.time >= to_timestamp($6::float8 / 1e6))
            AND ($7 <= 0 OR i.time <= to_timestamp($7::float8 / 1e6))
            AND ($9::jsonb = '[]' OR i.user_id = $10 OR EXISTS (SELECT FROM (SELECT 1) one LEFT JOIN apps a
                ON i.method ~ '[.](App|Deployment|Secret|Unit)Service/'
                    AND i.target IN (a.app_key, 'puma-' || a.app_key || '.service')
                    AND (i.host = '' OR i.host = a.deployed_server)
                WHERE {bounded}))
            AND ($11 = '' OR i.source = $11)
            AND ($12 = '' OR position(lower($12) IN lower(concat_ws(' ', i.target, i.params::text, i.address,
                i.request_id, o.detail))) > 0)
        ORDER BY i.seq DESC LIMIT $8"
    );
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(text(&filter.actor))
        .bind(text(&filter.host))
        .bind(text(&filter.method))
        .bind(text(&filter.outcome))
        .bind(filter.before_seq)
        .bind(filter.since_usec)
        .bind(filter.until_usec)
        .bind(i64::from(limit))
        .bind(bounds(scope))
        .bind(user)
        .bind(text(&filter.source))
        .bind(text(&filter.text))
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(AuditRecord::from).collect())
}

/// The newest records.
#[cfg(test)]
pub(crate) async fn recent(pool: &PgPool, limit: u32) -> Result<Vec<AuditRecord>> {
    list(pool, &ListAuditRequest { limit, ..ListAuditRequest::default() }).await
}

/// From now on no row can be added, because of this SQLSTATE; without one, rows can be added again.
#[cfg(test)]
pub(crate) async fn refuse(pool: &PgPool, code: &str) -> Result<()> {
    let raise = format!(
        "CREATE OR REPLACE FUNCTION refuse_audit() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the audit takes no row' USING ERRCODE = '{code}'; END $$;
        CREATE OR REPLACE TRIGGER refuse_audit BEFORE INSERT ON audit
            FOR EACH ROW EXECUTE FUNCTION refuse_audit()"
    );
    let sql = if code.is_empty() { "DROP TRIGGER refuse_audit ON audit".into() } else { raise };
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await?;
    Ok(())
}

#[derive(FromRow)]
struct Row {
    seq: i64,
    time: DateTime<Utc>,
    actor: String,
    source: String,
    address: String,
    method: String,
    host: String,
    target: String,
    params: Value,
    request_id: Uuid,
    outcome: String,
    detail: String,
    took_ms: i64,
    before: Option<Value>,
    after: Option<Value>,
}

impl From<Row> for AuditRecord {
    fn from(row: Row) -> Self {
        Self {
            seq: row.seq,
            time_usec: row.time.timestamp_micros(),
            actor: row.actor,
            source: row.source,
            address: row.address,
            method: row.method,
            host: row.host,
            target: row.target,
            params: row.params.to_string(),
            request_id: row.request_id.to_string(),
            outcome: row.outcome,
            detail: row.detail,
            took_ms: u32::try_from(row.took_ms).unwrap_or(u32::MAX),
            before: row.before.map(|value| value.to_string()).unwrap_or_default(),
            after: row.after.map(|value| value.to_string()).unwrap_or_default(),
        }
    }
}

/// PostgreSQL has no NUL in text. It must not be a way to have an act not recorded.
pub(super) fn text(value: &str) -> String {
    let end = value.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= TEXT_MAX).last();
    value[..end.unwrap_or(0)].replace('\0', "\u{fffd}")
}

fn params(value: &Value) -> Value {
    let clean = without_nul(value);
    let length = clean.to_string().len();
    if length <= PARAMS_MAX {
        return clean;
    }
    // The names of many or large things say more than nothing at all.
    match without_long(&clean) {
        short if short.to_string().len() <= PARAMS_MAX => short,
        _ => serde_json::json!({ "left_out": format!("{length} bytes of parameters") }),
    }
}

fn without_long(value: &Value) -> Value {
    match value {
        Value::String(s) if s.len() > LONG => format!("[{} bytes]", s.len()).into(),
        Value::Array(items) => items.iter().map(without_long).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), without_long(v))).collect(),
        other => other.clone(),
    }
}

fn without_nul(value: &Value) -> Value {
    match value {
        Value::String(s) => s.replace('\0', "\u{fffd}").into(),
        Value::Array(items) => items.iter().map(without_nul).collect(),
        Value::Object(map) => {
            map.iter().map(|(k, v)| (k.replace('\0', "\u{fffd}"), without_nul(v))).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    fn restart(actor: &str) -> Intent {
        Intent {
            request_id: Uuid::now_v7(),
            actor: actor.into(),
            user_id: None,
            source: Source::Cli,
            address: None,
            method: "/hms.host.v1.UnitService/Restart".into(),
            host: "asterra".into(),
            target: "puma-cigar.service".into(),
            params: json!({ "unit": "puma-cigar.service" }),
        }
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn intent_and_outcome_are_one_record(pool: PgPool) -> Test {
        let call = restart("ada");
        let seq = intent(&pool, &call).await?;
        let running = recent(&pool, 10).await?;
        assert_eq!((running[0].seq, running[0].outcome.as_str()), (seq, "running"));
        outcome(&pool, call.request_id, "failed", "exit status 1", 12).await?;
        outcome(&pool, call.request_id, "ok", "", 1).await?;
        let records = recent(&pool, 10).await?;
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].outcome.as_str(), records[0].took_ms), ("failed", 12));
        assert_eq!(records[0].detail, "exit status 1");
        assert!(intent(&pool, &call).await.is_err(), "one intent for each call");
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn records_cannot_be_changed_or_removed(pool: PgPool) -> Test {
        intent(&pool, &restart("ada")).await?;
        for sql in ["UPDATE audit SET actor = 'eve'", "DELETE FROM audit", "TRUNCATE audit"] {
            assert!(sqlx::query(sql).execute(&pool).await.is_err(), "{sql}");
        }
        assert_eq!(recent(&pool, 10).await?[0].actor, "ada");
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn what_was_running_at_a_crash_becomes_unknown(pool: PgPool) -> Test {
        let (done, lost) = (restart("ada"), restart("bob"));
        intent(&pool, &done).await?;
        outcome(&pool, done.request_id, "ok", "", 1).await?;
        intent(&pool, &lost).await?;
        assert_eq!(close_unfinished(&pool).await?, 1);
        assert_eq!(close_unfinished(&pool).await?, 0);
        let outcomes: Vec<_> = recent(&pool, 10).await?.into_iter().map(|r| (r.actor, r.outcome)).collect();
        assert_eq!(outcomes, [("bob".into(), "unknown".into()), ("ada".into(), "ok".into())]);
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn the_list_is_filtered_and_paged(pool: PgPool) -> Test {
        for actor in ["ada", "bob", "ada", "bob", "ada"] {
            intent(&pool, &restart(actor)).await?;
        }
        let by = |actor: &str| ListAuditRequest { actor: actor.into(), ..Default::default() };
        assert_eq!(list(&pool, &by("ada")).await?.len(), 3);
        assert_eq!(list(&pool, &by("' OR true --")).await?.len(), 0);
        let method = ListAuditRequest { method: "%".into(), ..Default::default() };
        assert!(list(&pool, &method).await?.is_empty(), "a text, not a pattern");
        let now = Utc::now().timestamp_micros();
        let since = ListAuditRequest { since_usec: now + 1_000_000, ..Default::default() };
        assert!(list(&pool, &since).await?.is_empty());
        let until = ListAuditRequest { since_usec: 1, until_usec: now + 1_000_000, ..Default::default() };
        assert_eq!(list(&pool, &until).await?.len(), 5);
        let first = list(&pool, &ListAuditRequest { limit: 2, ..Default::default() }).await?;
        let before_seq = first.last().unwrap().seq;
        let rest = list(&pool, &ListAuditRequest { before_seq, ..Default::default() }).await?;
        assert_eq!((first.len(), rest.len()), (2, 3));
        assert!(rest.iter().all(|r| r.seq < before_seq));
        Ok(())
    }

    /// Security cases 26 and 110.
    #[sqlx::test(migrations = "../migrations")]
    async fn hostile_text_stays_one_record_and_is_always_recorded(pool: PgPool) -> Test {
        let mut call = restart("x\n{\"actor\":\"root\"}\0\u{1b}[2J");
        call.params = json!({ "a\0": "b\0", "html": "<script>", "big": "x".repeat(9) });
        call.target = "é".repeat(100_000);
        intent(&pool, &call).await?;
        let mut big = restart("ada");
        big.params = json!({ "big": "x".repeat(1_000_000) });
        intent(&pool, &big).await?;
        let records = recent(&pool, 10).await?;
        assert_eq!(records.len(), 2);
        assert!(records[0].params.len() < 100);
        assert!(records[1].target.len() <= TEXT_MAX);
        let params: Value = serde_json::from_str(&records[1].params)?;
        assert_eq!(params["html"], "<script>");
        Ok(())
    }
}
