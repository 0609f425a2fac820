-- No message waits longer than the grace ($1, seconds); parked ones are counted elsewhere.
SELECT format('%s for %s', message_id, step) AS id,
       'handled' AS expected,
       format('%s after %s attempts: %s', state, attempts, coalesce(reason, 'no reason')) AS actual
FROM saga.waiting
WHERE state <> 'parked' AND ($1::float8 = 0 OR first_seen_at < now() - make_interval(secs => $1::float8))
