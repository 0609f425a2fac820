-- The guard rows of inventory tell what its reservations show: done once, undone at most once, nothing without a guard row.
-- What was bought may have come back since. $2: guard rows of older sagas are not kept.
SELECT saga_id::text AS id,
       format('what reserve-stock %s, commit-stock %s leave behind', coalesce(g.reserve, 'absent'), coalesce(g.commit, 'absent')) AS expected,
       format('%s held, %s released, %s bought', coalesce(r.held, 0), coalesce(r.released, 0), coalesce(r.bought, 0)) AS actual
FROM (
    SELECT saga_id, max(verdict) FILTER (WHERE step = 'reserve-stock') AS reserve,
           max(verdict) FILTER (WHERE step = 'commit-stock') AS commit
    FROM saga.idempotency_keys WHERE step IN ('reserve-stock', 'commit-stock') GROUP BY saga_id
) g
FULL JOIN (
    SELECT order_id AS saga_id, count(*) AS rows, count(*) FILTER (WHERE state = 'held') AS held,
           count(*) FILTER (WHERE state = 'released') AS released, count(*) FILTER (WHERE state IN ('sold', 'returned')) AS bought
    FROM reservations GROUP BY order_id
) r USING (saga_id)
WHERE saga_id >= $2 AND CASE
    WHEN g.commit = 'done' THEN g.reserve IS DISTINCT FROM 'done' OR coalesce(r.bought, 0) = 0 OR r.bought <> r.rows
    WHEN g.reserve = 'done' THEN coalesce(r.held, 0) = 0 OR r.held <> r.rows
    WHEN g.reserve = 'undone' THEN coalesce(r.released, 0) <> coalesce(r.rows, -1)
    ELSE coalesce(r.rows, 0) > 0
END
