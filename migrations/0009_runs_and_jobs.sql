-- Runs: one script on some hosts. Each host's part is a job, whose output is kept in pieces.

CREATE TABLE runs (
    id UUID PRIMARY KEY,
    script VARCHAR(64) NOT NULL,
    script_sha256 TEXT NOT NULL,
    parameters JSONB NOT NULL,
    json BOOLEAN NOT NULL,
    mutates BOOLEAN NOT NULL,
    -- Whether exit statuses 1 and 2 mean that it found something.
    is_check BOOLEAN NOT NULL,
    -- Whether what it finds belongs on the dashboard.
    reports BOOLEAN NOT NULL,
    timeout_s INTEGER NOT NULL,
    batch INTEGER NOT NULL CHECK (batch > 0),
    max_failures INTEGER NOT NULL,
    target JSONB NOT NULL,
    actor TEXT NOT NULL,
    user_id UUID NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('web', 'rest', 'cli', 'schedule')),
    schedule_id UUID,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    ended_at TIMESTAMPTZ,
    canceled_at TIMESTAMPTZ
);

CREATE INDEX runs_newest ON runs (created_at DESC, id DESC);
CREATE INDEX runs_script ON runs (script, created_at DESC);
CREATE INDEX runs_schedule ON runs (schedule_id, created_at DESC) WHERE schedule_id IS NOT NULL;
CREATE INDEX runs_open ON runs (id) WHERE ended_at IS NULL;

CREATE TABLE jobs (
    id UUID PRIMARY KEY,
    run_id UUID NOT NULL REFERENCES runs ON DELETE CASCADE,
    host VARCHAR(253) NOT NULL,
    -- A host that gets the same name later is another one.
    host_id UUID NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'unknown', 'succeeded', 'failed',
        'canceled', 'timed_out', 'lost', 'skipped')),
    -- How many times it was sent to its host. Written before it is sent: 0 means that the host never heard of it.
    attempts INTEGER NOT NULL DEFAULT 0,
    -- When the host said that it has it.
    accepted_at TIMESTAMPTZ,
    started_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    exit_status INTEGER NOT NULL DEFAULT 0,
    killed_by_signal BOOLEAN NOT NULL DEFAULT false,
    result TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    -- How much of the output is kept here, without a gap.
    output_bytes BIGINT NOT NULL DEFAULT 0,
    output_truncated BOOLEAN NOT NULL DEFAULT false,
    -- Set when the pieces were removed to make room.
    output_removed_at TIMESTAMPTZ,
    peak_memory_bytes BIGINT NOT NULL DEFAULT 0,
    peak_memory_source TEXT NOT NULL DEFAULT '',
    cpu_usec BIGINT NOT NULL DEFAULT 0,
    -- Who wants it to end, while it does not have.
    cancel_user_id UUID,
    cancel_source TEXT,
    UNIQUE (run_id, host_id),
    CHECK ((state IN ('queued', 'running', 'unknown')) = (ended_at IS NULL))
);

CREATE INDEX jobs_host ON jobs (host, run_id);
CREATE INDEX jobs_open ON jobs (run_id) WHERE ended_at IS NULL;

CREATE TABLE job_output (
    job_id UUID NOT NULL REFERENCES jobs ON DELETE CASCADE,
    -- Where the piece begins.
    start BIGINT NOT NULL,
    data BYTEA NOT NULL CHECK (length(data) BETWEEN 1 AND 65536),
    PRIMARY KEY (job_id, start)
);

-- Tells controllers what changed: `RUN`, `RUN JOB`, or `RUN JOB output` where only output was added.
CREATE FUNCTION tell_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'runs' THEN
        PERFORM pg_notify('hms_jobs', NEW.id::text);
    ELSIF NEW.state = OLD.state AND NEW.output_bytes <> OLD.output_bytes THEN
        PERFORM pg_notify('hms_jobs', NEW.run_id || ' ' || NEW.id || ' output');
    ELSE
        PERFORM pg_notify('hms_jobs', NEW.run_id || ' ' || NEW.id);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER runs_tell AFTER INSERT OR UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION tell_jobs();
CREATE TRIGGER jobs_tell AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION tell_jobs();
