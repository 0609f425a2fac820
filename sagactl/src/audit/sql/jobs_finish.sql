-- No job is left. A job does not tell its age, its saga does: the first 48 bits of a UUIDv7 are milliseconds. $1: grace, seconds.
SELECT format('%s of %s', step, saga_id) AS id,
       'finished' AS expected,
       format('%s after %s attempts: %s', phase, attempts, coalesce(last_error, 'no error')) AS actual
FROM saga.jobs
WHERE $1::float8 = 0
   OR to_timestamp(('x' || left(replace(saga_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) < now() - make_interval(secs => $1::float8)
