//! The schema. The owner of the tables brings it up to date; the controller runs as another role, which owns nothing and
//! can only append to the audit.

use sqlx::{
    ConnectOptions as _, Connection as _, PgPool,
    migrate::{MigrateError, Migrator},
};

use super::{Error, Result};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// The controller's role: the system user that its service runs as.
const ROLE: &str = "hms";

/// Brings the schema up to date and gives the controller's role its rights. Safe to call by several at once, and again
/// after it was cut off.
pub(crate) async fn migrate(pool: &PgPool) -> Result<()> {
    // A connection of its own: a migration, or waiting for another one's, may take its time.
    let options =
        (*pool.connect_options()).clone().options([("statement_timeout", "0"), ("lock_timeout", "0")]);
    let mut connection = options.connect().await?;
    let me: String = sqlx::query_scalar("SELECT current_user").fetch_one(&mut connection).await?;
    if me == ROLE {
        return Err(Error::OwnsTheAudit);
    }
    MIGRATIONS.run(&mut connection).await.map_err(|error| match error {
        MigrateError::Execute(cause) => Error::from(cause),
        other => Error::Migration(other),
    })?;
    let mut granting = connection.begin().await?;
    sqlx::raw_sql(include_str!("grants.sql")).execute(&mut *granting).await?;
    Ok(granting.commit().await?)
}

/// Says whether the schema is the one this program was made for, and the audit safe from it.
///
/// # Errors
/// `Outdated` when `migrate` has work to do.
pub(crate) async fn check(pool: &PgPool) -> Result<()> {
    // Rights come last: a table without them is one that is still being made.
    let granted = "SELECT coalesce(bool_and(has_table_privilege(oid, 'SELECT')), false)
        FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    if !sqlx::query_scalar(granted).fetch_one(pool).await? {
        return Err(Error::Outdated);
    }
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success")
            .fetch_all(pool)
            .await?;
    for (version, checksum) in &applied {
        match MIGRATIONS.iter().find(|known| known.version == *version) {
            None => return Err(Error::Migration(MigrateError::VersionMissing(*version))),
            Some(known) if *known.checksum != **checksum => {
                return Err(Error::Migration(MigrateError::VersionMismatch(*version)));
            }
            Some(_) => {}
        }
    }
    if applied.len() < MIGRATIONS.iter().count() {
        return Err(Error::Outdated);
    }
    let may = "SELECT has_table_privilege('audit', 'INSERT, UPDATE, DELETE, TRUNCATE')
        OR has_table_privilege('audit_head', 'INSERT, UPDATE, DELETE, TRUNCATE')";
    match sqlx::query_scalar(may).fetch_one(pool).await? {
        true => Err(Error::OwnsTheAudit),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Executor as _, PgConnection};

    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    /// A database as an administrator makes it.
    async fn with_role(pool: &PgPool) -> Result<()> {
        // Roles belong to the whole server, and other tests make this one too.
        let make = "DO $$ BEGIN CREATE ROLE hms; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
        pool.execute(make).await?;
        Ok(())
    }

    async fn as_the_controller(pool: &PgPool) -> Result<PgConnection> {
        let mut connection = pool.connect_options().connect().await?;
        connection.execute("SET SESSION AUTHORIZATION hms").await?;
        Ok(connection)
    }

    #[sqlx::test(migrations = false)]
    async fn migrating_twice_and_at_once_is_harmless(pool: PgPool) -> Test {
        with_role(&pool).await?;
        assert!(matches!(check(&pool).await, Err(Error::Outdated)), "an empty database");
        let (a, b) = tokio::join!(migrate(&pool), migrate(&pool));
        a?;
        b?;
        migrate(&pool).await?;
        assert!(super::super::hosts::list(&pool).await?.is_empty());
        Ok(())
    }

    #[sqlx::test(migrations = false)]
    async fn a_role_that_could_change_the_audit_is_not_served(pool: PgPool) -> Test {
        with_role(&pool).await?;
        migrate(&pool).await?;
        assert!(matches!(check(&pool).await, Err(Error::OwnsTheAudit)), "a superuser");
        Ok(())
    }

    #[sqlx::test(migrations = false)]
    async fn the_schema_of_another_version_is_told_apart(pool: PgPool) -> Test {
        with_role(&pool).await?;
        migrate(&pool).await?;
        let known = MIGRATIONS.iter().count();
        pool.execute("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1").await?;
        assert!(matches!(check(&pool).await, Err(Error::Migration(MigrateError::VersionMissing(9999)))));
        pool.execute("UPDATE _sqlx_migrations SET version = 1, checksum = 'x' WHERE version = 9999").await?;
        assert!(matches!(check(&pool).await, Err(Error::Migration(MigrateError::VersionMismatch(1)))));
        pool.execute("DELETE FROM _sqlx_migrations WHERE version = 1").await?;
        assert!(matches!(check(&pool).await, Err(Error::Outdated)), "one of {known} is missing");
        Ok(())
    }

    /// Security case 120.
    #[sqlx::test(migrations = false)]
    async fn the_controllers_role_can_neither_change_the_audit_nor_leave_its_tables(pool: PgPool) -> Test {
        with_role(&pool).await?;
        migrate(&pool).await?;
        let mut me = as_the_controller(&pool).await?;
        let append =
            "SELECT audit_append('intent', gen_random_uuid(), 'ada', NULL, 'rest', '', 'm', '', '', '{}',
            NULL, '', NULL, NULL, NULL, NULL, NULL)";
        let seq: Option<i64> = sqlx::query_scalar(append).fetch_one(&mut me).await?;
        assert_eq!(seq, Some(1), "it appends");
        let attempts = [
            "UPDATE audit SET actor = 'eve'",
            "DELETE FROM audit",
            "TRUNCATE audit",
            "INSERT INTO audit SELECT * FROM audit",
            "UPDATE audit_head SET seq = 0",
            "DELETE FROM audit_head",
            "MERGE INTO audit USING audit_head h ON audit.seq = h.seq WHEN MATCHED THEN DELETE",
            "WITH gone AS (DELETE FROM audit RETURNING 1) SELECT count(*) FROM gone",
            "SELECT * FROM audit FOR UPDATE",
            "ALTER TABLE audit DISABLE TRIGGER ALL",
            "ALTER TABLE audit OWNER TO hms",
            "DROP TRIGGER audit_append_only ON audit",
            "DROP TABLE audit CASCADE",
            "CREATE RULE r AS ON INSERT TO audit DO INSTEAD NOTHING",
            "CREATE TRIGGER t BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()",
            "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "ALTER FUNCTION audit_append SECURITY INVOKER",
            "SET session_replication_role = replica",
            "DELETE FROM _sqlx_migrations",
            "CREATE TABLE mine (a INT)",
            "CREATE TEMPORARY TABLE mine (a INT)",
            "CREATE SCHEMA mine",
            "CREATE FUNCTION mine() RETURNS INT LANGUAGE sql AS 'SELECT 1'",
            "ALTER TABLE users ADD COLUMN mine INT",
            "COPY users TO PROGRAM 'id'",
            "COPY users FROM '/etc/passwd'",
            "COPY users TO '/tmp/users'",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT lo_import('/etc/passwd')",
            "CREATE ROLE eve SUPERUSER",
            "ALTER ROLE hms SUPERUSER",
            "GRANT pg_execute_server_program TO hms",
            "ALTER SYSTEM SET archive_command = 'id'",
            "CREATE DATABASE mine",
            "LOAD '/tmp/mine.so'",
        ];
        for sql in attempts {
            let error = me.execute(sql).await.expect_err(sql);
            let code = error.as_database_error().and_then(|e| e.code().map(String::from));
            assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
        }
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM audit").fetch_one(&mut me).await?;
        assert_eq!(rows, 1);
        Ok(())
    }

    #[sqlx::test(migrations = false)]
    async fn the_controllers_role_works_with_every_other_table(pool: PgPool) -> Test {
        with_role(&pool).await?;
        migrate(&pool).await?;
        let lacking =
            "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
            AND relname NOT IN ('audit', 'audit_head', '_sqlx_migrations')
            AND NOT (has_table_privilege('hms', oid, 'SELECT') AND has_table_privilege('hms', oid, 'INSERT')
                AND has_table_privilege('hms', oid, 'UPDATE') AND has_table_privilege('hms', oid, 'DELETE'))";
        let lacking: Vec<String> = sqlx::query_scalar(lacking).fetch_all(&pool).await?;
        assert!(lacking.is_empty(), "{lacking:?}");
        Ok(())
    }
}
