-- An order has lines, and costs what they cost.
SELECT o.id::text AS id,
       format('lines that cost %s', o.amount_minor) AS expected,
       format('%s lines that cost %s', count(l.order_id), coalesce(sum(l.quantity::bigint * l.unit_price_minor), 0)) AS actual
FROM orders o
LEFT JOIN order_lines l ON l.order_id = o.id
GROUP BY o.id, o.amount_minor
HAVING count(l.order_id) = 0 OR sum(l.quantity::bigint * l.unit_price_minor) <> o.amount_minor
