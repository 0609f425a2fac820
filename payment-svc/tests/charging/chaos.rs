//! Everything at once: cards of all kinds, failures, a provider that freezes and dies, a service that is killed.

use crate::stage::{Order, Stage};
use sagactl::client::Service;
use sagactl::stack::{Instance, Program};
use std::time::Duration;
use tokio::time::sleep;

const METHODS: [&str; 8] = [
    "wallet",
    "pm_card_visa",
    "pm_card_sandboxSlow",
    "pm_card_sandboxErrorAfterCharge",
    "pm_card_visa",
    "pm_card_sandboxTimeout",
    "pm_card_chargeDeclined",
    "pm_card_authenticationRequired",
];

fn declines(order: &Order) -> bool {
    order.method.contains("Declined") || order.method.contains("authentication")
}

#[tokio::test]
async fn no_order_is_charged_twice_and_no_failed_order_keeps_money() {
    let stage = Stage::with(|options| {
        let options = options.replicas(Service::Payment, 2);
        options.env(Program::SandboxProvider, "SLOW_MS", 400).env(Service::Payment, "PROVIDER_TIMEOUT_MS", 500)
    })
    .await;
    let orders: Vec<Order> = (0..160).map(|n| Order::by(METHODS[n % METHODS.len()])).collect();
    let fails = |n: usize| n % 5 < 2;
    // The pauses are the load's and the faults' own rhythm; nothing is waited for by them.
    tokio::join!(
        async {
            for some in orders.chunks(8) {
                stage.reserve_all(some).await;
                sleep(Duration::from_millis(150)).await;
            }
        },
        async {
            for (n, order) in orders.iter().enumerate() {
                if fails(n) {
                    stage.fail(order.id, 0).await;
                }
                sleep(Duration::from_millis(20)).await;
            }
        },
        async {
            for round in 0..6 {
                sleep(Duration::from_millis(300)).await;
                stage.stack.pause(Program::SandboxProvider).expect("it runs");
                sleep(Duration::from_millis(600)).await;
                stage.stack.resume(Program::SandboxProvider).expect("it runs");
                let killed: Instance = match round % 3 {
                    0 => Service::Payment.into(),
                    1 => (Service::Payment, 1).into(),
                    _ => Program::SandboxProvider.into(),
                };
                stage.stack.kill9(killed).await.expect("it runs");
                stage.end_leases().await;
                stage.stack.start(killed).await.expect("it starts again");
            }
        },
    );
    let open = "select (count(*) filter (where step = 'compensate' and said_id is not null))::text
                from saga.idempotency_keys";
    // A refusal comes back to the service itself, which has nothing to undo then, and says so.
    let failed = (0..orders.len()).filter(|n| fails(*n) || declines(&orders[*n])).count();
    stage.until_sql(open, &failed.to_string()).await;
    let decided = "select count(*)::text from saga.idempotency_keys
                   where step = 'charge-payment' and verdict not in ('intent', 'undoing')";
    stage.end_leases().await;
    stage.until_sql(decided, &orders.len().to_string()).await;
    stage.assert_at_rest().await;

    for (n, order) in orders.iter().enumerate() {
        let intents = stage.intents(order.id).await;
        let verdict = stage.verdict(order.id, "charge-payment").await;
        let charged = intents.iter().filter(|intent| intent.status == "succeeded");
        let (times, refunded) = (charged.clone().count(), charged.map(|intent| intent.refunded_minor).sum::<i64>());
        let case = format!("{} {}: {verdict}, {intents:?}", order.method, order.id);
        assert!(times <= 1, "{case}");
        let kept = 1_290 * times as i64 - refunded;
        let pays = !fails(n) && order.method != "wallet" && verdict == "done";
        assert_eq!(kept, if pays { 1_290 } else { 0 }, "{case}");
        if fails(n) {
            assert!(["undone", "fenced", "rejected"].contains(&verdict.as_str()), "{case}");
        } else {
            assert_eq!(verdict, if declines(order) { "rejected" } else { "done" }, "{case}");
        }
    }
}
