-- What people have done here by hand: who, what, to what. Lines are added with what they speak of, and never changed.
create table saga.acts (
    id      bigint      generated always as identity primary key,
    at      timestamptz not null default clock_timestamp(),
    subject text        not null,
    act     text        not null,
    target  text        not null
);
