-- A decided order's end was said exactly once: by the step that decided it, or by the answer that was the last. An end that is
-- said by the undoing of place-order stands in that row's detail. $2: guard rows of older sagas are not kept.
SELECT o.id::text AS id,
       format('order.%s said once', CASE o.status WHEN 'cancelled' THEN 'cancelled' ELSE 'confirmed' END) AS expected,
       coalesce(said.ends, 'nothing said') AS actual
FROM orders o
LEFT JOIN (
    SELECT saga_id, count(*) AS times, string_agg(said_type || ' by ' || step, ' and ') AS ends
    FROM (
        SELECT saga_id, step, said_type FROM saga.idempotency_keys
        WHERE said_type LIKE 'order.confirmed.%' OR said_type LIKE 'order.cancelled.%'
        UNION ALL
        SELECT saga_id, step, 'order.cancelled' FROM saga.idempotency_keys WHERE detail LIKE '%said order.cancelled.%'
    ) every GROUP BY saga_id
) said ON said.saga_id = o.id
WHERE o.id >= $2 AND o.status NOT IN ('pending', 'cancelling') AND coalesce(said.times, 0) <> 1
