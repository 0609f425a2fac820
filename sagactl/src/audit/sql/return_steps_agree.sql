-- A return's row and the guard rows of order-svc's own steps were written by the same transactions, and the last of them said
-- that the order is returned. $2: guard rows of older sagas are not kept.
SELECT coalesce(r.id, g.saga_id)::text AS id,
       CASE WHEN r.id IS NULL THEN 'a return' ELSE format('begun%s%s', CASE WHEN r.refunded_at IS NOT NULL THEN ', refunded' END,
              CASE WHEN r.restocked_at IS NOT NULL THEN ', restocked' END) END AS expected,
       format('begin-return %s, note-refund %s, note-restock %s, returned said %s times', coalesce(g.begun, 'absent'),
              coalesce(g.refund, 'absent'), coalesce(g.restock, 'absent'), coalesce(g.said, 0)) AS actual
FROM returns r
FULL JOIN (
    SELECT saga_id, max(verdict) FILTER (WHERE step = 'begin-return') AS begun,
           max(verdict) FILTER (WHERE step = 'note-refund') AS refund, max(verdict) FILTER (WHERE step = 'note-restock') AS restock,
           count(*) FILTER (WHERE step LIKE 'note-%' AND said_type LIKE 'order.status-changed.%') AS said
    FROM saga.idempotency_keys WHERE step IN ('begin-return', 'note-refund', 'note-restock') GROUP BY saga_id
) g ON g.saga_id = r.id
WHERE coalesce(r.id, g.saga_id) >= $2 AND (
    (r.id IS NOT NULL) <> (coalesce(g.begun, '') = 'done')
    OR (r.refunded_at IS NOT NULL) <> (coalesce(g.refund, '') = 'done')
    OR (r.restocked_at IS NOT NULL) <> (coalesce(g.restock, '') = 'done')
    OR coalesce(g.said, 0) <> CASE WHEN r.closed_at IS NOT NULL THEN 1 ELSE 0 END)
