create table points (
    saga_id uuid primary key,
    customer_id text not null,
    points bigint not null
);
