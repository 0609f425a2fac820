//! More requests than the database can serve: they are told so, and the service goes on with its own work.

use crate::{Outcome, Shop, connect};
use futures::stream::{self, StreamExt};
use sagactl::client::Service;
use sagactl::stack::eventually;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than the connections for reads, and as many again that wait for one.
const CROWD: usize = 60;

#[tokio::test]
async fn a_crowd_of_stuck_readers_is_told_to_come_back_and_deadlines_are_kept() -> Outcome {
    let shop = Shop::up(2_000).await?;
    let order = shop.place("anna", None).await?;
    let url = format!("{}/orders/{order}", shop.stack.url(Service::Order)?);
    // Every reader of an order waits behind this lock, for as long as its statement may.
    let lock = connect(&shop.stack).await?;
    lock.batch_execute("begin; lock table order_lines in access exclusive mode").await?;

    let http = shop.stack.http();
    let answered = AtomicUsize::new(0);
    let crowd = stream::iter(0..CROWD).map(|_| async {
        let answer = http.get(&url).send().await;
        answered.fetch_add(1, Ordering::Relaxed);
        answer
    });
    let crowd = crowd.buffer_unordered(CROWD).collect::<Vec<_>>();
    let deadline = async {
        eventually("the order is cancelled at its deadline", || async {
            Ok((shop.ask::<String>("select status from orders").await? == "cancelling").then_some(()))
        })
        .await?;
        Outcome::Ok(answered.load(Ordering::Relaxed))
    };
    let (answers, answered_before) = tokio::join!(crowd, deadline);
    assert_eq!(answered_before?, 0, "the clock does not wait with the readers");

    let mut statuses = BTreeMap::<u16, usize>::new();
    for answer in answers {
        let answer = answer?;
        let status = answer.status().as_u16();
        *statuses.entry(status).or_default() += 1;
        if status == 503 {
            assert_eq!(answer.headers()["retry-after"], "1");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            let problem: serde_json::Value = answer.json().await?;
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("try again")), "{problem}");
        }
    }
    assert!(statuses.get(&503).is_some_and(|n| *n >= CROWD / 2), "{statuses:?}");
    lock.batch_execute("rollback").await?;
    assert_eq!(http.get(&url).send().await?.status(), 200, "all is well again");
    Ok(())
}
