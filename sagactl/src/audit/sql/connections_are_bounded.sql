-- There are at most $5 connections to the database, not counting the auditor's own.
SELECT current_database()::text AS id,
       format('at most %s connections', $5::bigint) AS expected,
       format('%s: %s', count(*), string_agg(DISTINCT coalesce(usename::text, '?') || ' ' || application_name, ', ')) AS actual
FROM pg_stat_activity
WHERE datname = current_database() AND application_name <> 'saga-audit' AND backend_type = 'client backend'
HAVING count(*) > $5::bigint
