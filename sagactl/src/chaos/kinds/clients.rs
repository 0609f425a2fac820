//! Callers misbehave.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{Call, Claim, Done, Fault, Group, Kind, Outcome, Recovers, sentence};
use crate::chaos::rig::Rig;
use crate::client::{NewOrder, Service};

/// What callers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// They send an order and are gone before the answer.
    Disconnect,
    /// They send half a request and are gone.
    HalfRequest,
    /// They send the same order ten times at once.
    SameKey,
    /// They cancel recent orders, several times at once.
    Cancels,
    /// They send nonsense.
    Nonsense,
}

const fn misbehaviour(name: &'static str, what: Misbehaviour, texts: [&'static str; 3]) -> Kind {
    Kind {
        name,
        group: Group::Clients,
        does: texts[0],
        stands_for: texts[1],
        heals: texts[2],
        lasts_ms: (0, 0),
        overhead_ms: 800,
        claim: Claim::Nothing,
        targets: &[],
        recovers: Recovers::FromEnd,
        fault: Fault::Clients(what),
    }
}

/// The kinds.
pub static KINDS: &[Kind] = &[
    misbehaviour(
        "disconnect-mid-request",
        Misbehaviour::Disconnect,
        [
            "twenty clients send an order and close the connection before the answer",
            "impatient browsers, a proxy's timeout",
            "the order is placed or not, as a whole",
        ],
    ),
    misbehaviour(
        "half-request",
        Misbehaviour::HalfRequest,
        ["twenty clients send half a request and close the connection", "lost mobile connections", "nothing is placed"],
    ),
    misbehaviour(
        "same-key-x10",
        Misbehaviour::SameKey,
        [
            "five orders are each sent ten times at once, under one key",
            "a double click, a retrying client",
            "one order each",
        ],
    ),
    misbehaviour(
        "storm-of-cancels",
        Misbehaviour::Cancels,
        [
            "the latest orders are cancelled, each three times at once",
            "a client that changes its mind while everything is under way",
            "each order ends one way, and the answers agree with it",
        ],
    ),
    misbehaviour(
        "nonsense-requests",
        Misbehaviour::Nonsense,
        ["orders that no shop could take: unknown articles, negative numbers, no items", "a broken client", "refused"],
    ),
];

pub(super) async fn inject(misbehaviour: Misbehaviour, rig: &Rig, mut call: Call) -> Outcome {
    match misbehaviour {
        Misbehaviour::Disconnect => {
            for _ in 0..20 {
                let request = request(rig).await?;
                let pause = Duration::from_millis(call.dice.between(0, 15));
                let _ = send(rig, request.as_bytes(), pause).await;
            }
            Ok(Done::quietly())
        }
        Misbehaviour::HalfRequest => {
            for _ in 0..20 {
                let request = request(rig).await?;
                let length = usize::try_from(call.dice.between(1, request.len() as u64 - 1)).unwrap_or(1);
                let _ = send(rig, &request.as_bytes()[..length], Duration::from_millis(5)).await;
            }
            Ok(Done::quietly())
        }
        Misbehaviour::SameKey => {
            for _ in 0..5 {
                let wish = rig.load.wish(rig.load.take());
                rig.load.asked(&wish).await.map_err(sentence)?;
                let load = Arc::clone(&rig.load);
                join_all((0..10).map(|_| load.place(&wish))).await;
            }
            Ok(Done::quietly())
        }
        Misbehaviour::Cancels => {
            let recent = rig.load.recent();
            let latest = &recent[recent.len().saturating_sub(15)..];
            join_all(latest.iter().flat_map(|order| [*order; 3]).map(|order| rig.load.cancel(order))).await;
            Ok(if latest.is_empty() {
                Done::missed("no order yet")
            } else {
                Done::with(format!("{} orders", latest.len()))
            })
        }
        Misbehaviour::Nonsense => {
            let good = rig.load.wish(0).order;
            let mut unknown = good.clone();
            unknown.items.iter_mut().for_each(|item| "UNOBTAINIUM".clone_into(&mut item.sku));
            let nothing = NewOrder { items: Vec::new(), ..good.clone() };
            let currency = NewOrder { currency: "GOLD".to_owned(), ..good };
            let mut taken = Vec::new();
            for nonsense in [unknown, nothing, currency] {
                if let Ok(placed) = rig.client.place_order(&nonsense, None, None).await {
                    taken.push(placed.order.id.to_string());
                }
            }
            // The history check finds these too: no request explains them.
            Ok(Done::with(if taken.is_empty() { String::new() } else { format!("TAKEN: {}", taken.join(", ")) }))
        }
    }
}

/// The raw request of an order nobody else places, written into the history first.
async fn request(rig: &Rig) -> Result<String, super::NotInjected> {
    let wish = rig.load.wish(rig.load.take());
    rig.load.asked(&wish).await.map_err(sentence)?;
    let body = serde_json::to_string(&wish.order).map_err(sentence)?;
    Ok(format!(
        "POST /orders HTTP/1.1\r\nhost: chaos\r\ncontent-type: application/json\r\nidempotency-key: \"{}\"\r\ncontent-length: {}\r\n\r\n{body}",
        wish.key,
        body.len()
    ))
}

async fn send(rig: &Rig, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    let url = rig.client.endpoints().of(Service::Order);
    let mut socket = TcpStream::connect(url.trim_start_matches("http://")).await?;
    socket.write_all(bytes).await?;
    sleep(pause).await;
    socket.set_zero_linger()
}
