-- The engine's tables, in a schema of their own. Business tables live in `public` and are the service's business.

-- One guard row per (saga, step): dedupes redelivery, is the compensation barrier, and is this service's line in the
-- saga's timeline. Partitioned by the saga id, which is time-ordered (UUIDv7), so the key stays unique and retention is
-- DROP TABLE of a partition. There is no default partition: an id outside of every partition must not slip in.
create table saga.idempotency_keys (
    saga_id      uuid        not null,
    step         text        not null,
    verdict      text        not null check (verdict in ('open', 'done', 'rejected', 'superseded', 'intent', 'undoing',
                                                         'undone', 'fenced', 'nothing-to-undo')),
    message_id   uuid        not null,
    causation_id uuid,
    body_hash    bytea,
    said_type    text,
    said_id      uuid,
    said_body    bytea,
    detail       text,
    created_at   timestamptz not null default clock_timestamp(),
    settled_at   timestamptz,
    primary key (saga_id, step)
) partition by range (saga_id);

-- What is committed but not yet known to be with the broker. A row goes when its publication is confirmed.
create table saga.outbox (
    id           uuid        primary key,
    saga_id      uuid        not null,
    exchange     text        not null,
    routing_key  text        not null,
    type         text        not null,
    causation_id uuid,
    traceparent  text,
    announcement int         not null default 0,
    body         bytea       not null,
    owner        uuid        not null,
    leased_until timestamptz not null,
    created_at   timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Messages that wait for another attempt, are suspected of ending the process, or are parked for a person.
create table saga.waiting (
    message_id    uuid        not null,
    step          text        not null,
    queue         text        not null check (queue in ('events', 'failures')),
    saga_id       uuid,
    type          text        not null,
    source        text        not null,
    causation_id  uuid,
    traceparent   text,
    announcement  int         not null,
    body          bytea       not null,
    state         text        not null check (state in ('suspect', 'waiting', 'parked')),
    attempts      int         not null default 0,
    reason        text        not null default '',
    redrivable    boolean     not null default true,
    first_seen_at timestamptz not null default clock_timestamp(),
    due_at        timestamptz not null default clock_timestamp(),
    primary key (message_id, step)
);
create index waiting_due on saga.waiting (due_at) where state <> 'parked';
create index waiting_saga on saga.waiting (saga_id);

-- Unfinished calls to the outside. The row goes with the transaction that ends the job.
create table saga.jobs (
    saga_id      uuid        not null,
    step         text        not null,
    phase        text        not null check (phase in ('call', 'undo')),
    epoch        bigint      not null default 0,
    attempts     int         not null default 0,
    message_id   uuid        not null,
    data         jsonb       not null,
    last_error   text,
    due_at       timestamptz not null default clock_timestamp(),
    leased_until timestamptz,
    created_at   timestamptz not null default clock_timestamp(),
    primary key (saga_id, step)
);
create index jobs_due on saga.jobs (due_at);

-- Announcements that somebody has yet to answer.
create table saga.announcements (
    saga_id      uuid        primary key,
    message_id   uuid        not null,
    exchange     text        not null,
    routing_key  text        not null,
    type         text        not null,
    causation_id uuid,
    body         bytea       not null,
    repeats      int         not null default 0,
    due_at       timestamptz not null
);
create index announcements_due on saga.announcements (due_at);
