-- What the controller's role may do. Run by the owner of the tables after every migration: tables that are new get the
-- same rights as the others, and the audit stays what can be read and appended to only.

-- Two that grant at once would disturb one another.
SELECT pg_advisory_xact_lock(hashtext('hms grants'));

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO hms', current_database());
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC, hms;
GRANT USAGE ON SCHEMA public TO hms;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO hms;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hms;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON audit, audit_head, _sqlx_migrations FROM hms;
GRANT EXECUTE ON FUNCTION audit_append TO hms;
