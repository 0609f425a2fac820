-- The bodies of what a unit records are in `saga.said` alone: a row of the outbox has those of the messages behind them (answers that are
-- said again, announcements that are repeated). Rows from before have all of them.
create or replace view saga.unsent as
select o.unit, m.id, m.saga_id, m.type, m.fanned_out, m.causation_id, m.traceparent, m.announcement, m.body, o.returns,
       o.owner, o.leased_until, o.created_at
from saga.outbox o
left join saga.said s on s.unit = o.unit,
     unnest(o.ids, o.sagas, o.types, o.fanned_out, o.causations, o.traceparents, o.announcements,
            s.bodies[:cardinality(o.ids) - cardinality(o.bodies)] || o.bodies)
         m(id, saga_id, type, fanned_out, causation_id, traceparent, announcement, body)
where o.unsent is null or m.id = any(o.unsent);
