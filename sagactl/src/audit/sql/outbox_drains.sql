-- Nothing committed to be said stays unsaid longer than the grace ($1, seconds).
SELECT id::text AS id, 'published' AS expected, format('%s of %s unsent since %s', type, saga_id, created_at) AS actual
FROM saga.unsent
WHERE $1::float8 = 0 OR created_at < now() - make_interval(secs => $1::float8)
