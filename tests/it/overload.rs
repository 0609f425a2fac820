//! More than a service can do.

use crate::world::{LIMIT, MUG, Outcome, World, order};
use futures::future::join_all;
use sagactl::client::Service;
use sagactl::stack::{StackOptions, eventually};

#[tokio::test]
async fn more_requests_than_there_are_places_for_are_told_to_come_back_and_health_is_answered() -> Outcome {
    let options = StackOptions::unique().env(Service::Order, "HTTP_REQUESTS", 8).only(Service::ALL);
    let world = World::with(options).await?;
    // Nobody charges, so whoever prefers to wait holds a place.
    world.stack.kill9(Service::Payment).await?;
    let orders = format!("{}/orders", world.stack.url(Service::Order)?);
    let http = world.stack.http();
    let wanted = order("anna", MUG, 1, "wallet");
    let place = |seconds: u64| {
        let prefer = format!("wait={seconds}");
        http.post(&orders).header("prefer", prefer).json(&wanted).timeout(LIMIT).send()
    };
    // A place may just be taken by somebody who only looks.
    let hold = async || loop {
        match place(20).await {
            Ok(answer) if answer.status() == 503 => tokio::task::yield_now().await,
            ended => return ended,
        }
    };
    let holders = join_all((0..8).map(|_| hold()));
    let others = async {
        // Once a request is turned away, all places are taken, and stay so.
        let shed = eventually("the service is full", || async {
            let answer = http.get(&orders).send().await?;
            Ok((answer.status() == 503).then_some(answer))
        })
        .await?;
        assert_eq!(shed.headers()["retry-after"], "1");
        assert!(shed.text().await?.contains("try again"));
        assert_eq!(place(20).await?.status(), 503, "nobody queues");
        for open in ["/readyz", "/livez", "/metrics"] {
            assert_eq!(http.get(orders.replace("/orders", open)).send().await?.status(), 200, "{open}");
        }
        world.stack.start(Service::Payment).await?;
        Outcome::Ok(())
    };
    let (answers, told) = tokio::join!(holders, others);
    told?;
    for answer in answers {
        assert!([200, 202].contains(&answer?.status().as_u16()), "who had a place was answered");
    }
    world.assert_consistent().await
}
