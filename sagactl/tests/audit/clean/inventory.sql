-- What the six orders left behind: two sold, three released, one never reserved.
insert into stock (sku, available, reserved, sold) values
    ('TEA-SENCHA-100', 98, 0, 2), ('TEA-EARLGREY-100', 100, 0, 0), ('COFFEE-ETH-250', 99, 0, 1), ('MUG-STONE', 109, 0, 1),
    ('TEAPOT-CAST', 0, 0, 0);

insert into stock_movements (sku, change) values
    ('TEA-SENCHA-100', 100), ('TEA-EARLGREY-100', 100), ('COFFEE-ETH-250', 100), ('MUG-STONE', 100), ('MUG-STONE', 10);

insert into reservations (order_id, sku, quantity, state)
select order_id::uuid, sku, quantity, state
from (values
    ('019a0000-0000-7000-8000-0000000000a1', 'TEA-SENCHA-100',   2, 'sold'),
    ('019a0000-0000-7000-8000-0000000000b2', 'TEA-SENCHA-100',   1, 'released'),
    ('019a0000-0000-7000-8000-0000000000c3', 'COFFEE-ETH-250',   1, 'sold'),
    ('019a0000-0000-7000-8000-0000000000c3', 'MUG-STONE',        1, 'sold'),
    ('019a0000-0000-7000-8000-0000000000d4', 'TEA-EARLGREY-100', 1, 'released'),
    ('019a0000-0000-7000-8000-0000000000f6', 'TEA-SENCHA-100',   1, 'released')
) r(order_id, sku, quantity, state);

-- A message's id is made from its saga, its sayer and the step that said it.
insert into saga.idempotency_keys (saga_id, step, verdict, message_id, said_type, said_id, said_unit)
select saga_id::uuid, step, verdict, md5(saga_id || ' ' || heard)::uuid, said_type,
       case when said_type is not null then md5(saga_id || ' inventory ' || step)::uuid end,
       case when said_type is not null then saga_id::uuid end
from (values
    ('019a0000-0000-7000-8000-0000000000a1', 'reserve-stock', 'done',            'orders place-order',      'stock.reserved.v1'),
    ('019a0000-0000-7000-8000-0000000000a1', 'commit-stock',  'done',            'orders confirm-order',    'stock.committed.v1'),
    ('019a0000-0000-7000-8000-0000000000c3', 'reserve-stock', 'done',            'orders place-order',      'stock.reserved.v1'),
    ('019a0000-0000-7000-8000-0000000000c3', 'commit-stock',  'done',            'orders confirm-order',    'stock.committed.v1'),
    ('019a0000-0000-7000-8000-0000000000b2', 'reserve-stock', 'undone',          'orders place-order',      'stock.reserved.v1'),
    ('019a0000-0000-7000-8000-0000000000b2', 'compensate',    'undone',          'payment charge-payment',  'saga.compensated.v1'),
    ('019a0000-0000-7000-8000-0000000000d4', 'reserve-stock', 'undone',          'orders place-order',      'stock.reserved.v1'),
    ('019a0000-0000-7000-8000-0000000000d4', 'compensate',    'undone',          'orders unrecorded',       'saga.compensated.v1'),
    ('019a0000-0000-7000-8000-0000000000e5', 'reserve-stock', 'rejected',        'orders place-order',      'stock.rejected.v1'),
    ('019a0000-0000-7000-8000-0000000000e5', 'compensate',    'nothing-to-undo', 'inventory reserve-stock', 'saga.compensated.v1'),
    ('019a0000-0000-7000-8000-0000000000f6', 'reserve-stock', 'undone',          'orders place-order',      'stock.reserved.v1'),
    ('019a0000-0000-7000-8000-0000000000f6', 'compensate',    'undone',          'orders unrecorded',       'saga.compensated.v1')
) g(saga_id, step, verdict, heard, said_type);
insert into saga.said (unit, ids, bodies)
select said_unit, array_agg(said_id), array_agg('{}'::bytea) from saga.idempotency_keys where said_id is not null group by said_unit;
