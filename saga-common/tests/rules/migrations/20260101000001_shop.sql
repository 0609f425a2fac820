-- What the steps of these tests do: every run that was committed is a row.
create table effects (
    at      bigint generated always as identity,
    saga_id uuid   not null,
    step    text   not null
);
create table reasons (saga_id uuid not null, reason varchar(200) not null);
create table stock (sku text primary key, taken bigint not null default 0);
create table orders (id uuid primary key, status text not null);
