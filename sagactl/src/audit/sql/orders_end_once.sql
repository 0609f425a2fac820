-- An order has one known status, is closed only when it was confirmed, and nobody was ever told both of its ends.
SELECT o.id::text AS id,
       'one end, and closed only if confirmed' AS expected,
       format('%s%s, said: %s', o.status, CASE WHEN o.closed_at IS NOT NULL THEN ' and closed' END, coalesce(said.ends, 'nothing')) AS actual
FROM orders o
LEFT JOIN (
    SELECT saga_id, string_agg(DISTINCT said_type, ' and ') AS ends,
           bool_or(said_type LIKE 'order.confirmed.%') AS confirmed, bool_or(said_type LIKE 'order.cancelled.%') AS cancelled
    FROM saga.idempotency_keys
    WHERE said_type LIKE 'order.confirmed.%' OR said_type LIKE 'order.cancelled.%'
    GROUP BY saga_id
) said ON said.saga_id = o.id
WHERE o.status NOT IN ('pending', 'cancelling', 'cancelled', 'confirmed', 'shipped', 'delivered', 'returning', 'returned')
   OR (o.closed_at IS NOT NULL AND o.status NOT IN ('confirmed', 'shipped', 'delivered', 'returning', 'returned'))
   OR (said.confirmed AND o.status NOT IN ('confirmed', 'shipped', 'delivered', 'returning', 'returned'))
   OR (said.cancelled AND o.status <> 'cancelled')
