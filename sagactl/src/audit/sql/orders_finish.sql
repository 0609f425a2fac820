-- No order is undecided past its deadline and the grace ($1, seconds).
SELECT id::text AS id,
       format('terminal since %s', deadline_at) AS expected,
       status AS actual
FROM orders
WHERE status IN ('pending', 'cancelling') AND deadline_at < now() - make_interval(secs => $1::float8)
