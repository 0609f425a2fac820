//! Money: in wallets, and at the provider.

use sagactl::audit::Database::Payment;
use serde_json::json;

use super::{Corruption, Lie, sql};
use crate::ledger::Ledger;
use crate::stage::Stage;

const fn ledger(
    name: &'static str,
    lie: fn(Ledger, &Stage) -> Ledger,
    found_by: &'static [&'static str],
) -> Corruption {
    Corruption { invariant: 2, name, lie: Lie::Ledger(lie), found_by }
}

pub(super) const ALL: &[Corruption] = &[
    sql(
        2,
        "a balance from nowhere",
        (Payment, "update wallets set balance_minor = balance_minor + 1 where customer_id = 'anna'"),
        &["wallets-balance"],
    ),
    sql(
        2,
        "a wallet that was opened twice",
        (
            Payment,
            "insert into wallet_movements (customer_id, kind, amount_minor) values ('anna', 'opening', 500);
             update wallets set balance_minor = balance_minor + 500 where customer_id = 'anna'",
        ),
        &["wallets-open-once"],
    ),
    sql(
        6,
        "a wallet charged twice",
        (
            Payment,
            "insert into wallet_movements (customer_id, order_id, kind, amount_minor)
             select customer_id, order_id, kind, amount_minor from wallet_movements where order_id = '{wallet}';
             update wallets set balance_minor = balance_minor - 4380 where customer_id = 'anna'",
        ),
        &["orders-are-charged-once", "payments-match-movements", "wallets-pay-confirmed-orders"],
    ),
    sql(
        6,
        "a wallet refunded twice",
        (
            Payment,
            "insert into wallet_movements (customer_id, order_id, kind, amount_minor)
             select customer_id, order_id, kind, amount_minor from wallet_movements
             where order_id = '{refunded}' and kind = 'refund';
             update wallets set balance_minor = balance_minor + 5400 where customer_id = 'fay'",
        ),
        &["orders-are-charged-once", "payments-match-movements", "wallets-pay-confirmed-orders"],
    ),
    sql(
        6,
        "a refund before its charge",
        (
            Payment,
            "update wallet_movements set kind = case kind when 'charge' then 'refund' else 'charge' end,
                    amount_minor = -amount_minor where order_id = '{refunded}'",
        ),
        &["orders-are-charged-once"],
    ),
    sql(
        2,
        "a refund that was lost",
        (
            Payment,
            "delete from wallet_movements where order_id = '{refunded}' and kind = 'refund';
             update wallets set balance_minor = balance_minor - 5400 where customer_id = 'fay'",
        ),
        &["payments-match-movements", "wallets-pay-confirmed-orders"],
    ),
    sql(
        4,
        "a cancelled order's payment that stands",
        (Payment, "update payments set status = 'charged' where order_id = '{refunded}'"),
        &["payments-match-movements", "payments-match-guards", "cancelled-orders-keep-no-money"],
    ),
    sql(
        4,
        "a confirmed order's payment that was declined",
        (Payment, "update payments set status = 'declined' where order_id = '{card}'"),
        &["payments-match-guards", "confirmed-orders-are-paid", "payments-match-provider"],
    ),
    sql(
        2,
        "somebody else's payment",
        (Payment, "update payments set customer_id = 'eve' where order_id = '{card}'"),
        &["payments-match-orders"],
    ),
    sql(
        2,
        "another amount tried for a declined order",
        (Payment, "update payments set amount_minor = 1 where order_id = '{card-declined}'"),
        &["payments-match-orders"],
    ),
    sql(
        2,
        "a payment that names another's charge",
        (
            Payment,
            "update payments set provider_reference =
                    (select provider_reference from payments where order_id = '{card-refunded}') where order_id = '{card}'",
        ),
        &["payments-match-provider"],
    ),
    sql(
        7,
        "a charge that nobody settles",
        (
            Payment,
            "update payments set status = 'charging' where order_id = '{card}';
             update saga.idempotency_keys set verdict = 'intent' where saga_id = '{card}' and step = 'charge-payment'",
        ),
        &["guards-settle", "confirmed-orders-are-paid", "confirmed-orders-agree", "payments-match-provider"],
    ),
    ledger(
        "a card charged twice",
        |ledger, stage| ledger.intent("pi_again", &stage.id("card").to_string(), 1450, "succeeded"),
        &["provider-charges-once", "provider-pays-confirmed-orders"],
    ),
    ledger(
        "a card charged for a cancelled order",
        |ledger, stage| ledger.intent("pi_late", &stage.id("voided").to_string(), 1800, "succeeded"),
        &["provider-pays-confirmed-orders"],
    ),
    ledger(
        "a card charged for what a wallet has paid",
        |ledger, stage| ledger.intent("pi_too", &stage.id("wallet").to_string(), 4380, "succeeded"),
        &["provider-pays-confirmed-orders", "payments-match-provider"],
    ),
    ledger(
        "a refund that the provider does not know",
        |ledger, _| Ledger { refunds: Vec::new(), ..ledger },
        &["provider-pays-confirmed-orders", "payments-match-provider"],
    ),
    ledger(
        "a refund in two parts",
        |mut ledger, _| {
            let mut second = ledger.refunds[0].clone();
            (second["id"], second["amount"]) = (json!("re_second"), json!(900));
            ledger.refunds[0]["amount"] = json!(900);
            ledger.refunds.push(second);
            ledger
        },
        &["provider-charges-once"],
    ),
    ledger(
        "a charge that the provider has forgotten",
        |ledger, _| Ledger { intents: Vec::new(), ..ledger },
        &["provider-pays-confirmed-orders", "payments-match-provider"],
    ),
    ledger(
        "a charge in another currency",
        |mut ledger, _| {
            ledger.intents.iter_mut().for_each(|intent| intent["currency"] = json!("usd"));
            ledger
        },
        &["provider-pays-confirmed-orders"],
    ),
    ledger(
        "a charge for an order that nobody placed",
        |ledger, _| ledger.intent("pi_x", "019a0000-0000-7000-8000-000000000000", 5, "succeeded"),
        &["no-phantoms"],
    ),
    sql(
        10,
        "a payment of an order that nobody placed",
        (
            Payment,
            "insert into payments (order_id, customer_id, amount_minor, currency, method, status)
             values ('019a0000-0000-7000-8000-000000000000', 'anna', 1, 'EUR', 'wallet', 'declined')",
        ),
        &["no-phantoms"],
    ),
];
