-- Every customer was told, by the step that handled the message.
create temporary table told as
select order_id::uuid, kind, md5(order_id || ' ' || heard)::uuid as message_id
from (values
    ('019a0000-0000-7000-8000-0000000000a1', 'confirmed', 'orders confirm-order'),
    ('019a0000-0000-7000-8000-0000000000c3', 'confirmed', 'orders confirm-order'),
    ('019a0000-0000-7000-8000-0000000000b2', 'cancelled', 'orders answer:payment'),
    ('019a0000-0000-7000-8000-0000000000d4', 'cancelled', 'orders answer:payment'),
    ('019a0000-0000-7000-8000-0000000000e5', 'cancelled', 'orders answer:payment'),
    ('019a0000-0000-7000-8000-0000000000f6', 'cancelled', 'orders answer:payment')
) n(order_id, kind, heard);

insert into notifications (message_id, order_id, kind, text)
select message_id, order_id, kind, 'your order is ' || kind from told;

insert into saga.idempotency_keys (saga_id, step, verdict, message_id)
select order_id, 'notify:' || message_id, 'done', message_id from told;

drop table told;
