-- No job is left longer than the grace ($1, seconds).
SELECT format('%s of %s', step, saga_id) AS id,
       'finished' AS expected,
       format('%s after %s attempts: %s', phase, attempts, coalesce(last_error, 'no error')) AS actual
FROM saga.jobs
WHERE $1::float8 = 0 OR created_at < now() - make_interval(secs => $1::float8)
