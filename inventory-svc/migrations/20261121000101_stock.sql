-- What there is of each article. Sagas that know nothing of each other change the same row: each locks its rows first,
-- all at once and in the order of their keys (store.rs). Articles are never deleted. Room in the pages keeps updates
-- out of the index.
create table stock (
    sku       text   primary key,
    available bigint not null check (available >= 0),
    reserved  bigint not null default 0 check (reserved >= 0),
    sold      bigint not null default 0 check (sold >= 0)
) with (fillfactor = 50);

-- What each order took off the shelf, and what became of it. The order is the saga. Rows are written only for articles
-- that their transaction has just locked, so a foreign key could find nothing wrong.
create table reservations (
    order_id uuid   not null,
    sku      text   not null,
    quantity bigint not null check (quantity > 0),
    state    text   not null check (state in ('held', 'released', 'sold')),
    primary key (order_id, sku)
) with (fillfactor = 80);

-- Every change of `available` that no order made: with it, stock balances to the piece.
create table stock_adjustments (
    id    bigint      generated always as identity primary key,
    sku   text        not null references stock,
    delta bigint      not null,
    at    timestamptz not null default clock_timestamp()
);
