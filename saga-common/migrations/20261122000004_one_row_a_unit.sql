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

-- The guard rows anew, not with a column dropped: rows would have to be converted on their way to partitions made later.
alter table saga.idempotency_keys rename to guards_of_before;
alter index saga.idempotency_keys_pkey rename to guards_of_before_pkey;
create table saga.idempotency_keys (
    saga_id      uuid        not null,
    step         text        not null,
    verdict      text        not null,
    message_id   uuid        not null,
    causation_id uuid,
    body_hash    bytea,
    said_type    text,
    said_id      uuid,
    said_unit    uuid,
    detail       text,
    created_at   timestamptz not null default clock_timestamp(),
    -- When the verdict was written, if that was after the row.
    settled_at   timestamptz,
    primary key (saga_id, step),
    -- Named, because the table of before still has a check of the name it would be given.
    constraint idempotency_keys_verdict_check check (verdict in ('open', 'done', 'rejected', 'superseded', 'intent', 'undoing',
                                                                 'undone', 'fenced', 'nothing-to-undo'))
) partition by range (saga_id);

do $$
declare
    day record;
    from_id uuid;
    to_id uuid;
begin
    for day in
        select c.relname old, to_date(right(c.relname, 8), 'YYYYMMDD') date, true guards
        from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'saga.guards_of_before'::regclass
        union
        select null, (timestamp '1970-01-01' + ('x' || left(replace(said_id::text, '-', ''), 12))::bit(48)::bigint
                                               * interval '1 ms')::date, false
        from saga.guards_of_before where said_id is not null
    loop
        from_id := rpad(lpad(to_hex((extract(epoch from day.date) * 1000)::bigint), 12, '0'), 32, '0')::uuid;
        to_id := rpad(lpad(to_hex((extract(epoch from day.date + 1) * 1000)::bigint), 12, '0'), 32, '0')::uuid;
        if day.guards then
            execute format('alter table saga.%I rename to %I', day.old, 'guards_of_before_' || to_char(day.date, 'YYYYMMDD'));
            execute format('create table saga.%I partition of saga.idempotency_keys for values from (%L) to (%L)', day.old,
                           from_id, to_id);
        end if;
        execute format('create table if not exists saga.%I partition of saga.said for values from (%L) to (%L)',
                       'said_' || to_char(day.date, 'YYYYMMDD'), from_id, to_id);
    end loop;
end $$;
-- What was said before is a unit of its own.
insert into saga.said (unit, ids, bodies)
select said_id, array[said_id], array[said_body] from saga.guards_of_before where said_id is not null
on conflict do nothing;
insert into saga.idempotency_keys (saga_id, step, verdict, message_id, causation_id, body_hash, said_type, said_id, said_unit,
                                   detail, created_at, settled_at)
select saga_id, step, verdict, message_id, causation_id, body_hash, said_type, said_id, said_id, detail, created_at, settled_at
from saga.guards_of_before;
drop table saga.guards_of_before;

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
-- What lives for moments is not worth compressing.
alter table saga.outbox alter column ids set storage external, alter column sagas set storage external,
    alter column types set storage external, alter column causations set storage external,
    alter column traceparents set storage external, alter column bodies set storage external;
insert into saga.outbox (unit, ids, sagas, types, fanned_out, causations, traceparents, announcements, bodies, returns, owner,
                         leased_until, created_at)
select id, array[id], array[saga_id], array[type], array[exchange = 'saga.failures'], array[causation_id], array[traceparent],
       array[announcement], array[body], returns, owner, leased_until, created_at
from saga.outbox_of_events;
drop table saga.outbox_of_events;
alter index saga.outbox_pkey1 rename to outbox_pkey;

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

-- BEGIN and the guard rows leave together. Had BEGIN failed (a statement can be cancelled at any moment), the rows would
-- be committed by themselves. The engine's transactions, and nothing else here, are begun as deferrable, which has no
-- other effect in them; a unit gives its transaction its name, which ends with it.
create function saga.begin_unit(unit uuid) returns boolean
    language plpgsql
as $$
begin
    if current_setting('transaction_deferrable') <> 'on' then
        raise exception 'there is no transaction that these rows belong to: they are not written';
    end if;
    perform set_config('saga.unit', unit::text, true);
    return true;
end $$;

-- A transaction may have been ended, or put in the place of another: what ends a unit must then be written nowhere. Stable,
-- so that it is asked once for a statement, also for one that finds no rows.
create function saga.must_be(unit uuid) returns boolean
    language plpgsql stable
as $$
begin
    if current_setting('saga.unit', true) is distinct from unit::text then
        raise exception 'this is not the transaction that the unit began in';
    end if;
    return true;
end $$;
