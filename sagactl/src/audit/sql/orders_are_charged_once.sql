-- Per order at most one charge, which takes, and one refund after it, which gives back no more than was taken.
SELECT order_id::text AS id,
       'one charge at most, one refund at most, after the charge and not above it' AS expected,
       format('%s charges of %s, %s refunds of %s', charges, charged, refunds, refunded) AS actual
FROM (
    SELECT order_id,
           count(*) FILTER (WHERE kind = 'charge') AS charges, coalesce(-sum(amount_minor) FILTER (WHERE kind = 'charge'), 0) AS charged,
           count(*) FILTER (WHERE kind = 'refund') AS refunds, coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0) AS refunded,
           bool_or((kind = 'charge' AND amount_minor > 0) OR (kind = 'refund' AND amount_minor < 0)
                   OR kind NOT IN ('charge', 'refund')) AS odd,
           min(id) FILTER (WHERE kind = 'refund') < min(id) FILTER (WHERE kind = 'charge') AS refunded_first
    FROM wallet_movements WHERE order_id IS NOT NULL GROUP BY order_id
) per_order
WHERE charges > 1 OR refunds > 1 OR refunded > charged OR odd OR refunded_first
UNION ALL
SELECT 'movement ' || id, 'an order for every charge and refund', format('%s without an order', kind)
FROM wallet_movements WHERE order_id IS NULL AND kind IN ('charge', 'refund')
