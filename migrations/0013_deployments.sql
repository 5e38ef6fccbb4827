-- Apps as data: the rest of their settings, their secrets with versions, and all work on them.

-- What the plan's columns do not say of an app, as the contract's AppSpec. Null: the row was added by hand.
ALTER TABLE apps ADD COLUMN settings JSONB;
-- The latest version of its secrets. 0: they are only in the plan's columns so far.
ALTER TABLE apps ADD COLUMN secrets_version INTEGER NOT NULL DEFAULT 0;
-- A sealed text is longer than what it holds.
ALTER TABLE apps ALTER COLUMN api_token TYPE TEXT;

-- `updated_at` is the version of the settings, also when somebody edits the row by hand. Secrets have their own.
CREATE FUNCTION apps_edited() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    aside CONSTANT TEXT[] := array['updated_at', 'secrets_version', 'database_password', 'secret_key_base',
        'api_token', 'json_api_url', 'openrouter_api_key'];
BEGIN
    IF to_jsonb(NEW) - aside IS DISTINCT FROM to_jsonb(OLD) - aside THEN
        NEW.updated_at := greatest(clock_timestamp() AT TIME ZONE 'UTC', OLD.updated_at + INTERVAL '1 microsecond');
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER apps_edit BEFORE UPDATE ON apps FOR EACH ROW EXECUTE FUNCTION apps_edited();

-- Each change makes the next version of an app's whole set. What a version does not name is as in the one before.
CREATE TABLE app_secrets (
    app_key VARCHAR(50) NOT NULL REFERENCES apps ON DELETE CASCADE,
    name VARCHAR(128) NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    -- Sealed for this name and version of this app. Null: it was removed.
    value TEXT,
    -- Of the value, in bytes.
    length INTEGER NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_by TEXT NOT NULL,
    PRIMARY KEY (app_key, name, version)
);

ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'script'
    CHECK (kind IN ('script', 'deploy', 'rollback', 'apply', 'remove'));
-- The app that it works on.
ALTER TABLE runs ADD COLUMN app VARCHAR(50) NOT NULL DEFAULT '';

-- The contract's JobSteps; and the release that the job made or went back to, as soon as it is known.
ALTER TABLE jobs ADD COLUMN steps JSONB NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN release TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN commit_id TEXT NOT NULL DEFAULT '';

-- Work on an app: a run and its one job, all three with the same id. They outlive the app.
CREATE TABLE deployments (
    id UUID PRIMARY KEY REFERENCES runs,
    app_key VARCHAR(50) NOT NULL,
    -- What was asked for.
    wanted JSONB NOT NULL,
    -- That was live before.
    from_release TEXT NOT NULL DEFAULT '',
    from_commit TEXT NOT NULL DEFAULT '',
    subject TEXT NOT NULL DEFAULT '',
    author TEXT NOT NULL DEFAULT '',
    -- Chosen when it is sent first; 0: not yet, or the host's own.
    secrets_version INTEGER NOT NULL DEFAULT 0,
    open BOOLEAN NOT NULL DEFAULT true,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- One at a time.
CREATE UNIQUE INDEX deployments_open ON deployments (app_key) WHERE open;
CREATE INDEX deployments_newest ON deployments (created_at DESC, id DESC);
CREATE INDEX deployments_app ON deployments (app_key, created_at DESC, id DESC);

-- However its job ended: the app is free again.
CREATE FUNCTION close_deployment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE deployments SET open = false WHERE id = NEW.id AND open;
    RETURN NULL;
END
$$;

CREATE TRIGGER jobs_close_deployment AFTER UPDATE ON jobs FOR EACH ROW
    WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION close_deployment();

-- Apps are shown with the work on them.
CREATE FUNCTION tell_work() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM deployments WHERE id = NEW.id) THEN
        PERFORM pg_notify('hms_directory', '');
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER jobs_tell_work AFTER UPDATE ON jobs FOR EACH ROW
    WHEN ((OLD.state, OLD.steps, OLD.release) IS DISTINCT FROM (NEW.state, NEW.steps, NEW.release))
    EXECUTE FUNCTION tell_work();

CREATE FUNCTION tell_deployment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hms_jobs', NEW.id::text);
    PERFORM pg_notify('hms_directory', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER deployments_tell AFTER INSERT OR UPDATE ON deployments FOR EACH ROW EXECUTE FUNCTION tell_deployment();
