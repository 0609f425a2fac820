-- What was ever put into stock is available, held or sold. `reserved` and `sold` of the stock row are not asked.
SELECT sku AS id,
       coalesce(a.put, 0)::text AS expected,
       format('%s available + %s held + %s sold', coalesce(s.available, 0), coalesce(r.held, 0), coalesce(r.sold, 0)) AS actual
FROM stock s
FULL JOIN (SELECT sku, sum(change) AS put FROM stock_movements GROUP BY sku) a USING (sku)
FULL JOIN (
    SELECT sku, sum(quantity) FILTER (WHERE state = 'held') AS held, sum(quantity) FILTER (WHERE state = 'sold') AS sold
    FROM reservations GROUP BY sku
) r USING (sku)
WHERE coalesce(a.put, 0) <> coalesce(s.available, 0) + coalesce(r.held, 0) + coalesce(r.sold, 0)
