-- A customer lists their own orders, latest first.
create index orders_customer on orders (customer_id, id);
