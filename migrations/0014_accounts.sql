-- Accounts: what somebody may act on, a second factor, invitations, and tokens for machines.

ALTER TABLE users
    -- Nothing until the invitation was used, or after a reset.
    ALTER COLUMN password_hash DROP NOT NULL,
    ADD COLUMN scope_all BOOLEAN NOT NULL DEFAULT true,
    ADD COLUMN scope_hosts TEXT[] NOT NULL DEFAULT '{}',
    ADD COLUMN scope_apps TEXT[] NOT NULL DEFAULT '{}',
    -- Sealed. Counts from `totp_since` on; before, it only waits for its first code.
    ADD COLUMN totp_secret TEXT,
    ADD COLUMN totp_since TIMESTAMPTZ,
    -- The time step of the last code that was taken: each is good once (RFC 6238, 5.2).
    ADD COLUMN totp_step BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN last_seen_at TIMESTAMPTZ,
    ADD CHECK (NOT scope_all OR (scope_hosts = '{}' AND scope_apps = '{}')),
    ADD CHECK (totp_since IS NULL OR totp_secret IS NOT NULL);

CREATE TABLE recovery_codes (
    user_id UUID NOT NULL REFERENCES users ON DELETE CASCADE,
    code_hash BYTEA NOT NULL CHECK (length(code_hash) = 32),
    PRIMARY KEY (user_id, code_hash)
);

-- At most one for each account: a new one replaces the one before.
CREATE TABLE invitations (
    user_id UUID PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    code_hash BYTEA NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

-- The password was right, and the second factor is still to come.
CREATE TABLE login_steps (
    token_hash BYTEA PRIMARY KEY CHECK (length(token_hash) = 32),
    user_id UUID NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at TIMESTAMPTZ NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0
);

-- When it was last proved who it is: at the login, and again where that is asked for.
ALTER TABLE sessions ADD COLUMN confirmed_at TIMESTAMPTZ;
UPDATE sessions SET confirmed_at = created_at;
ALTER TABLE sessions ALTER COLUMN confirmed_at SET NOT NULL;

-- Certificates of people that were revoked before their end: told to every host. Kept when the account is removed.
CREATE TABLE revoked_certificates (
    serial TEXT PRIMARY KEY,
    ends_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE FUNCTION keep_revoked_certificate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO revoked_certificates (serial, ends_at) VALUES (OLD.certificate_serial, OLD.expires_at)
        ON CONFLICT DO NOTHING;
    PERFORM pg_notify('hms_revoked', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER sessions_revoked AFTER UPDATE OF revoked_at ON sessions FOR EACH ROW
    WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL AND NEW.certificate_serial IS NOT NULL)
    EXECUTE FUNCTION keep_revoked_certificate();
CREATE TRIGGER sessions_removed AFTER DELETE ON sessions FOR EACH ROW
    WHEN (OLD.revoked_at IS NULL AND OLD.certificate_serial IS NOT NULL)
    EXECUTE FUNCTION keep_revoked_certificate();

CREATE TABLE api_tokens (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users ON DELETE CASCADE,
    name VARCHAR(100) NOT NULL CHECK (name <> ''),
    token_hash BYTEA NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    begins TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    scope_all BOOLEAN NOT NULL,
    scope_hosts TEXT[] NOT NULL,
    scope_apps TEXT[] NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ,
    last_address TEXT NOT NULL DEFAULT '',
    revoked_at TIMESTAMPTZ,
    CHECK (NOT scope_all OR (scope_hosts = '{}' AND scope_apps = '{}'))
);

CREATE INDEX api_tokens_user ON api_tokens (user_id);
