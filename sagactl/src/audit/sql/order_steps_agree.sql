-- An order's row and the guard rows of order-svc's own steps were written by the same transactions.
-- $2: guard rows of older sagas are not kept.
SELECT o.id::text AS id,
       format('the verdicts of %s%s, answer bits %s', o.status, CASE WHEN o.closed_at IS NOT NULL THEN ' and closed' END, o.answers) AS expected,
       format('place-order %s, confirm-order %s, close-order %s, answers of %s', coalesce(g.place, 'absent'),
              coalesce(g.confirm, 'absent'), coalesce(g.close, 'absent'), coalesce(array_to_string(g.answered, ', '), 'nobody')) AS actual
FROM orders o
LEFT JOIN (
    SELECT saga_id, max(verdict) FILTER (WHERE step = 'place-order') AS place,
           max(verdict) FILTER (WHERE step = 'confirm-order') AS confirm, max(verdict) FILTER (WHERE step = 'close-order') AS close,
           array_agg(substr(step, 8)) FILTER (WHERE step LIKE 'answer:%' AND verdict = 'done') AS answered
    FROM saga.idempotency_keys GROUP BY saga_id
) g ON g.saga_id = o.id
WHERE o.id >= $2 AND (
    coalesce(g.place, '') <> CASE WHEN o.status IN ('cancelling', 'cancelled') THEN 'undone' ELSE 'done' END
    OR (coalesce(g.confirm, '') = 'done') <> (o.status IN ('confirmed', 'shipped', 'delivered', 'returning', 'returned'))
    OR (coalesce(g.close, '') = 'done') <> (o.closed_at IS NOT NULL)
    OR o.answers <> (SELECT coalesce(sum(1 << (n - 1)::int), 0)
                     FROM unnest(o.required_answers) WITH ORDINALITY r(name, n) WHERE r.name = ANY (g.answered)))
