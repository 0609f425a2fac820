-- Orders. The row is the saga's linearisation point: whoever moves `status` away from `pending` has decided.
create table orders (
    id               uuid        primary key,
    customer_id      text        not null,
    currency         text        not null,
    amount_minor     bigint      not null check (amount_minor >= 0),
    payment_method   text        not null,
    status           text        not null default 'pending'
                     check (status in ('pending', 'confirmed', 'shipped', 'delivered', 'cancelling', 'cancelled')),
    reason           text,
    -- Who must answer before `cancelling` becomes `cancelled`; bit i of `answers` is required_answers[i + 1].
    required_answers text[]      not null,
    answers          int         not null default 0,
    deadline_at      timestamptz not null,
    created_at       timestamptz not null default clock_timestamp(),
    updated_at       timestamptz not null default clock_timestamp(),
    closed_at        timestamptz
) with (fillfactor = 60);
create index orders_deadline on orders (deadline_at) where status = 'pending';
create index orders_unfinished on orders (id) where status in ('pending', 'cancelling');
create index orders_status on orders (status, id);

create table order_lines (
    order_id         uuid   not null references orders,
    line             int    not null,
    sku              text   not null,
    quantity         bigint not null check (quantity > 0),
    unit_price_minor bigint not null check (unit_price_minor >= 0),
    primary key (order_id, line)
);

-- Idempotency keys of HTTP requests, kept for a day or longer.
create table request_keys (
    customer_id text        not null,
    key         text        not null,
    body_hash   bytea       not null,
    order_id    uuid        not null,
    created_at  timestamptz not null default clock_timestamp(),
    primary key (customer_id, key)
);
create index request_keys_age on request_keys (created_at);

-- The price list.
create table products (
    sku              text   primary key,
    name             text   not null,
    unit_price_minor bigint not null check (unit_price_minor >= 0),
    currency         text   not null
);

insert into products (sku, name, unit_price_minor, currency) values
    ('TEA-SENCHA-100',   'Sencha green tea, 100 g',             1290, 'EUR'),
    ('TEA-EARLGREY-100', 'Earl Grey, 100 g',                     990, 'EUR'),
    ('COFFEE-ETH-250',   'Ethiopia Yirgacheffe beans, 250 g',   1450, 'EUR'),
    ('COFFEE-DECAF-250', 'Decaf house blend, 250 g',            1350, 'EUR'),
    ('GRINDER-HAND',     'Hand grinder',                        6900, 'EUR'),
    ('KETTLE-GOOSE',     'Gooseneck kettle',                    8900, 'EUR'),
    ('MUG-STONE',        'Stoneware mug',                       1800, 'EUR'),
    ('FILTER-V60-100',   'Paper filters, 100 pieces',            590, 'EUR'),
    ('SCALE-01',         'Brewing scale, 0.1 g',                4500, 'EUR'),
    ('TEAPOT-CAST',      'Cast iron teapot',                    7900, 'EUR');
