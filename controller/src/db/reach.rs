//! Where things take place that are named by an id, and what of a list is within a scope.

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::Result;
use crate::auth::{Limit, Scope};

/// The limits of a scope as a parameter of a query: all that is within it is within each of them.
pub(crate) fn bounds(scope: &Scope) -> Value {
    let bound = |limit: &Limit| {
        let (_, hosts, apps) = limit.to_row();
        json!({ "hosts": hosts, "apps": apps })
    };
    match scope.limits() {
        // Without a limit there is nothing, and not everything.
        [] => json!([{ "hosts": [], "apps": [] }]),
        limits => limits.iter().filter(|limit| **limit != Limit::Everything).map(bound).collect(),
    }
}

/// A condition for what is on `host`, and of `app`, which are expressions: that it is within the bounds of a parameter.
pub(super) fn within(bounds: &str, host: &str, app: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM jsonb_array_elements({bounds}::jsonb) AS l (bound)
            WHERE NOT (bound->'hosts' ? coalesce({host}, '') OR bound->'apps' ? coalesce({app}, '')))"
    )
}

/// Host and app of each job of a run, or of one job. The app is empty where it works on none.
pub(crate) async fn places_of_work(pool: &PgPool, id: Uuid) -> Result<Vec<(String, String)>> {
    let sql = "SELECT j.host, coalesce(d.app_key, '') FROM jobs j LEFT JOIN deployments d ON d.id = j.id
        WHERE j.id = $1 OR j.run_id = $1";
    Ok(sqlx::query_as(sql).bind(id).fetch_all(pool).await?)
}

/// The hosts that a schedule names. None where it means all, or those with a label.
pub(crate) async fn hosts_of_schedule(pool: &PgPool, id: Uuid) -> Result<Vec<String>> {
    let sql = "SELECT jsonb_array_elements_text(target->'hosts') FROM schedules
        WHERE id = $1 AND NOT coalesce((target->>'all')::boolean, false) AND coalesce(target->>'label', '') = ''";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_all(pool).await?)
}

/// The host of a version of a file of nginx.
pub(crate) async fn host_of_version(pool: &PgPool, id: i64) -> Result<Option<String>> {
    let sql = "SELECT h.name FROM nginx_versions v JOIN hosts h ON h.id = v.host_id WHERE v.id = $1";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_optional(pool).await?)
}

/// Of all that there is but the audit, for tests that nothing changed.
#[cfg(test)]
pub(crate) async fn fingerprint(pool: &PgPool) -> Result<String> {
    fingerprint_but(pool, &[]).await
}

/// The same, but for these tables.
#[cfg(test)]
pub(crate) async fn fingerprint_but(pool: &PgPool, tables: &[&str]) -> Result<String> {
    let sql = "SELECT md5(string_agg(query_to_xml('SELECT * FROM ' || quote_ident(tablename) || ' t ORDER BY t::text',
            true, false, '')::text, '' ORDER BY tablename))
        FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'audit%' AND tablename <> ALL($1)";
    Ok(sqlx::query_scalar(sql).bind(tables).fetch_one(pool).await?)
}
