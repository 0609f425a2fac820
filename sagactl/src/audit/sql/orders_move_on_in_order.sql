-- An order was shipped, delivered and taken back one after another, each once and on record, and only once it was closed.
-- $2: guard rows of older sagas are not kept.
SELECT o.id::text AS id,
       format('the history of %s', o.status) AS expected,
       format('shipped %s, delivered %s, %s%s', coalesce(g.shipped::text, 'never'), coalesce(g.delivered::text, 'never'),
              CASE WHEN r.id IS NULL THEN 'no return' ELSE 'a return' END,
              CASE WHEN r.closed_at IS NOT NULL THEN ', closed' END) AS actual
FROM orders o
LEFT JOIN returns r ON r.order_id = o.id
LEFT JOIN (
    SELECT saga_id, max(created_at) FILTER (WHERE step = 'ship') AS shipped, max(created_at) FILTER (WHERE step = 'deliver') AS delivered
    FROM saga.idempotency_keys
    WHERE step IN ('ship', 'deliver') AND verdict = 'done' AND said_type LIKE 'order.status-changed.%' GROUP BY saga_id
) g ON g.saga_id = o.id
WHERE (o.status IN ('shipped', 'delivered', 'returning', 'returned') AND o.closed_at IS NULL)
   OR (r.id IS NOT NULL) <> (o.status IN ('returning', 'returned'))
   OR (r.closed_at IS NOT NULL) <> (o.status = 'returned')
   OR (r.closed_at IS NOT NULL) <> (r.refunded_at IS NOT NULL AND r.restocked_at IS NOT NULL)
   OR o.id >= $2 AND (
       (g.shipped IS NOT NULL) <> (o.status IN ('shipped', 'delivered', 'returning', 'returned'))
       OR (g.delivered IS NOT NULL) <> (o.status IN ('delivered', 'returning', 'returned'))
       OR g.shipped > g.delivered OR g.delivered > r.requested_at)
