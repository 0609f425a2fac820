-- No confirmed order waits for its stock to be committed longer than the grace ($1, seconds).
SELECT id::text AS id,
       'closed' AS expected,
       format('%s since %s, not closed', status, updated_at) AS actual
FROM orders
WHERE status IN ('confirmed', 'shipped', 'delivered', 'returning', 'returned') AND closed_at IS NULL
  AND ($1::float8 = 0 OR updated_at < now() - make_interval(secs => $1::float8))
