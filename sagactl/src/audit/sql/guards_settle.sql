-- No step is half-way (R3) longer than the grace ($1, seconds), and every verdict is a known one.
SELECT format('%s of %s', step, saga_id) AS id,
       'a settled verdict' AS expected,
       format('%s since %s', verdict, created_at) AS actual
FROM saga.idempotency_keys
WHERE (verdict IN ('intent', 'undoing') AND ($1::float8 = 0 OR created_at < now() - make_interval(secs => $1::float8)))
   OR verdict NOT IN ('intent', 'undoing', 'done', 'rejected', 'superseded', 'undone', 'fenced', 'nothing-to-undo')
