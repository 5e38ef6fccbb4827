-- What checks found on the hosts when they last ran there.

CREATE TABLE warnings (
    host_id UUID NOT NULL REFERENCES hosts ON DELETE CASCADE,
    script VARCHAR(64) NOT NULL REFERENCES scripts ON DELETE CASCADE,
    subject TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('warning', 'critical')),
    message TEXT NOT NULL,
    run_id UUID NOT NULL,
    job_id UUID NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    seen TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (host_id, script, subject)
);
