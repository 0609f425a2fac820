-- Two customers were told.
insert into notifications (message_id, order_id, kind, text)
select gen_random_uuid(), order_id::uuid, kind, 'your order is ' || kind
from (values
    ('019a0000-0000-7000-8000-0000000000a1', 'confirmed'),
    ('019a0000-0000-7000-8000-0000000000b2', 'cancelled')
) n(order_id, kind);
