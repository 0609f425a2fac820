-- Six orders at rest: two confirmed, four cancelled, by wallet and by card.
insert into orders (id, customer_id, currency, amount_minor, payment_method, status, reason, required_answers, answers, deadline_at, created_at, updated_at, closed_at)
select id::uuid, customer_id, 'EUR', amount_minor, payment_method, status, reason, '{inventory,payment}', answers,
       now() - interval '1 hour', now() - interval '2 hours', now() - interval '2 hours', closed_at
from (values
    ('019a0000-0000-7000-8000-0000000000a1', 'anna',  2580, 'wallet',       'confirmed', null,                0, now()),
    ('019a0000-0000-7000-8000-0000000000b2', 'paula', 1290, 'wallet',       'cancelled', 'payment_declined',  3, null),
    ('019a0000-0000-7000-8000-0000000000c3', 'carl',  3250, 'pm_card_visa', 'confirmed', null,                0, now()),
    ('019a0000-0000-7000-8000-0000000000d4', 'dora',   990, 'pm_card_visa', 'cancelled', 'cancelled_by_user', 3, null),
    ('019a0000-0000-7000-8000-0000000000e5', 'erik',  7900, 'wallet',       'cancelled', 'out_of_stock',      3, null),
    ('019a0000-0000-7000-8000-0000000000f6', 'fay',   1290, 'wallet',       'cancelled', 'deadline',          3, null)
) o(id, customer_id, amount_minor, payment_method, status, reason, answers, closed_at);

insert into order_lines (order_id, line, sku, quantity, unit_price_minor)
select order_id::uuid, line, sku, quantity, unit_price_minor
from (values
    ('019a0000-0000-7000-8000-0000000000a1', 1, 'TEA-SENCHA-100',   2, 1290),
    ('019a0000-0000-7000-8000-0000000000b2', 1, 'TEA-SENCHA-100',   1, 1290),
    ('019a0000-0000-7000-8000-0000000000c3', 1, 'COFFEE-ETH-250',   1, 1450),
    ('019a0000-0000-7000-8000-0000000000c3', 2, 'MUG-STONE',        1, 1800),
    ('019a0000-0000-7000-8000-0000000000d4', 1, 'TEA-EARLGREY-100', 1,  990),
    ('019a0000-0000-7000-8000-0000000000e5', 1, 'TEAPOT-CAST',      1, 7900),
    ('019a0000-0000-7000-8000-0000000000f6', 1, 'TEA-SENCHA-100',   1, 1290)
) l(order_id, line, sku, quantity, unit_price_minor);

insert into request_keys (customer_id, key, body_hash, order_id)
values ('anna', 'first', '\x00', '019a0000-0000-7000-8000-0000000000a1');

-- A message's id is made from its saga, its sayer and the step that said it.
insert into saga.idempotency_keys (saga_id, step, verdict, message_id, said_type, said_id, said_unit)
select saga_id::uuid, step, verdict, md5(saga_id || ' ' || heard)::uuid, said_type,
       case when said_type is not null then md5(saga_id || ' orders ' || step)::uuid end,
       case when said_type is not null then saga_id::uuid end
from (values
    ('019a0000-0000-7000-8000-0000000000a1', 'place-order',      'done',       'orders place-order',     'order.placed.v1'),
    ('019a0000-0000-7000-8000-0000000000a1', 'confirm-order',    'done',       'payment charge-payment', 'order.confirmed.v1'),
    ('019a0000-0000-7000-8000-0000000000a1', 'close-order',      'done',       'inventory commit-stock', null),
    ('019a0000-0000-7000-8000-0000000000c3', 'place-order',      'done',       'orders place-order',     'order.placed.v1'),
    ('019a0000-0000-7000-8000-0000000000c3', 'confirm-order',    'done',       'payment charge-payment', 'order.confirmed.v1'),
    ('019a0000-0000-7000-8000-0000000000c3', 'close-order',      'done',       'inventory commit-stock', null),
    ('019a0000-0000-7000-8000-0000000000b2', 'place-order',      'undone',     'orders place-order',     'order.placed.v1'),
    ('019a0000-0000-7000-8000-0000000000b2', 'answer:inventory', 'done',       'inventory compensate',   null),
    ('019a0000-0000-7000-8000-0000000000b2', 'answer:payment',   'done',       'payment compensate',     'order.cancelled.v1'),
    ('019a0000-0000-7000-8000-0000000000d4', 'place-order',      'undone',     'orders place-order',     'order.placed.v1'),
    ('019a0000-0000-7000-8000-0000000000d4', 'confirm-order',    'superseded', 'payment charge-payment', null),
    ('019a0000-0000-7000-8000-0000000000d4', 'answer:inventory', 'done',       'inventory compensate',   null),
    ('019a0000-0000-7000-8000-0000000000d4', 'answer:payment',   'done',       'payment compensate',     'order.cancelled.v1'),
    ('019a0000-0000-7000-8000-0000000000e5', 'place-order',      'undone',     'orders place-order',     'order.placed.v1'),
    ('019a0000-0000-7000-8000-0000000000e5', 'answer:inventory', 'done',       'inventory compensate',   null),
    ('019a0000-0000-7000-8000-0000000000e5', 'answer:payment',   'done',       'payment compensate',     'order.cancelled.v1'),
    ('019a0000-0000-7000-8000-0000000000f6', 'place-order',      'undone',     'orders place-order',     'order.placed.v1'),
    ('019a0000-0000-7000-8000-0000000000f6', 'confirm-order',    'superseded', 'payment charge-payment', null),
    ('019a0000-0000-7000-8000-0000000000f6', 'answer:inventory', 'done',       'inventory compensate',   null),
    ('019a0000-0000-7000-8000-0000000000f6', 'answer:payment',   'done',       'payment compensate',     'order.cancelled.v1')
) g(saga_id, step, verdict, heard, said_type);
insert into saga.said (unit, ids, bodies)
select said_unit, array_agg(said_id), array_agg('{}'::bytea) from saga.idempotency_keys where said_id is not null group by said_unit;
