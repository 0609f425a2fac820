-- Each line of an article's log carries what its lines add up to: one that was taken out, put between or changed breaks the sum.
SELECT format('%s, movement %s', sku, id) AS id, format('%s in total', before + change) AS expected, format('%s in total', total) AS actual
FROM (
    SELECT sku, id, change, total, coalesce(lag(total) OVER (PARTITION BY sku ORDER BY id), 0) AS before FROM stock_movements
) m
WHERE total <> before + change
