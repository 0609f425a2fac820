-- What a new customer's wallet holds: one row, written by every start, so that all replicas agree and one statement can
-- open wallets.
create table opening (
    only_row      boolean primary key default true check (only_row),
    balance_minor bigint  not null check (balance_minor >= 0),
    currency      text    not null
);
insert into opening (balance_minor, currency) values (100000, 'EUR');

-- Wallets. `balance_minor` is the sum of the wallet's movements; both are only ever written by one statement.
create table wallets (
    customer_id   text   primary key,
    balance_minor bigint not null check (balance_minor >= 0),
    currency      text   not null
) with (fillfactor = 60);

create table wallet_movements (
    id           bigint      generated always as identity primary key,
    customer_id  text        not null,
    order_id     uuid,
    kind         text        not null check (kind in ('opening', 'adjustment', 'charge', 'refund')),
    amount_minor bigint      not null,
    at           timestamptz not null default clock_timestamp(),
    check ((order_id is null) = (kind in ('opening', 'adjustment')))
);

-- One row per order that was to be paid, by wallet or by card.
create table payments (
    order_id           uuid        primary key,
    customer_id        text        not null,
    amount_minor       bigint      not null check (amount_minor >= 0),
    currency           text        not null,
    method             text        not null,
    status             text        not null
                       check (status in ('charging', 'charged', 'declined', 'refunding', 'refunded', 'voided')),
    -- The provider's id of the payment intent.
    provider_reference text,
    reason             text,
    created_at         timestamptz not null default clock_timestamp(),
    updated_at         timestamptz not null default clock_timestamp()
) with (fillfactor = 80);
create index payments_unfinished on payments (order_id) where status in ('charging', 'refunding');

-- A demo customer who can never pay.
insert into wallets (customer_id, balance_minor, currency) values ('poor-paula', 0, 'EUR');
insert into wallet_movements (customer_id, kind, amount_minor) values ('poor-paula', 'opening', 0);
