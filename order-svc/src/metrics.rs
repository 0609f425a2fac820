//! What this service counts beside the engine, and the orders in flight, which are looked at every few seconds. The list for
//! people is `docs/metrics.md`.

use crate::reads::bounded;
use metrics::{Counter, Histogram, counter, gauge, histogram};
use order_contracts::OrderId;
use saga_common::SagaId;
use saga_common::telemetry::{Metric, describe};
use sqlx::PgPool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

const PLACED: &str = "order_placed_total";
const CONFIRMED: &str = "order_confirmed_total";
const CANCELLED: &str = "order_cancelled_total";
const DURATION: &str = "order_duration_seconds";
const READS: &str = "order_reads_total";
const SHARED_READS: &str = "order_shared_reads_total";
const IN_FLIGHT: &str = "order_in_flight";
const OLDEST: &str = "order_in_flight_oldest_seconds";
const OVERDUE: &str = "order_in_flight_overdue_seconds";
const DIFFER: &str = "order_participants_differ";

const ALL: &[Metric] = &[
    Metric::counter(PLACED, "Orders placed."),
    Metric::counter(CONFIRMED, "Orders confirmed."),
    Metric::counter(CANCELLED, "Orders cancelled, everything undone, by what ended them.").labelled(),
    Metric::histogram(DURATION, "From the request to the commit of the order's end.").labelled(),
    Metric::counter(READS, "Orders read from the database to be shown."),
    Metric::counter(SHARED_READS, "Questions to the Redis that replicas share, by what came of them.").labelled(),
    Metric::gauge(IN_FLIGHT, "Orders that are neither confirmed nor cancelled.").labelled(),
    Metric::gauge(OLDEST, "Age of the oldest of them."),
    Metric::gauge(OVERDUE, "How long the one that is overdue longest is past its deadline; 0 if none is."),
    Metric::gauge(DIFFER, "1 while those who undo are not those who must answer a cancellation."),
];

/// What ends an order, in few words: the label. The reason itself may quote what a participant remarked.
const REASONS: [&str; 5] = ["payment.declined", "stock.rejected", "customer", "deadline", "other"];

fn label(reason: &str) -> &'static str {
    let begins = |word: &&'static str| reason.starts_with(*word);
    match reason {
        crate::cancel::BY_CUSTOMER => "customer",
        overdue if overdue.starts_with(crate::deadline::OVERDUE) => "deadline",
        _ => REASONS[..2].iter().copied().find(begins).unwrap_or("other"),
    }
}

/// Names what there is. Whatever may happen is there from the start, at zero.
pub(crate) fn begin() {
    describe(ALL);
    for reason in REASONS {
        drop(counter!(CANCELLED, "reason" => reason));
    }
    for outcome in ["confirmed", "cancelled"] {
        drop(duration(outcome));
    }
    for outcome in ["hit", "miss", "silent"] {
        drop(shared_read(outcome));
    }
}

/// A question to the Redis that replicas share: `hit`, `miss` or `silent`.
pub(crate) fn shared_read(outcome: &'static str) -> Counter {
    counter!(SHARED_READS, "outcome" => outcome)
}

fn duration(outcome: &'static str) -> Histogram {
    histogram!(DURATION, "outcome" => outcome)
}

/// From the moment in the order's id, which is made when its request is taken up, perhaps by another replica's clock.
fn ended(outcome: &'static str, order_id: OrderId) {
    let Some(made_at) = SagaId::from(order_id.0).made_at_ms() else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    duration(outcome).record(now.saturating_sub(Duration::from_millis(made_at)));
}

pub(crate) fn placed() {
    counter!(PLACED).increment(1);
}

pub(crate) fn confirmed(order_id: OrderId) {
    counter!(CONFIRMED).increment(1);
    ended("confirmed", order_id);
}

pub(crate) fn cancelled(order_id: OrderId, reason: &str) {
    counter!(CANCELLED, "reason" => label(reason)).increment(1);
    ended("cancelled", order_id);
}

pub(crate) fn read() -> Counter {
    counter!(READS)
}

pub(crate) fn participants_differ(differ: bool) {
    gauge!(DIFFER).set(f64::from(u8::from(differ)));
}

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Shows the orders in flight.
pub(crate) async fn look(reads: PgPool, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = in_flight(&reads).await {
            tracing::debug!(%error, "orders in flight cannot be counted");
        }
        tokio::select! { () = tokio::time::sleep(LOOK_EVERY) => {}, () = stop.cancelled() => {} }
    }
}

#[allow(clippy::cast_precision_loss)]
async fn in_flight(reads: &PgPool) -> Result<(), sqlx::Error> {
    let orders = sqlx::query!(
        r#"select count(*) filter (where status = 'pending') as "pending!",
                  count(*) filter (where status = 'cancelling') as "cancelling!",
                  coalesce(extract(epoch from clock_timestamp() - min(created_at))::float8, 0) as "oldest!",
                  coalesce(greatest(extract(epoch from clock_timestamp() - min(deadline_at)), 0)::float8, 0) as "overdue!"
           from orders where status in ('pending', 'cancelling')"#
    );
    let orders = bounded(orders.fetch_one(reads)).await?;
    gauge!(IN_FLIGHT, "status" => "pending").set(orders.pending as f64);
    gauge!(IN_FLIGHT, "status" => "cancelling").set(orders.cancelling as f64);
    gauge!(OLDEST).set(orders.oldest);
    gauge!(OVERDUE).set(orders.overdue);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_becomes_one_of_few_labels() {
        let reasons = [
            ("payment.declined: insufficient funds", "payment.declined"),
            ("stock.rejected: out of stock", "stock.rejected"),
            ("cancelled by the customer", "customer"),
            ("deadline passed", "deadline"),
            ("deadline passed: the payment provider did not answer", "deadline"),
            ("charged amount differs from the order", "other"),
            ("", "other"),
        ];
        for (reason, wanted) in reasons {
            assert_eq!(label(reason), wanted);
            assert!(REASONS.contains(&label(reason)));
        }
    }
}
