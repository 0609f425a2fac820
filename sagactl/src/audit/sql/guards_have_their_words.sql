-- What a guard row says its step has said is kept, until it goes with the row: a repeated announcement is answered with it.
SELECT format('%s of %s', k.step, k.saga_id) AS id,
       format('%s in saga.said', k.said_type) AS expected,
       format('no message %s of unit %s', k.said_id, k.said_unit) AS actual
FROM saga.idempotency_keys k
LEFT JOIN saga.said s ON s.unit = k.said_unit
WHERE k.said_id IS NOT NULL AND (s.unit IS NULL OR k.said_id <> ALL (s.ids))
