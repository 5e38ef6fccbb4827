//! Where things take place that are named by an id.

use sqlx::PgPool;
use uuid::Uuid;

use super::Result;

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
