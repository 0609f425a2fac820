-- Once everything works again ($3), an order is decided within 30 s, or within 30 s of its deadline if that is later.
SELECT o.id::text AS id,
       format('decided until %s', greatest(o.deadline_at, $3::timestamptz) + interval '30 s') AS expected,
       format('%s at %s', o.status, ended_at) AS actual
FROM orders o
LEFT JOIN saga.idempotency_keys g ON g.saga_id = o.id AND g.step = 'confirm-order' AND g.verdict = 'done'
CROSS JOIN LATERAL (SELECT CASE
    WHEN o.status IN ('pending', 'cancelling') THEN now()
    WHEN o.status = 'cancelled' THEN o.updated_at
    ELSE coalesce(g.settled_at, g.created_at, o.updated_at) END AS ended_at) e
WHERE ended_at > greatest(o.deadline_at, $3::timestamptz) + interval '30 s'
