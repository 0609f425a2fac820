//! The broker's queues: messages that nobody has taken are lost events, or poison that nobody has set aside.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};

use super::AuditError;
use super::report::{AuditReport, Finding};

/// Those of every service; a listener undoes nothing, so it hears of no failures.
const QUEUES: [&str; 11] = [
    "order.events",
    "order.failures",
    "order.parked",
    "inventory.events",
    "inventory.failures",
    "inventory.parked",
    "payment.events",
    "payment.failures",
    "payment.parked",
    "notification.events",
    "notification.parked",
];

const PATIENCE: Duration = Duration::from_secs(20);

/// A queue, and how many messages are ready in it; `None`: there is no such queue.
pub(super) type Depth = (&'static str, Option<u32>);

/// Asks the broker itself. Its statistics would be some seconds old.
pub(super) async fn depths(amqp_url: &str) -> Result<Vec<Depth>, AuditError> {
    let failed = |reason: String| AuditError::Broker { reason };
    match tokio::time::timeout(PATIENCE, ask(amqp_url)).await {
        Ok(depths) => depths.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

async fn ask(amqp_url: &str) -> Result<Vec<Depth>, lapin::Error> {
    let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
    let mut depths = Vec::with_capacity(QUEUES.len());
    for queue in QUEUES {
        // A channel of its own: the broker closes it over a queue that is not there.
        let channel = connection.create_channel().await?;
        let only_look = QueueDeclareOptions { passive: true, ..Default::default() };
        let found = channel.queue_declare(queue.into(), only_look, FieldTable::default()).await;
        match found {
            Ok(found) => {
                depths.push((queue, Some(found.message_count())));
                channel.close(200, "done".into()).await?;
            }
            Err(_) if connection.status().connected() => depths.push((queue, None)),
            Err(error) => return Err(error),
        }
    }
    connection.close(200, "done".into()).await?;
    Ok(depths)
}

/// Everything that was published has been taken.
pub(super) fn check(depths: &[Depth], report: &mut AuditReport) {
    let left = depths.iter().filter(|(_, messages)| *messages != Some(0));
    let finding = |(queue, messages): &Depth| Finding {
        id: (*queue).to_owned(),
        expected: "no message".to_owned(),
        actual: messages.map_or_else(|| "no such queue".to_owned(), |messages| format!("{messages} messages")),
    };
    let wrong: Vec<Finding> = left.map(finding).collect();
    report.add("queues-drain", "every service's queues are there, and empty", wrong.len() as u64, wrong);
}
