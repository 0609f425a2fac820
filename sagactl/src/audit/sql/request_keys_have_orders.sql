-- A request key stands for an order of the same customer.
SELECT k.key AS id,
       format('order %s of %s', k.order_id, k.customer_id) AS expected,
       coalesce(format('it is of %s', o.customer_id), 'no such order') AS actual
FROM request_keys k
LEFT JOIN orders o ON o.id = k.order_id
WHERE o.customer_id IS DISTINCT FROM k.customer_id
