//! notification-svc alone, as a process on real servers: the test plays order-svc.

use order_contracts::{OrderCancelled, OrderConfirmed, OrderId};
use saga_common::testkit::Wire;
use saga_common::{MessageId, SagaId};
use sagactl::client::{Client, Notification, Service};
use sagactl::stack::{Stack, StackOptions, eventually};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_notification-svc");

async fn up() -> Outcome<Stack> {
    let folder = Path::new(PROGRAM).parent().map(Path::to_path_buf);
    Ok(Stack::up(StackOptions::unique().only([Service::Notification]).programs_folder(folder)).await?)
}

/// SIGTERM; it must end in order, and in time.
async fn ends(stack: Stack) -> Outcome {
    let begun = Instant::now();
    let status = stack.terminate(Service::Notification).await?;
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(10), "drained only after {:?}", begun.elapsed());
    Ok(())
}

/// Waits for as many notes of an order as there should be.
async fn notes(client: &Client, order_id: Uuid, expected: usize) -> Outcome<Vec<Notification>> {
    eventually("the notes", || async {
        let notes = client.notifications(order_id).await?;
        Ok((notes.len() >= expected).then_some(notes))
    })
    .await
}

#[tokio::test]
async fn it_starts_and_drains_in_time() -> Outcome {
    let stack = up().await?;
    let url = stack.url(Service::Notification)?;
    let http = stack.http();
    assert_eq!(http.get(format!("{url}/livez")).send().await?.status(), 200);
    stack.client().ready(Service::Notification).await?;
    assert_eq!(stack.client().choreography(Service::Notification).await?.participant, "notification");
    assert_eq!(http.get(format!("{url}/notifications?order_id=7")).send().await?.status(), 400);
    ends(stack).await
}

#[tokio::test]
async fn every_message_is_noted_once() -> Outcome {
    let stack = up().await?;
    let client = stack.client();
    let wire = Wire::connect(stack.amqp_url()).await?;
    let (confirmed, cancelled) = (SagaId::new(), SagaId::new());
    let order = OrderConfirmed { order_id: OrderId(confirmed.as_uuid()), customer_id: "anna".into() };
    let message_id = MessageId::new();
    // A repeated announcement has the id of the first one.
    for _ in 0..3 {
        assert!(wire.publish_as(message_id, "saga.events", confirmed, &order).await?, "nobody listens");
    }
    let reason = "out of stock".to_owned();
    let order = OrderCancelled { order_id: OrderId(cancelled.as_uuid()), customer_id: "anna".into(), reason };
    assert!(wire.publish("saga.events", cancelled, &order).await?, "nobody listens");

    let of_cancelled = notes(&client, cancelled.as_uuid(), 1).await?;
    assert_eq!(of_cancelled[0].text, format!("Your order {cancelled} is cancelled: out of stock."));
    let of_confirmed = notes(&client, confirmed.as_uuid(), 1).await?;
    assert_eq!(of_confirmed.len(), 1, "{of_confirmed:?}");
    assert_eq!((of_confirmed[0].message_id, of_confirmed[0].kind.as_str()), (message_id.as_uuid(), "confirmed"));
    let story = client.saga(Service::Notification, confirmed.as_uuid()).await?;
    assert_eq!((story.steps.len(), story.steps[0].verdict.as_str()), (1, "done"));
    ends(stack).await
}
