-- A notification was written by the step that handled its message, and by no other way: in its order's saga, or in that of the
-- order's return. $2: guard rows of older sagas are not kept.
SELECT coalesce(n.order_id, g.saga_id)::text AS id,
       format('what notify %s leaves behind', coalesce(g.verdict, 'absent')) AS expected,
       coalesce(format('%s under %s', n.kind, n.message_id), 'no notification') AS actual
FROM notifications n
FULL JOIN saga.idempotency_keys g ON g.step = 'notify:' || n.message_id
WHERE coalesce(n.order_id, g.saga_id) >= $2
  AND (n.message_id IS NULL AND g.step LIKE 'notify:%' OR g.verdict IS DISTINCT FROM 'done' AND n.message_id IS NOT NULL
       OR g.saga_id <> n.order_id AND n.kind <> 'returned')
