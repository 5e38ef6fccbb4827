//! The certificate authority at rest: certificates in the open, keys sealed.

use sqlx::{FromRow, PgConnection, PgPool};

use super::Result;

/// A root or an issuer.
#[derive(Clone, FromRow)]
pub(crate) struct Row {
    /// root, agent, controller, operator or web.
    pub(crate) kind: String,
    /// PEM.
    pub(crate) certificate: String,
    pub(crate) key_sealed: String,
}

/// Has everybody else who wants to create the authority wait until this transaction ends.
pub(crate) async fn lock(tx: &mut PgConnection) -> Result<()> {
    // Any number that nothing else uses; here "hms-ca" in ASCII.
    sqlx::query("SELECT pg_advisory_xact_lock(114849022223201)").execute(tx).await?;
    Ok(())
}

/// All of them.
pub(crate) async fn list(tx: &mut PgConnection) -> Result<Vec<Row>> {
    Ok(sqlx::query_as("SELECT kind, certificate, key_sealed FROM certificate_authority")
        .fetch_all(tx)
        .await?)
}

/// Keeps one.
pub(crate) async fn add(tx: &mut PgConnection, row: &Row) -> Result<()> {
    sqlx::query("INSERT INTO certificate_authority (kind, certificate, key_sealed) VALUES ($1, $2, $3)")
        .bind(&row.kind)
        .bind(&row.certificate)
        .bind(&row.key_sealed)
        .execute(tx)
        .await?;
    Ok(())
}

/// The root certificate, PEM. None before the controller's first start, when there may be no table either.
pub(crate) async fn root(pool: &PgPool) -> Result<Option<String>> {
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass('certificate_authority') IS NOT NULL").fetch_one(pool).await?;
    if !there {
        return Ok(None);
    }
    let sql = "SELECT certificate FROM certificate_authority WHERE kind = 'root'";
    Ok(sqlx::query_scalar(sql).fetch_optional(pool).await?)
}
