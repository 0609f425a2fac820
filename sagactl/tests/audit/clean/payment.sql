-- The money of the six orders: charged, declined and given back, in wallets and at the provider.
insert into wallets (customer_id, balance_minor, currency) values ('anna', 97420, 'EUR'), ('paula', 0, 'EUR'), ('fay', 100500, 'EUR');

insert into wallet_movements (customer_id, order_id, kind, amount_minor)
select customer_id, order_id::uuid, kind, amount_minor
from (values
    ('anna', null,                                   'opening',    100000),
    ('anna', '019a0000-0000-7000-8000-0000000000a1', 'charge',      -2580),
    ('paula', null,                                  'opening',         0),
    ('fay',  null,                                   'opening',    100000),
    ('fay',  '019a0000-0000-7000-8000-0000000000f6', 'charge',      -1290),
    ('fay',  '019a0000-0000-7000-8000-0000000000f6', 'refund',       1290),
    ('fay',  null,                                   'adjustment',    500)
) m(customer_id, order_id, kind, amount_minor);

insert into payments (order_id, customer_id, amount_minor, currency, method, status, provider_reference)
select order_id::uuid, customer_id, amount_minor, 'EUR', method, status, provider_reference
from (values
    ('019a0000-0000-7000-8000-0000000000a1', 'anna',  2580, 'wallet',       'charged',  null),
    ('019a0000-0000-7000-8000-0000000000b2', 'paula', 1290, 'wallet',       'declined', null),
    ('019a0000-0000-7000-8000-0000000000c3', 'carl',  3250, 'pm_card_visa', 'charged',  'pi_c3'),
    ('019a0000-0000-7000-8000-0000000000d4', 'dora',   990, 'pm_card_visa', 'refunded', 'pi_d4'),
    ('019a0000-0000-7000-8000-0000000000f6', 'fay',   1290, 'wallet',       'refunded', null)
) p(order_id, customer_id, amount_minor, method, status, provider_reference);

-- A message's id is made from its saga, its sayer and the step that said it.
insert into saga.idempotency_keys (saga_id, step, verdict, message_id, said_type, said_id, said_unit)
select saga_id::uuid, step, verdict, md5(saga_id || ' ' || heard)::uuid, said_type,
       case when said_type is not null then md5(saga_id || ' payment ' || step)::uuid end,
       case when said_type is not null then saga_id::uuid end
from (values
    ('019a0000-0000-7000-8000-0000000000a1', 'charge-payment', 'done',            'inventory reserve-stock', 'payment.charged.v1'),
    ('019a0000-0000-7000-8000-0000000000c3', 'charge-payment', 'done',            'inventory reserve-stock', 'payment.charged.v1'),
    ('019a0000-0000-7000-8000-0000000000b2', 'charge-payment', 'rejected',        'inventory reserve-stock', 'payment.declined.v1'),
    ('019a0000-0000-7000-8000-0000000000b2', 'compensate',     'nothing-to-undo', 'payment charge-payment',  'saga.compensated.v1'),
    ('019a0000-0000-7000-8000-0000000000d4', 'charge-payment', 'undone',          'inventory reserve-stock', 'payment.charged.v1'),
    ('019a0000-0000-7000-8000-0000000000d4', 'compensate',     'undone',          'orders unrecorded',       'saga.compensated.v1'),
    ('019a0000-0000-7000-8000-0000000000e5', 'charge-payment', 'fenced',          'inventory reserve-stock', null),
    ('019a0000-0000-7000-8000-0000000000e5', 'compensate',     'fenced',          'inventory reserve-stock', 'saga.compensated.v1'),
    ('019a0000-0000-7000-8000-0000000000f6', 'charge-payment', 'undone',          'inventory reserve-stock', 'payment.charged.v1'),
    ('019a0000-0000-7000-8000-0000000000f6', 'compensate',     'undone',          'orders unrecorded',       'saga.compensated.v1')
) g(saga_id, step, verdict, heard, said_type);
insert into saga.said (unit, ids, bodies)
select said_unit, array_agg(said_id), array_agg('{}'::bytea) from saga.idempotency_keys where said_id is not null group by said_unit;
