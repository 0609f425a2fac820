-- A wallet payment's status tells what its movements show; a card payment moves nothing in a wallet.
SELECT order_id::text AS id,
       format('%s %s of %s, by %s', coalesce(p.status, 'no payment'), p.amount_minor, p.customer_id, p.method) AS expected,
       format('charged %s, refunded %s', coalesce(m.charged, 0), coalesce(m.refunded, 0)) AS actual
FROM payments p
FULL JOIN (
    SELECT order_id, coalesce(-sum(amount_minor) FILTER (WHERE kind = 'charge'), 0) AS charged,
           coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0) AS refunded,
           min(customer_id) AS payer, count(DISTINCT customer_id) AS payers
    FROM wallet_movements WHERE order_id IS NOT NULL GROUP BY order_id
) m USING (order_id)
WHERE (coalesce(m.charged, 0), coalesce(m.refunded, 0)) IS DISTINCT FROM CASE
        WHEN p.method = 'wallet' AND p.status IN ('charged', 'refunding') THEN (p.amount_minor::numeric, 0::numeric)
        WHEN p.method = 'wallet' AND p.status = 'refunded' THEN (p.amount_minor::numeric, p.amount_minor::numeric)
        ELSE (0::numeric, 0::numeric)
    END
   OR (m.order_id IS NOT NULL AND (m.payers > 1 OR m.payer IS DISTINCT FROM p.customer_id))
