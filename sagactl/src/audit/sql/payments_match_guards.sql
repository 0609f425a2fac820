-- The guard row of charge-payment tells what the payment shows: done once, undone at most once, nothing without a guard row.
-- What was charged may have been given back for a return since. $2: guard rows of older sagas are not kept.
SELECT saga_id::text AS id,
       format('what charge-payment %s leaves behind', coalesce(g.verdict, 'absent')) AS expected,
       coalesce(p.status, 'no payment') AS actual
FROM (SELECT saga_id, verdict FROM saga.idempotency_keys WHERE step = 'charge-payment') g
FULL JOIN (SELECT order_id AS saga_id, status, return_id FROM payments) p USING (saga_id)
WHERE saga_id >= $2 AND NOT CASE g.verdict
    WHEN 'intent' THEN coalesce(p.status, '') = 'charging'
    WHEN 'done' THEN coalesce(p.status, '') = 'charged' OR (p.status IN ('refunding', 'refunded') AND p.return_id IS NOT NULL)
    WHEN 'rejected' THEN coalesce(p.status, '') = 'declined'
    WHEN 'undoing' THEN coalesce(p.status, '') IN ('charging', 'refunding')
    WHEN 'undone' THEN coalesce(p.status, '') IN ('refunded', 'voided') AND p.return_id IS NULL
    ELSE p.status IS NULL
END
