-- Up to which row the controller has verified the chain of the audit: a start goes on from there.
CREATE TABLE audit_verified (
    one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL
);
