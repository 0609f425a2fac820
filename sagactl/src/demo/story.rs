//! Plays one scene: places the order and follows it to its end.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::scenes::Scene;
use super::summary::{Outcome, money};
use super::told::Told;
use crate::client::{Client, ClientError, Order, OrderStatus};
use crate::cmd::launch::say;

const ENDS_WITHIN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(15);
/// After the end, the story is read for this much longer: listeners write their lines last.
const EPILOGUE: Duration = Duration::from_millis(400);
/// How long the customer lets the card be charged before they change their mind. The sandbox's slow card takes 3 s.
const SECOND_THOUGHTS: Duration = Duration::from_millis(300);

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
        Ok((order, ended)) => {
            let reason = order.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            say(&format!("   => {}{reason}", order.status));
            Outcome::ended(scene, order, ended - begun)
        }
        Err(error) => {
            say(&format!("   => {error}"));
            Outcome::failed(scene, error.to_string())
        }
    }
}

/// Cancels soon after payment-svc has said that it is charging.
async fn cancel_while_charging(client: &Client, id: Uuid) -> Result<(), ClientError> {
    let deadline = Instant::now() + ENDS_WITHIN;
    // Until it has heard of the order, payment-svc answers 404.
    while !client.payment(id).await.is_ok_and(|payment| payment.status == "charging") {
        if Instant::now() > deadline {
            break;
        }
        sleep(PAUSE).await;
    }
    sleep(SECOND_THOUGHTS).await;
    say("             the customer cancels");
    client.cancel(id).await.map(drop)
}

/// Prints the story as it happens, until nothing of the order is left to do. Returns the order, and when its end was seen.
async fn follow(client: &Client, placed: &Order) -> Result<(Order, Instant), ClientError> {
    let deadline = Instant::now() + ENDS_WITHIN;
    let mut told = Told::default();
    let mut ended = None;
    let mut quiet_since = Instant::now();
    loop {
        let asked = Utc::now();
        let timeline = client.timeline(placed.id).await;
        if timeline.is_ok_and(|timeline| told.tell(&timeline, placed, asked)) {
            quiet_since = Instant::now();
        }
        let order = client.order(placed.id).await?;
        if order.status == OrderStatus::Cancelled || order.closed_at.is_some() {
            let ended = *ended.get_or_insert_with(Instant::now);
            if quiet_since.max(ended).elapsed() >= EPILOGUE {
                // Whatever the clocks say, nothing is left out.
                if let Ok(timeline) = client.timeline(placed.id).await {
                    told.tell(&timeline, placed, DateTime::<Utc>::MAX_UTC);
                }
                return Ok((order, ended));
            }
        }
        if Instant::now() > deadline {
            let waited_ms = ENDS_WITHIN.as_millis();
            return Err(ClientError::StillWaiting { id: placed.id, status: order.status.to_string(), waited_ms });
        }
        sleep(PAUSE).await;
    }
}
