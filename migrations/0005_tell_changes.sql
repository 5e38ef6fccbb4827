-- Tells controllers that the hosts or the apps changed. They read the tables again; the payload stays empty.

CREATE FUNCTION tell_directory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hms_directory', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER hosts_tell AFTER INSERT OR UPDATE OR DELETE ON hosts
    FOR EACH STATEMENT EXECUTE FUNCTION tell_directory();
CREATE TRIGGER apps_tell AFTER INSERT OR UPDATE OR DELETE ON apps
    FOR EACH STATEMENT EXECUTE FUNCTION tell_directory();
