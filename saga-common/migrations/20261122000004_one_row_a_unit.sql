-- A unit of work has one row in the outbox and one in `said`, whatever the number of its events, and guard rows are written
-- once, with what is expected of their steps.

-- What steps have said: guard rows refer to it, and a repeated announcement is answered with it. Only inserted into. Partitioned
-- by the time inside the unit's id; a day is dropped with the guard rows of the day after.
create table saga.said (
    unit   uuid    primary key,
    ids    uuid[]  not null,
    bodies bytea[] not null
) partition by range (unit);
alter table saga.said alter column ids set storage external, alter column bodies set storage external;

-- What was said before is a unit of its own.
do $$
declare
    day date;
    first_id text := $f$rpad(lpad(to_hex((extract(epoch from %L::date) * 1000)::bigint), 12, '0'), 32, '0')::uuid$f$;
    from_id uuid;
    to_id uuid;
begin
    for day in
        select to_date(right(c.relname, 8), 'YYYYMMDD') from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'saga.idempotency_keys'::regclass
        union
        select (timestamp '1970-01-01' + ('x' || left(replace(said_id::text, '-', ''), 12))::bit(48)::bigint
                                         * interval '1 ms')::date
        from saga.idempotency_keys where said_id is not null
    loop
        execute 'select ' || format(first_id, day) into from_id;
        execute 'select ' || format(first_id, day + 1) into to_id;
        execute format('create table saga.%I partition of saga.said for values from (%L) to (%L)',
                       'said_' || to_char(day, 'YYYYMMDD'), from_id, to_id);
    end loop;
end $$;
insert into saga.said (unit, ids, bodies)
select said_id, array[said_id], array[said_body] from saga.idempotency_keys where said_id is not null
on conflict do nothing;
alter table saga.idempotency_keys add column said_unit uuid;
update saga.idempotency_keys set said_unit = said_id where said_id is not null;
alter table saga.idempotency_keys drop column said_body;

alter table saga.outbox rename to outbox_of_events;
create table saga.outbox (
    unit          uuid          primary key,
    ids           uuid[]        not null,
    sagas         uuid[]        not null,
    types         text[]        not null,
    fanned_out    bool[]        not null,
    causations    uuid[]        not null,
    traceparents  text[]        not null,
    announcements int[]         not null,
    bodies        bytea[]       not null,
    -- Those of `ids` that the broker does not have yet; null: all.
    unsent        uuid[],
    returns       int           not null default 0,
    owner         uuid          not null,
    leased_until  timestamptz   not null,
    created_at    timestamptz   not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table saga.outbox alter column bodies set storage external;
insert into saga.outbox (unit, ids, sagas, types, fanned_out, causations, traceparents, announcements, bodies, returns, owner,
                         leased_until, created_at)
select id, array[id], array[saga_id], array[type], array[exchange = 'saga.failures'], array[causation_id], array[traceparent],
       array[announcement], array[body], returns, owner, leased_until, created_at
from saga.outbox_of_events;
drop table saga.outbox_of_events;

-- The outbox, event by event: for people, audits and tests.
create view saga.unsent as
select o.unit, m.id, m.saga_id, m.type, m.fanned_out, m.causation_id, m.traceparent, m.announcement, m.body, o.returns,
       o.owner, o.leased_until, o.created_at
from saga.outbox o,
     unnest(o.ids, o.sagas, o.types, o.fanned_out, o.causations, o.traceparents, o.announcements, o.bodies)
         m(id, saga_id, type, fanned_out, causation_id, traceparent, announcement, body)
where o.unsent is null or m.id = any(o.unsent);

-- Which unit has said an announcement last: until the broker has that, it is not said again.
alter table saga.announcements add column unit uuid;

-- An event's step may have ended the transaction that its guard row was inserted in: then nothing more may be written.
create function saga.must_be_in(xact text) returns boolean
    language plpgsql
as $$
begin
    if pg_current_xact_id_if_assigned() is distinct from xact::xid8 then
        raise exception 'this is not the transaction that the guard rows were inserted in: nothing more is written';
    end if;
    return true;
end $$;
