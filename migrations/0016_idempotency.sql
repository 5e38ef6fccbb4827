-- Requests that a client may send again: the second one gets the answer of the first, and has no effect of its own.

CREATE TABLE idempotency_keys (
    -- The session or the API token that the key belongs to.
    owner UUID NOT NULL,
    key TEXT NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    -- SHA-256 of the request.
    fingerprint BYTEA NOT NULL CHECK (length(fingerprint) = 32),
    request_id UUID NOT NULL,
    -- The process that acts on it. An answer that is missing and of which another process knows nothing never comes.
    instance UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    -- Sealed, as it may hold a secret. NULL: none yet. Empty: it was too large to be kept.
    answer TEXT,
    PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
