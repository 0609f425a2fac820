-- What an order had bought may come back: then it is on the shelf again.
alter table reservations drop constraint reservations_state_check;
alter table reservations add constraint reservations_state_check
    check (state in ('held', 'released', 'sold', 'returned')) not valid;

-- The return with which it came back.
alter table reservations add column return_id uuid;
