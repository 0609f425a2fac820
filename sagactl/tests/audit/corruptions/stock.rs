//! Articles: on the shelf, held, sold.

use sagactl::audit::Database::Inventory;

use super::{Corruption, sql};

pub(super) const ALL: &[Corruption] = &[
    sql(
        1,
        "an article more on the shelf",
        (Inventory, "update stock set available = available + 1 where sku = 'MUG-STONE'"),
        &["stock-balances"],
    ),
    sql(
        1,
        "a delivery that never came",
        (Inventory, "insert into stock_movements (sku, change) values ('MUG-STONE', 5)"),
        &["stock-balances"],
    ),
    sql(
        1,
        "the latest line of the log is gone",
        (Inventory, "delete from stock_movements where sku = 'SCALE-01' and reason = 'breakage'"),
        &["stock-balances"],
    ),
    sql(
        1,
        "a line amid the log is gone",
        (Inventory, "delete from stock_movements where sku = 'SCALE-01' and reason = 'found'"),
        &["stock-balances", "stock-movements-add-up"],
    ),
    sql(
        1,
        "a theft that is hidden in the log",
        (
            Inventory,
            "delete from stock_movements where sku = 'SCALE-01' and reason = 'found';
             update stock set available = available - 5 where sku = 'SCALE-01'",
        ),
        &["stock-movements-add-up"],
    ),
    sql(
        1,
        "lines that were changed so that they come to the same",
        (
            Inventory,
            "update stock_movements set change = change - 1 where sku = 'SCALE-01' and reason = 'found';
             update stock_movements set change = change + 1 where sku = 'SCALE-01' and reason = 'breakage'",
        ),
        &["stock-movements-add-up"],
    ),
    sql(
        1,
        "a balance and a total that were changed alike",
        (
            Inventory,
            "update stock set available = available + 1 where sku = 'SCALE-01';
             update stock_movements set total = total + 1 where sku = 'SCALE-01'",
        ),
        &["stock-balances", "stock-movements-add-up"],
    ),
    sql(
        1,
        "a total of nobody's reservations",
        (Inventory, "update stock set reserved = reserved + 1 where sku = 'MUG-STONE'"),
        &["stock-totals"],
    ),
    sql(
        1,
        "promised what was not there",
        (
            Inventory,
            "alter table stock drop constraint stock_available_check;
             insert into stock_movements (sku, change) select sku, -1 - available from stock where sku = 'KETTLE-GOOSE';
             update stock set available = -1 where sku = 'KETTLE-GOOSE'",
        ),
        &["stock-not-oversold"],
    ),
    sql(
        4,
        "half of what was bought is sold",
        (
            Inventory,
            "update reservations set quantity = 1 where order_id = '{wallet}' and sku = 'TEA-SENCHA-100';
             update stock set sold = sold - 1, available = available + 1 where sku = 'TEA-SENCHA-100'",
        ),
        &["confirmed-orders-have-their-stock", "reservations-match-orders"],
    ),
    sql(
        6,
        "more was reserved than ordered, and given back",
        (Inventory, "update reservations set quantity = 8 where order_id = '{declined}'"),
        &["reservations-match-orders"],
    ),
    sql(
        6,
        "restocked twice",
        (Inventory, "update stock set available = available + 3 where sku = 'MUG-STONE'"),
        &["stock-balances"],
    ),
    sql(
        6,
        "undone and never done",
        (
            Inventory,
            "update saga.idempotency_keys set verdict = 'undone' where saga_id = '{out-of-stock}' and step = 'reserve-stock'",
        ),
        &["reservations-match-guards"],
    ),
    sql(
        7,
        "a hold of an order that is closed",
        (
            Inventory,
            "update reservations set state = 'held' where order_id = '{card}';
             update stock set reserved = reserved + 1, sold = sold - 1 where sku = 'COFFEE-ETH-250'",
        ),
        &["reservations-match-guards", "confirmed-orders-have-their-stock"],
    ),
    sql(
        7,
        "a hold of a cancelled order",
        (
            Inventory,
            "update reservations set state = 'held' where order_id = '{declined}';
             update stock set reserved = reserved + 1, available = available - 1 where sku = 'TEA-SENCHA-100'",
        ),
        &["reservations-match-guards", "cancelled-orders-keep-no-stock"],
    ),
    sql(
        10,
        "a reservation of an order that nobody placed",
        (
            Inventory,
            "insert into reservations (order_id, sku, quantity, state)
             values ('019a0000-0000-7000-8000-000000000000', 'MUG-STONE', 1, 'released')",
        ),
        &["no-phantoms"],
    ),
];
