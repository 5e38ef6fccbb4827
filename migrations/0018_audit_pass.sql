-- How far the slow pass over the whole chain of the audit has come: one that was interrupted goes on from there.
CREATE TABLE audit_pass (
    one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    -- The last row that was verified; 0: none yet.
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    -- NULL: it is under way.
    ended_at TIMESTAMPTZ
);
