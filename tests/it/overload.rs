//! More than a service can do.

use crate::world::{LIMIT, MUG, Outcome, World, order};
use futures::future::join_all;
use sagactl::client::Service;
use sagactl::stack::StackOptions;

#[tokio::test]
async fn more_requests_than_there_are_places_for_are_told_to_come_back_and_health_is_answered() -> Outcome {
    let options = StackOptions::unique().env(Service::Order, "HTTP_REQUESTS", 8).only(Service::ALL);
    let world = World::with(options).await?;
    // Nobody charges, so whoever prefers to wait holds a place.
    world.stack.kill9(Service::Payment).await?;
    let orders = format!("{}/orders", world.stack.url(Service::Order)?);
    let http = world.stack.http();
    let wanted = order("anna", MUG, 1, "wallet");
    let place = || http.post(&orders).header("prefer", "wait=5").json(&wanted).timeout(LIMIT).send();
    let crowd = join_all((0..40).map(|_| place()));
    let (answers, health) = tokio::join!(crowd, http.get(orders.replace("/orders", "/readyz")).send());
    assert_eq!(health?.status(), 200);
    let (mut accepted, mut shed) = (0, 0);
    for answer in answers {
        let answer = answer?;
        match answer.status().as_u16() {
            202 => accepted += 1,
            503 => {
                assert_eq!(answer.headers()["retry-after"], "1");
                assert!(answer.text().await?.contains("try again"));
                shed += 1;
            }
            other => return Err(format!("{other}").into()),
        }
    }
    assert_eq!((accepted, shed), (8, 32));
    world.stack.start(Service::Payment).await?;
    world.assert_consistent().await
}
