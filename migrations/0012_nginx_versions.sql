-- Every version of every nginx file of every host. Rows are only ever added; a removed host takes its versions along.

CREATE TABLE nginx_versions (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host_id UUID NOT NULL REFERENCES hosts ON DELETE CASCADE,
    path TEXT NOT NULL CHECK (length(path) BETWEEN 1 AND 1024),
    time TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    event TEXT NOT NULL CHECK (event IN ('first-seen', 'applied', 'reverted', 'rolled-back', 'outside', 'adopted',
        'deleted', 'enabled', 'disabled')),
    -- Lower-case hex; empty: there is no such file from here on.
    sha256 TEXT NOT NULL CHECK (length(sha256) <= 64),
    -- None: the file is gone, or could not be read.
    content BYTEA CHECK (length(content) <= 1048576),
    enabled BOOLEAN NOT NULL,
    author TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    -- Of the call in the audit; empty where no call of HMS made it.
    request_id TEXT NOT NULL DEFAULT '',
    -- Of the agent's apply; empty where none made it.
    apply_id TEXT NOT NULL DEFAULT ''
);

CREATE INDEX nginx_versions_of_file ON nginx_versions (host_id, path, id DESC);
CREATE INDEX nginx_versions_of_apply ON nginx_versions (host_id, apply_id) WHERE apply_id <> '';
CREATE INDEX nginx_versions_content ON nginx_versions (sha256);

-- What HMS last applied or took over: what the host has is measured against it.
CREATE TABLE nginx_known (
    host_id UUID NOT NULL REFERENCES hosts ON DELETE CASCADE,
    path TEXT NOT NULL,
    version_id BIGINT NOT NULL REFERENCES nginx_versions ON DELETE CASCADE,
    PRIMARY KEY (host_id, path)
);
