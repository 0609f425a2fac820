-- Cancelled means that everybody who had to answer has: bit i of `answers` stands for required_answers[i + 1].
SELECT id::text AS id,
       format('answers of %s', array_to_string(required_answers, ', ')) AS expected,
       format('answer bits %s', answers::bit(16)) AS actual
FROM orders
WHERE status = 'cancelled' AND answers <> (1 << cardinality(required_answers)) - 1
