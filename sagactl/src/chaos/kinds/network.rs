//! The proxy between a service and a server misbehaves.

use std::time::Duration;

use super::{Call, Claim, Done, Fault, Group, Kind, NotInjected, Outcome, Recovers};
use crate::chaos::proxy::{Direction, Mode};
use crate::chaos::rig::Rig;
use crate::stack::Program::{self, InventorySvc, NotificationSvc, OrderSvc, PaymentSvc};
use crate::stack::Upstream;

/// What happens to a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disturbance {
    links: &'static [Upstream],
    how: How,
}

/// How a link is disturbed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// The proxy behaves like this for a while.
    Held(Mode),
    /// All open connections are cut, once.
    Cut,
}

const SERVICES: &[Program] = &[OrderSvc, InventorySvc, PaymentSvc, NotificationSvc];
const PAYMENT: &[Program] = &[PaymentSvc];
/// Those that write in transactions under load.
const WRITERS: &[Program] = &[OrderSvc, InventorySvc, PaymentSvc];

const BROKER: &[Upstream] = &[Upstream::Broker];
const DATABASE: &[Upstream] = &[Upstream::Database];
const PROVIDER: &[Upstream] = &[Upstream::Provider];

const HALF_A_SECOND: Duration = Duration::from_millis(500);
const DELAY: Mode = Mode::Delay { by: Duration::from_millis(40), jitter: Duration::from_millis(160) };
const LONG_DELAY: Mode = Mode::Delay { by: HALF_A_SECOND, jitter: Duration::from_millis(2_500) };
const TO_SERVER: Direction = Direction::ToServer;
const TO_CLIENT: Direction = Direction::ToClient;

const fn held(
    name: &'static str,
    targets: &'static [Program],
    links: &'static [Upstream],
    mode: Mode,
    texts: [&'static str; 2],
) -> Kind {
    Kind {
        name,
        group: Group::Network,
        does: texts[0],
        stands_for: texts[1],
        heals: "the proxy passes everything again; what is broken is noticed by the service",
        lasts_ms: (1_000, 6_000),
        overhead_ms: 100,
        claim: Claim::Target,
        targets,
        recovers: Recovers::FromEnd,
        fault: Fault::Network(Disturbance { links, how: How::Held(mode) }),
    }
}

const fn cut(name: &'static str, targets: &'static [Program], links: &'static [Upstream]) -> Kind {
    Kind {
        heals: "the service connects again by itself",
        lasts_ms: (0, 0),
        recovers: Recovers::FromBegin,
        fault: Fault::Network(Disturbance { links, how: How::Cut }),
        ..held(name, targets, links, Mode::Pass, ["every open connection is cut with RST", "a firewall's reset"])
    }
}

const LATE: [&str; 2] = ["every piece of data is 40 to 200 ms late", "a slow, uneven network"];
const SLOW: [&str; 2] = ["not more than some thousand bytes pass in a second", "a saturated line"];
const PARTED: [&str; 2] = ["nothing passes and nothing is closed; later all of it passes", "a partition that heals"];
const HALF_OPEN: [&str; 2] = [
    "open connections are dead for ever, without a word to either side",
    "half-open connections: a router forgot them",
];
const ASKS_LOST: [&str; 2] = ["what the service sends is lost", "one-way loss: requests do not arrive"];
const ANSWERS_LOST: [&str; 2] =
    ["what the service sends arrives, the answers are lost", "one-way loss: a confirm is lost, its publish landed"];
const REFUSED: [&str; 2] =
    ["open connections are cut, new ones refused", "a server that is down, for one service only"];
const TRUNCATED_ASK: [&str; 2] = ["of a request half arrives, then the connection is cut", "a torn frame"];
const TRUNCATED_ANSWER: [&str; 2] = ["of an answer half arrives, then the connection is cut", "a torn frame"];

/// The kinds.
pub static KINDS: &[Kind] = &[
    held("broker-link-late", SERVICES, BROKER, DELAY, LATE),
    held("broker-link-slow", SERVICES, BROKER, Mode::Throttle { bytes_per_second: 6_000 }, SLOW),
    held("broker-link-partition", SERVICES, BROKER, Mode::Stall, PARTED),
    held("broker-link-half-open", SERVICES, BROKER, Mode::HalfOpen, HALF_OPEN),
    held("broker-link-requests-lost", SERVICES, BROKER, Mode::Lose(TO_SERVER), ASKS_LOST),
    held("broker-link-confirms-lost", SERVICES, BROKER, Mode::Lose(TO_CLIENT), ANSWERS_LOST),
    held("broker-link-refused", SERVICES, BROKER, Mode::Refuse, REFUSED),
    held("broker-link-torn-publish", SERVICES, BROKER, Mode::Truncate(TO_SERVER), TRUNCATED_ASK),
    held("broker-link-torn-delivery", SERVICES, BROKER, Mode::Truncate(TO_CLIENT), TRUNCATED_ANSWER),
    cut("broker-link-cut", SERVICES, BROKER),
    held("database-link-late", SERVICES, DATABASE, DELAY, LATE),
    held("database-link-slow", SERVICES, DATABASE, Mode::Throttle { bytes_per_second: 6_000 }, SLOW),
    held("database-link-partition", SERVICES, DATABASE, Mode::Stall, PARTED),
    held("database-link-half-open", SERVICES, DATABASE, Mode::HalfOpen, HALF_OPEN),
    held("database-link-requests-lost", SERVICES, DATABASE, Mode::Lose(TO_SERVER), ASKS_LOST),
    held("database-link-answers-lost", SERVICES, DATABASE, Mode::Lose(TO_CLIENT), ANSWERS_LOST),
    held("database-link-refused", SERVICES, DATABASE, Mode::Refuse, REFUSED),
    held("database-link-torn-request", SERVICES, DATABASE, Mode::Truncate(TO_SERVER), TRUNCATED_ASK),
    held("database-link-torn-answer", SERVICES, DATABASE, Mode::Truncate(TO_CLIENT), TRUNCATED_ANSWER),
    cut("database-link-cut", SERVICES, DATABASE),
    held(
        "commit-lost",
        WRITERS,
        DATABASE,
        Mode::CutAtCommit { arrives: false },
        ["each connection is cut when COMMIT is sent, before it arrives", "an unknown commit that did not happen"],
    ),
    held(
        "commit-unanswered",
        WRITERS,
        DATABASE,
        Mode::CutAtCommit { arrives: true },
        ["each connection is cut when COMMIT has arrived, before the answer", "an unknown commit that did happen"],
    ),
    held(
        "cut-off-from-both",
        SERVICES,
        &[Upstream::Broker, Upstream::Database],
        Mode::Stall,
        [
            "a service reaches neither its database nor the broker, and nothing is closed",
            "a machine without its network",
        ],
    ),
    held("provider-link-late", PAYMENT, PROVIDER, LONG_DELAY, ["every piece is up to 3 s late", "a slow provider"]),
    held("provider-link-partition", PAYMENT, PROVIDER, Mode::Stall, PARTED),
    held("provider-link-half-open", PAYMENT, PROVIDER, Mode::HalfOpen, HALF_OPEN),
    held("provider-requests-lost", PAYMENT, PROVIDER, Mode::Lose(TO_SERVER), ASKS_LOST),
    held(
        "provider-answers-lost",
        PAYMENT,
        PROVIDER,
        Mode::Lose(TO_CLIENT),
        ["the provider is reached, its answers are lost", "a charge with an unknown outcome"],
    ),
    held("provider-refused", PAYMENT, PROVIDER, Mode::Refuse, REFUSED),
    held("provider-torn-answer", PAYMENT, PROVIDER, Mode::Truncate(TO_CLIENT), TRUNCATED_ANSWER),
    cut("provider-link-cut", PAYMENT, PROVIDER),
];

pub(super) async fn inject(disturbance: Disturbance, rig: &Rig, call: &Call) -> Outcome {
    let service = call.target()?;
    let proxies: Vec<_> = disturbance.links.iter().filter_map(|link| rig.link(service, *link)).collect();
    if proxies.is_empty() {
        return Err(NotInjected(format!("{service} has no such link")));
    }
    let before: u64 = proxies.iter().map(|proxy| proxy.struck()).sum();
    match disturbance.how {
        How::Cut => {
            proxies.iter().for_each(|proxy| proxy.cut());
            return Ok(Done::quietly());
        }
        How::Held(mode) => {
            proxies.iter().for_each(|proxy| proxy.set(mode));
            rig.hold(call.lasts).await;
            proxies.iter().for_each(|proxy| proxy.set(Mode::Pass));
        }
    }
    let struck = proxies.iter().map(|proxy| proxy.struck()).sum::<u64>() - before;
    let detail = format!("{struck} times");
    Ok(if struck == 0 { Done::missed("nothing passed by") } else { Done::with(detail) })
}
