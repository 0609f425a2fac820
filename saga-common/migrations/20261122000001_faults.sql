-- Failure injection: what a saga's messages carry, and how often each directive may still fire in this service. Empty
-- unless the process was started with fault injection on.
create table saga.faults (
    saga_id    uuid        not null,
    n          bigint      not null,
    directive  text        not null,
    times_left int         not null,
    fired_at   timestamptz,
    primary key (saga_id, n)
);

-- How often the broker had no queue for this message: the sweeper lets more and more time pass between its attempts.
alter table saga.outbox add column returns int not null default 0;
