-- The audit becomes a chain: each row names the hash of the one before it, and is appended by one function only.

ALTER TABLE audit DISABLE TRIGGER USER;
ALTER TABLE audit ALTER COLUMN seq DROP IDENTITY;
ALTER TABLE audit
    ADD COLUMN before JSONB,
    ADD COLUMN after JSONB,
    ADD COLUMN before_hash TEXT,
    ADD COLUMN after_hash TEXT,
    ADD COLUMN prev_hash BYTEA,
    ADD COLUMN hash BYTEA;

-- The newest row. Appending locks it, so rows come one after another.
CREATE TABLE audit_head (
    one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL
);

CREATE FUNCTION audit_field(value TEXT) RETURNS BYTEA LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value IS NULL THEN '\x00'::bytea
        ELSE '\x01'::bytea || int4send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8') END
$$;

-- The form of hms_proto::chain.
CREATE FUNCTION audit_hash(r audit) RETURNS BYTEA LANGUAGE sql STABLE AS $$
    SELECT sha256(r.prev_hash || convert_to('hms-audit-v1', 'UTF8')
        || public.audit_field(r.seq::text)
        || public.audit_field((extract(epoch FROM r.time) * 1000000)::bigint::text)
        || public.audit_field(r.request_id::text) || public.audit_field(r.phase)
        || public.audit_field(r.actor) || public.audit_field(r.user_id::text)
        || public.audit_field(r.source) || public.audit_field(r.address)
        || public.audit_field(r.method) || public.audit_field(r.host)
        || public.audit_field(r.target) || public.audit_field(r.params::text)
        || public.audit_field(r.outcome) || public.audit_field(r.detail)
        || public.audit_field(r.took_ms::text)
        || public.audit_field(r.before::text) || public.audit_field(r.after::text)
        || public.audit_field(r.before_hash) || public.audit_field(r.after_hash))
$$;

-- What there is already: numbered without gaps, and chained. Numbers go below zero on the way, so that none is there twice.
UPDATE audit SET seq = -n.number
    FROM (SELECT seq AS old, row_number() OVER (ORDER BY seq) AS number FROM audit) n WHERE audit.seq = n.old;
UPDATE audit SET seq = -seq;
DO $$
DECLARE
    r audit;
    last BYTEA := decode(repeat('00', 32), 'hex');
    number BIGINT := 0;
BEGIN
    FOR r IN SELECT * FROM audit ORDER BY seq LOOP
        r.prev_hash := last;
        last := audit_hash(r);
        number := r.seq;
        UPDATE audit SET prev_hash = r.prev_hash, hash = last WHERE seq = r.seq;
    END LOOP;
    INSERT INTO audit_head (seq, hash) VALUES (number, last);
END
$$;

ALTER TABLE audit ALTER COLUMN prev_hash SET NOT NULL, ALTER COLUMN hash SET NOT NULL;
ALTER TABLE audit ENABLE TRIGGER USER;

-- Appends one row and tells its number; NULL when the call has its outcome already. It runs with the rights of the owner
-- of the table, so that the controller's own role needs none to write there.
CREATE FUNCTION audit_append(
    p_phase TEXT, p_request_id UUID, p_actor TEXT, p_user_id UUID, p_source TEXT, p_address TEXT, p_method TEXT,
    p_host TEXT, p_target TEXT, p_params JSONB, p_outcome TEXT, p_detail TEXT, p_took_ms BIGINT,
    p_before JSONB, p_after JSONB, p_before_hash TEXT, p_after_hash TEXT
) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head public.audit_head;
    r public.audit;
BEGIN
    SELECT * INTO STRICT head FROM public.audit_head FOR UPDATE;
    IF p_phase = 'outcome' AND EXISTS (
        SELECT FROM public.audit a WHERE a.request_id = p_request_id AND a.phase = 'outcome'
    ) THEN
        RETURN NULL;
    END IF;
    r.seq := head.seq + 1;
    -- Read while the head is locked: times rise with the numbers.
    r.time := clock_timestamp();
    r.request_id := p_request_id;
    r.phase := p_phase;
    r.actor := p_actor;
    r.user_id := p_user_id;
    r.source := p_source;
    r.address := p_address;
    r.method := p_method;
    r.host := p_host;
    r.target := p_target;
    r.params := p_params;
    r.outcome := p_outcome;
    r.detail := p_detail;
    r.took_ms := p_took_ms;
    r.before := p_before;
    r.after := p_after;
    r.before_hash := p_before_hash;
    r.after_hash := p_after_hash;
    r.prev_hash := head.hash;
    r.hash := public.audit_hash(r);
    INSERT INTO public.audit SELECT r.*;
    UPDATE public.audit_head SET seq = r.seq, hash = r.hash;
    RETURN r.seq;
END
$$;

REVOKE ALL ON FUNCTION audit_append FROM PUBLIC;
