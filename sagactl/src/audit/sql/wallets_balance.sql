-- A wallet holds what its movements add up to, and never less than nothing.
SELECT customer_id AS id,
       coalesce(m.total, 0)::text AS expected,
       coalesce(w.balance_minor::text, 'no wallet') AS actual
FROM wallets w
FULL JOIN (SELECT customer_id, sum(amount_minor) AS total FROM wallet_movements GROUP BY customer_id) m USING (customer_id)
WHERE w.balance_minor IS DISTINCT FROM coalesce(m.total, 0) OR w.balance_minor < 0
