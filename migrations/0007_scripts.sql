-- The catalogue of scripts. `manifest` is the contract's Script in its JSON form; it holds the hash that pins the content.

CREATE TABLE scripts (
    name VARCHAR(64) PRIMARY KEY,
    manifest JSONB NOT NULL,
    content BYTEA NOT NULL,
    synced_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    synced_by TEXT NOT NULL
);

-- Null: nobody has synced scripts yet, and hosts keep what they have.
ALTER TABLE hms_config ADD COLUMN scripts_synced_at TIMESTAMPTZ;
