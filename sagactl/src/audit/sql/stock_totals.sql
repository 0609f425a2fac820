-- The totals in a stock row are the sums of its reservations.
SELECT sku AS id,
       format('%s reserved, %s sold', coalesce(r.held, 0), coalesce(r.sold, 0)) AS expected,
       format('%s reserved, %s sold', coalesce(s.reserved, 0), coalesce(s.sold, 0)) AS actual
FROM stock s
FULL JOIN (
    SELECT sku, sum(quantity) FILTER (WHERE state = 'held') AS held, sum(quantity) FILTER (WHERE state = 'sold') AS sold
    FROM reservations GROUP BY sku
) r USING (sku)
WHERE coalesce(s.reserved, 0) <> coalesce(r.held, 0) OR coalesce(s.sold, 0) <> coalesce(r.sold, 0)
