-- What was placed is an order: both were written by one transaction.
SELECT g.saga_id::text AS id, 'an order' AS expected, format('place-order %s and no order', g.verdict) AS actual
FROM saga.idempotency_keys g
LEFT JOIN orders o ON o.id = g.saga_id
WHERE g.step = 'place-order' AND g.said_id IS NOT NULL AND o.id IS NULL
