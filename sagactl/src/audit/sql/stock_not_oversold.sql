-- Nothing was promised that was not there, and no reservation is of nothing.
SELECT sku AS id, 'at least 0 available' AS expected, format('%s available', available) AS actual
FROM stock WHERE available < 0
UNION ALL
SELECT format('%s of %s', sku, order_id), 'a held, released, sold or returned quantity above 0', format('%s %s', quantity, state)
FROM reservations WHERE quantity <= 0 OR state NOT IN ('held', 'released', 'sold', 'returned')
