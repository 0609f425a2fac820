-- No announcement still waits for an answer. Its message id, minted with it, tells its age. $1: grace, seconds.
SELECT message_id::text AS id,
       'answered' AS expected,
       format('%s of %s open after %s repeats', type, saga_id, repeats) AS actual
FROM saga.announcements
WHERE $1::float8 = 0
   OR to_timestamp(('x' || left(replace(message_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) < now() - make_interval(secs => $1::float8)
