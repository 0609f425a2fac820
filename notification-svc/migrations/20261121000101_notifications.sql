-- What customers were told: one row for each message that was worth a note.
create table notifications (
    message_id uuid        primary key,
    order_id   uuid        not null,
    kind       text        not null,
    text       text        not null,
    created_at timestamptz not null default clock_timestamp()
);
create index notifications_order on notifications (order_id);
create index notifications_latest on notifications (created_at);
