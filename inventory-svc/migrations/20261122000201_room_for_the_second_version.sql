-- Every reservation is written twice, within moments: sold, or released. With room for that it stays in its page, and its index
-- entry stays as it is.
alter table reservations set (fillfactor = 45);
