-- An order and its lines are inserted by one statement, and neither is ever deleted: looking each line's order up again took
-- longer than inserting it.
alter table order_lines drop constraint order_lines_order_id_fkey;

-- Asked once an hour, for a range of ids.
drop index orders_unfinished;
