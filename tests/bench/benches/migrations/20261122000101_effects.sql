-- What the step of the benchmark does: one row an event.
create table effects (saga_id uuid primary key, sku text not null, quantity bigint not null);
