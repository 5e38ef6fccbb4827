-- People, and the proofs that they logged in. Tokens are kept as SHA-256 only.

CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    username VARCHAR(64) NOT NULL UNIQUE CHECK (username ~ '^[a-z][a-z0-9._-]*$'),
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    password_hash TEXT NOT NULL,
    password_changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    disabled_at TIMESTAMPTZ
);

CREATE TABLE sessions (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('web', 'rest', 'cli')),
    -- Of the cookie's token; the browser's sessions only.
    token_hash BYTEA UNIQUE CHECK (length(token_hash) = 32),
    -- Of the operator certificate, lower-case hex; terminals' sessions only.
    certificate_serial TEXT UNIQUE,
    created_at TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    address TEXT NOT NULL DEFAULT '',
    user_agent TEXT NOT NULL DEFAULT '',
    revoked_at TIMESTAMPTZ,
    CHECK ((kind = 'web') = (token_hash IS NOT NULL)),
    CHECK ((kind = 'cli') = (certificate_serial IS NOT NULL))
);

CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- The tokens of one session are a family: each is used once and has one successor.
CREATE TABLE refresh_tokens (
    token_hash BYTEA PRIMARY KEY CHECK (length(token_hash) = 32),
    session_id UUID NOT NULL REFERENCES sessions ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ,
    -- The client that used it: only the same one may ask again, for a moment.
    used_by TEXT,
    successor_hash BYTEA UNIQUE,
    CHECK ((used_at IS NULL) = (successor_hash IS NULL))
);

CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
