-- Scripts that run by themselves. The next time is kept, so that a time that passed while nobody looked is noticed.

CREATE TABLE schedules (
    id UUID PRIMARY KEY,
    script VARCHAR(64) NOT NULL REFERENCES scripts ON DELETE CASCADE,
    target JSONB NOT NULL,
    parameters JSONB NOT NULL,
    -- Five fields of cron, in UTC.
    cron TEXT NOT NULL,
    batch INTEGER NOT NULL CHECK (batch > 0),
    paused BOOLEAN NOT NULL DEFAULT false,
    -- Made when a check with `every` was synced.
    automatic BOOLEAN NOT NULL,
    created_by TEXT NOT NULL,
    user_id UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    next_at TIMESTAMPTZ NOT NULL,
    last_at TIMESTAMPTZ,
    last_run_id UUID,
    missed INTEGER NOT NULL DEFAULT 0,
    missed_since TIMESTAMPTZ
);

CREATE INDEX schedules_due ON schedules (next_at) WHERE NOT paused;
CREATE INDEX schedules_script ON schedules (script);
