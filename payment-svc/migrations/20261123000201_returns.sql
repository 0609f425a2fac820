-- The return that the order's money was given back for; none if it never was, or because the order failed.
alter table payments add column return_id uuid;
