-- Roll-ups of drmwatch in PostgreSQL (docs/postgres.md). Applied by its exporter, in one transaction, as often as one likes.
CREATE SCHEMA IF NOT EXISTS drmwatch;

CREATE TABLE IF NOT EXISTS drmwatch.schema_version (version integer NOT NULL);

-- Tenants of which something was exported. `tenant_id` is the opaque name under which the store keeps it.
CREATE TABLE IF NOT EXISTS drmwatch.tenants (
    tenant_id   text PRIMARY KEY,
    namespace   text,
    tenant      text,
    exported_at timestamptz NOT NULL
);

-- Periods that were exported: which version of the store's.
CREATE TABLE IF NOT EXISTS drmwatch.periods (
    tenant_id   text NOT NULL REFERENCES drmwatch.tenants ON DELETE CASCADE,
    level       text NOT NULL CHECK (level IN ('15m', '1h', '1d', '1w', '1mo')),
    period_date date NOT NULL,
    version     text NOT NULL,
    final       boolean NOT NULL,
    PRIMARY KEY (tenant_id, level, period_date)
);

-- A line for each probe, region ('*': all of them together) and period.
CREATE TABLE IF NOT EXISTS drmwatch.rollups (
    tenant_id           text NOT NULL,
    level               text NOT NULL,
    period_date         date NOT NULL,
    period_start        timestamptz NOT NULL,
    period_end          timestamptz NOT NULL,
    probe               text NOT NULL,
    region              text NOT NULL,
    runs                bigint NOT NULL,
    passed              bigint NOT NULL,
    failed              bigint NOT NULL,
    inconclusive        bigint NOT NULL,
    missed              bigint NOT NULL,
    total_minutes       integer NOT NULL,
    up_minutes          integer NOT NULL,
    degraded_minutes    integer NOT NULL,
    down_minutes        integer NOT NULL,
    maintenance_minutes integer NOT NULL,
    no_data_minutes     integer NOT NULL,
    unwatched_minutes   integer NOT NULL,
    latency_count       bigint NOT NULL,
    latency_sum_us      bigint NOT NULL,
    latency_min_us      bigint,
    latency_max_us      bigint,
    latency_p50_us      double precision,
    latency_p95_us      double precision,
    latency_p99_us      double precision,
    PRIMARY KEY (tenant_id, level, period_date, period_start, probe, region),
    FOREIGN KEY (tenant_id, level, period_date) REFERENCES drmwatch.periods ON DELETE CASCADE
);

-- The minutes of each day, in their order: those in a row that were alike.
CREATE TABLE IF NOT EXISTS drmwatch.spans (
    tenant_id   text NOT NULL,
    level       text NOT NULL CHECK (level = '1d'),
    period_date date NOT NULL,
    probe       text NOT NULL,
    region      text NOT NULL,
    span_start  timestamptz NOT NULL,
    span_end    timestamptz NOT NULL,
    state       text NOT NULL CHECK (state IN ('up', 'degraded', 'down', 'maintenance', 'no data', 'not watched')),
    reason      text,
    step        text,
    regions     text,
    PRIMARY KEY (tenant_id, level, period_date, probe, region, span_start),
    FOREIGN KEY (tenant_id, level, period_date) REFERENCES drmwatch.periods ON DELETE CASCADE
);

-- Which role of a login may read which tenant.
CREATE TABLE IF NOT EXISTS drmwatch.grants (
    role      name NOT NULL,
    tenant_id text NOT NULL,
    PRIMARY KEY (role, tenant_id)
);

-- Roles belong to the server, not to the database; logins are members of one of them.
-- drmwatch_reader sees the tenants that drmwatch.grants gives to the login, drmwatch_reader_all every tenant.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'drmwatch_reader') THEN
        CREATE ROLE drmwatch_reader NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'drmwatch_reader_all') THEN
        CREATE ROLE drmwatch_reader_all NOLOGIN;
    END IF;
END
$$;

DO $$
DECLARE
    of text;
BEGIN
    FOREACH of IN ARRAY ARRAY['tenants', 'periods', 'rollups', 'spans'] LOOP
        EXECUTE format('ALTER TABLE drmwatch.%I ENABLE ROW LEVEL SECURITY', of);
        EXECUTE format('DROP POLICY IF EXISTS granted ON drmwatch.%I', of);
        EXECUTE format('DROP POLICY IF EXISTS everything ON drmwatch.%I', of);
        EXECUTE format('CREATE POLICY granted ON drmwatch.%I FOR SELECT TO drmwatch_reader
            USING (tenant_id IN (SELECT g.tenant_id FROM drmwatch.grants g WHERE g.role = current_user))', of);
        EXECUTE format('CREATE POLICY everything ON drmwatch.%I FOR SELECT TO drmwatch_reader_all USING (true)', of);
    END LOOP;
END
$$;
ALTER TABLE drmwatch.grants ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS own ON drmwatch.grants;
CREATE POLICY own ON drmwatch.grants FOR SELECT TO drmwatch_reader USING (role = current_user);

-- Percents are cut after four places, as in reports: what is not 100 does not look like it. Read with the rights, and
-- the policies, of whoever asks.
CREATE OR REPLACE VIEW drmwatch.availability WITH (security_invoker = true) AS
SELECT t.namespace, t.tenant, r.*, p.final,
       trunc(100::numeric * (up_minutes + degraded_minutes)
             / nullif(up_minutes + degraded_minutes + down_minutes, 0), 4) AS availability_pct,
       trunc(100::numeric * (up_minutes + degraded_minutes + down_minutes)
             / nullif(up_minutes + degraded_minutes + down_minutes + no_data_minutes, 0), 4) AS coverage_pct
FROM drmwatch.rollups r
JOIN drmwatch.periods p USING (tenant_id, level, period_date)
JOIN drmwatch.tenants t USING (tenant_id);

-- Incidents of whole days: minutes down in a row; those without data in between belong to it and are not counted.
CREATE OR REPLACE FUNCTION drmwatch.incidents(first_day date, last_day date)
RETURNS TABLE (namespace text, tenant text, tenant_id text, probe text, region text, started timestamptz, ended timestamptz,
               down_minutes bigint, reason text, step text, regions text, open boolean)
LANGUAGE sql STABLE AS $$
    WITH ordered AS (
        SELECT s.*, lag(span_end) OVER own AS before_end, max(span_end) OVER (PARTITION BY s.tenant_id) AS known_until,
               max(span_end) OVER (PARTITION BY s.tenant_id, s.probe, s.region) AS own_until
        FROM drmwatch.spans s
        WHERE period_date BETWEEN first_day AND last_day
        WINDOW own AS (PARTITION BY s.tenant_id, s.probe, s.region ORDER BY span_start)
    ), islands AS (
        SELECT o.*, count(*) FILTER (WHERE state NOT IN ('down', 'no data') OR span_start <> before_end)
                    OVER (PARTITION BY o.tenant_id, o.probe, o.region ORDER BY span_start) AS island
        FROM ordered o
    ), last AS (
        SELECT i.*, max(island) OVER (PARTITION BY i.tenant_id, i.probe, i.region) AS last_island FROM islands i
    )
    SELECT t.namespace, t.tenant, l.tenant_id, l.probe, l.region,
           min(span_start) FILTER (WHERE state = 'down'),
           max(span_end) FILTER (WHERE state = 'down'),
           (sum(extract(epoch FROM span_end - span_start)) FILTER (WHERE state = 'down') / 60)::bigint,
           (array_agg(l.reason ORDER BY span_start) FILTER (WHERE state = 'down'))[1],
           (array_agg(l.step ORDER BY span_start) FILTER (WHERE state = 'down'))[1],
           (array_agg(l.regions ORDER BY span_start) FILTER (WHERE state = 'down'))[1],
           island = last_island AND own_until = known_until
    FROM last l JOIN drmwatch.tenants t USING (tenant_id)
    GROUP BY t.namespace, t.tenant, l.tenant_id, l.probe, l.region, island, last_island, own_until, known_until
    HAVING bool_or(state = 'down')
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA drmwatch FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA drmwatch FROM PUBLIC;
GRANT USAGE ON SCHEMA drmwatch TO drmwatch_reader, drmwatch_reader_all;
GRANT SELECT ON drmwatch.tenants, drmwatch.periods, drmwatch.rollups, drmwatch.spans, drmwatch.availability
    TO drmwatch_reader, drmwatch_reader_all;
GRANT SELECT ON drmwatch.grants TO drmwatch_reader;
GRANT EXECUTE ON FUNCTION drmwatch.incidents(date, date) TO drmwatch_reader, drmwatch_reader_all;
