-- Who belongs to the installation: its hosts, how they join, and the certificate authority.

CREATE TABLE hosts (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name VARCHAR(253) NOT NULL UNIQUE,
    address VARCHAR(260) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    joined_at TIMESTAMPTZ,
    certificate_serial TEXT,
    certificate_expires_at TIMESTAMPTZ
);

-- A token is good for one join of one host. Only the hash of its secret is kept.
CREATE TABLE join_tokens (
    secret_hash BYTEA PRIMARY KEY CHECK (length(secret_hash) = 32),
    host_id UUID NOT NULL REFERENCES hosts ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL CHECK (expires_at <= created_at + INTERVAL '1 hour'),
    used_at TIMESTAMPTZ
);

CREATE INDEX join_tokens_host ON join_tokens (host_id);

CREATE TABLE certificate_authority (
    kind TEXT PRIMARY KEY CHECK (kind IN ('root', 'agent', 'controller', 'operator', 'web')),
    certificate TEXT NOT NULL,
    key_sealed TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
