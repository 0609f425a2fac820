-- The guard row of refund-return tells what the payment shows that was given back for this return: one, of one order.
-- $2: guard rows of older sagas are not kept.
SELECT saga_id::text AS id,
       format('what refund-return %s leaves behind', coalesce(g.verdict, 'absent')) AS expected,
       coalesce(format('%s of %s orders', p.status, p.orders), 'no payment') AS actual
FROM (SELECT saga_id, verdict FROM saga.idempotency_keys WHERE step = 'refund-return') g
FULL JOIN (
    SELECT return_id AS saga_id, max(status) AS status, count(*) AS orders FROM payments WHERE return_id IS NOT NULL GROUP BY return_id
) p USING (saga_id)
WHERE saga_id >= $2 AND (p.orders IS DISTINCT FROM 1 OR NOT CASE g.verdict
    WHEN 'intent' THEN p.status = 'refunding'
    WHEN 'done' THEN p.status = 'refunded'
    ELSE false
END)
