-- A delivered order can come back.
alter table orders drop constraint orders_status_check;
alter table orders add constraint orders_status_check
    check (status in ('pending', 'confirmed', 'shipped', 'delivered', 'cancelling', 'cancelled', 'returning', 'returned'))
    not valid;

-- Returns: sagas of their own, at most one an order. A return is changed only by who has locked its order's row.
create table returns (
    id           uuid        primary key,
    order_id     uuid        not null unique,
    requested_at timestamptz not null default clock_timestamp(),
    -- When the money was back, when the stock; with the later of the two it is closed.
    refunded_at  timestamptz,
    restocked_at timestamptz,
    closed_at    timestamptz,
    check ((closed_at is not null) = (refunded_at is not null and restocked_at is not null))
);
create index returns_open on returns (id) where closed_at is null;
