-- The guard row of restock-return tells what has come back with this return: all of one order. And nothing came back otherwise.
-- $2: guard rows of older sagas are not kept.
SELECT saga_id::text AS id,
       format('what restock-return %s leaves behind', coalesce(g.verdict, 'absent')) AS expected,
       format('%s of %s reservations of %s orders', coalesce(r.returned, 0), coalesce(r.rows, 0), coalesce(r.orders, 0)) AS actual
FROM (SELECT saga_id, verdict FROM saga.idempotency_keys WHERE step = 'restock-return') g
FULL JOIN (
    SELECT b.return_id AS saga_id, sum(b.returned) AS returned, sum(b.rows) AS rows, count(*) AS orders
    FROM (
        SELECT order_id, min(return_id::text)::uuid AS return_id, count(*) FILTER (WHERE state = 'returned') AS returned, count(*) AS rows
        FROM reservations GROUP BY order_id HAVING bool_or(return_id IS NOT NULL)
    ) b GROUP BY b.return_id
) r USING (saga_id)
WHERE saga_id >= $2 AND (g.verdict IS DISTINCT FROM 'done' OR r.orders IS DISTINCT FROM 1 OR r.returned <> r.rows)
UNION ALL
SELECT order_id::text, 'a return of what is returned, and of nothing else', format('%s, return %s', state, coalesce(return_id::text, 'none'))
FROM reservations WHERE (state = 'returned') <> (return_id IS NOT NULL)
