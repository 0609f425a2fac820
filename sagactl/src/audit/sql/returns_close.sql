-- No return is open longer than the grace ($1, seconds).
SELECT id::text AS id,
       'refunded and restocked' AS expected,
       format('requested %s, refunded %s, restocked %s', requested_at, coalesce(refunded_at::text, 'never'),
              coalesce(restocked_at::text, 'never')) AS actual
FROM returns
WHERE closed_at IS NULL AND ($1::float8 = 0 OR requested_at < now() - make_interval(secs => $1::float8))
