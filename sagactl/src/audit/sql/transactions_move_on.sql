-- No transaction of the services is idle for longer than $4 seconds. Of other roles only who may see it is told what they do.
SELECT format('process %s of %s', pid, coalesce(usename::text, 'nobody')) AS id,
       format('not idle in a transaction for %s s', $4::float8) AS expected,
       format('%s for %s s: %s', state, round(extract(epoch FROM clock_timestamp() - state_change), 1), left(query, 60)) AS actual
FROM pg_stat_activity
WHERE datname = current_database() AND application_name <> 'saga-audit'
  AND state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - make_interval(secs => $4::float8)
