-- Who did what. Rows are only ever added: an intent before the act, and its outcome afterwards.

CREATE TABLE audit (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    request_id UUID NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('intent', 'outcome')),
    actor TEXT NOT NULL DEFAULT '',
    user_id UUID,
    source TEXT NOT NULL DEFAULT '',
    address TEXT NOT NULL DEFAULT '',
    method TEXT NOT NULL DEFAULT '',
    host TEXT NOT NULL DEFAULT '',
    target TEXT NOT NULL DEFAULT '',
    params JSONB NOT NULL DEFAULT '{}',
    outcome TEXT CHECK (outcome IN ('ok', 'failed', 'denied', 'unreachable', 'unknown')),
    detail TEXT NOT NULL DEFAULT '',
    took_ms BIGINT,
    -- Exactly one intent and at most one outcome for each request.
    UNIQUE (request_id, phase),
    CHECK ((phase = 'outcome') = (outcome IS NOT NULL))
);

-- The owner of the table is the controller's own role, which a REVOKE does not bind: a trigger does.
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit records are never changed or removed' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();

REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM PUBLIC;
