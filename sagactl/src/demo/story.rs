//! Plays one scene: places the order and prints each service's part of the story as soon as it is known.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::scenes::Scene;
use super::summary::{Outcome, money};
use crate::client::{Client, ClientError, Order, OrderStatus, Timeline, TimelineEntry};
use crate::cmd::launch::say;

const ENDS_WITHIN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
/// After the end, the story is read for this much longer: listeners write their lines last.
const EPILOGUE: Duration = Duration::from_millis(400);

/// Places the scene's order and follows it to its end. Never fails: what goes wrong is in the outcome.
pub(super) async fn play(client: &Client, scene: Scene) -> Outcome {
    let begun = Instant::now();
    let key = Uuid::now_v7().to_string();
    let placed = match client.place_order(&scene.order, Some(&key), None).await {
        Ok(placed) => placed.order,
        Err(error) => return Outcome::failed(scene, error.to_string()),
    };
    let (what, price) = (&scene.order.items[0], money(placed.amount_minor, &placed.currency));
    say(&format!("   {} x {} for {price}, order {}", what.quantity, what.sku, placed.id));

    let change_of_mind =
        async { if scene.cancel_while_charging { cancel_while_charging(client, placed.id).await } else { Ok(()) } };
    let (followed, cancelled) = tokio::join!(follow(client, &placed), change_of_mind);
    match cancelled.and(followed) {
        Ok(order) => {
            let reason = order.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            say(&format!("   => {}{reason}", order.status));
            Outcome::ended(scene, order, begun.elapsed())
        }
        Err(error) => {
            say(&format!("   => {error}"));
            Outcome::failed(scene, error.to_string())
        }
    }
}

/// Cancels as soon as payment-svc has said that it is charging.
async fn cancel_while_charging(client: &Client, id: Uuid) -> Result<(), ClientError> {
    let deadline = Instant::now() + ENDS_WITHIN;
    loop {
        match client.payment(id).await {
            Ok(payment) if payment.status == "charging" => break,
            // Not heard of yet.
            _ if Instant::now() < deadline => sleep(Duration::from_millis(10)).await,
            _ => break,
        }
    }
    say("   The customer cancels.");
    client.cancel(id).await.map(drop)
}

/// Prints the story's lines as they come, until nothing of the order is left to do.
async fn follow(client: &Client, placed: &Order) -> Result<Order, ClientError> {
    let deadline = Instant::now() + ENDS_WITHIN;
    let mut told = Told::default();
    let mut rest_since = None;
    loop {
        if let Ok(timeline) = client.timeline(placed.id).await
            && told.tell(timeline, placed)
        {
            rest_since = None;
        }
        let order = client.order(placed.id).await?;
        let over = match order.status {
            OrderStatus::Cancelled => true,
            _ => order.closed_at.is_some(),
        };
        let rested = *rest_since.get_or_insert_with(Instant::now);
        if over && rested.elapsed() >= EPILOGUE {
            return Ok(order);
        }
        if Instant::now() > deadline {
            let waited_ms = ENDS_WITHIN.as_millis();
            return Err(ClientError::StillWaiting { id: placed.id, status: order.status.to_string(), waited_ms });
        }
        sleep(PAUSE).await;
    }
}

/// Which lines have been printed.
#[derive(Default)]
struct Told(BTreeSet<(String, String, String)>);

impl Told {
    /// Prints the new lines. Whether there were any.
    fn tell(&mut self, mut timeline: Timeline, placed: &Order) -> bool {
        timeline.entries.sort_by_key(|entry| entry.at);
        let before = self.0.len();
        for entry in timeline.entries {
            // A step's verdict may change: from intent to done, from done to undone.
            if self.0.insert((entry.service.clone(), entry.step.clone(), entry.verdict.clone())) {
                say(&line(&entry, placed));
            }
        }
        self.0.len() > before
    }
}

fn line(entry: &TimelineEntry, placed: &Order) -> String {
    let after = (entry.at - placed.created_at).num_milliseconds();
    // A listener's step carries the id of the message; the name is enough here.
    let step = entry.step.split(':').next().unwrap_or_default();
    let said = entry.said.as_ref().map_or(String::new(), |said| format!("says {}", said.kind));
    let detail = entry.detail.as_deref().unwrap_or_default();
    let line = format!("   {after:>6} ms  {:<17} {step:<16} {:<15} {said} {detail}", entry.service, entry.verdict);
    line.trim_end().to_owned()
}
