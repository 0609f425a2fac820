-- Money comes into a wallet by one opening, before anything else, and by adjustments: a second opening is money from nowhere.
SELECT customer_id AS id,
       'one opening, first of all' AS expected,
       format('%s openings, %s movements before', openings, earlier) AS actual
FROM (
    SELECT customer_id, count(*) FILTER (WHERE kind = 'opening') AS openings,
           count(*) FILTER (WHERE id < opened) AS earlier
    FROM (SELECT *, min(id) FILTER (WHERE kind = 'opening') OVER (PARTITION BY customer_id) AS opened FROM wallet_movements) m
    GROUP BY customer_id
) per_customer
WHERE openings <> 1 OR earlier > 0
