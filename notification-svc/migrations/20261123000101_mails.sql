-- The e-mail of each note, and what became of it. Written with its note; a note itself never changes. Notes from before there
-- were e-mails have none: nobody is told late.
create table mails (
    message_id  uuid        primary key,
    customer_id text        not null,
    state       text        not null default 'pending' check (state in ('pending', 'sent', 'refused')),
    attempts    int         not null default 0,
    last_error  text,
    -- While somebody is sending it: when somebody else may.
    due_at      timestamptz not null default clock_timestamp(),
    created_at  timestamptz not null default clock_timestamp(),
    settled_at  timestamptz
);
create index mails_due on mails (due_at) where state = 'pending';
