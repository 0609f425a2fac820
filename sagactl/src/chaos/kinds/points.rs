//! A named place in a service's code fails: the process gets a fault directive of its own for a while.

use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, sleep};

use super::{Call, Claim, Done, Fault, Group, Kind, NotInjected, Outcome, Recovers, sentence};
use crate::chaos::rig::Rig;
use crate::client::{FaultMap, Service};
use crate::stack::Program::{self, InventorySvc, NotificationSvc, OrderSvc, PaymentSvc};

/// A point and what happens there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Site {
    point: &'static str,
    action: &'static str,
    /// How likely, each time it is reached, in percent.
    percent: u8,
}

const SERVICES: &[Program] = &[OrderSvc, InventorySvc, PaymentSvc, NotificationSvc];
const PARTICIPANTS: &[Program] = &[OrderSvc, InventorySvc, PaymentSvc];
const PAYMENT: &[Program] = &[PaymentSvc];
const ORDER: &[Program] = &[OrderSvc];

const fn at(
    name: &'static str,
    targets: &'static [Program],
    point: &'static str,
    action: &'static str,
    percent: u8,
    stands_for: &'static str,
) -> Kind {
    Kind {
        name,
        group: Group::Points,
        does: "the process gets a fault directive, with a probability, for some seconds",
        stands_for,
        heals: "the directive is taken back",
        lasts_ms: (1_500, 5_000),
        overhead_ms: 100,
        claim: Claim::Target,
        targets,
        recovers: Recovers::FromEnd,
        fault: Fault::Points(Site { point, action, percent }),
    }
}

const fn crash(name: &'static str, targets: &'static [Program], point: &'static str, stands_for: &'static str) -> Kind {
    Kind {
        does: "the process ends at this point, the first time it is reached",
        heals: "the supervisor starts it again",
        lasts_ms: (6_000, 6_000),
        recovers: Recovers::FromBegin,
        ..at(name, targets, point, "crash", 100, stands_for)
    }
}

/// The kinds.
pub static KINDS: &[Kind] = &[
    crash("crash-after-delivery", SERVICES, "after-delivery", "a crash with messages in hand"),
    crash("crash-before-guards", SERVICES, "before-guards", "a crash before the guard row is inserted"),
    crash("crash-after-guards", PARTICIPANTS, "after-guards", "a crash between the guard row and the step"),
    crash("crash-after-steps", PARTICIPANTS, "after-steps", "a crash after the step's effect, before its commit"),
    crash(
        "crash-before-commit",
        PARTICIPANTS,
        "before-commit",
        "a crash with everything written and nothing committed",
    ),
    crash("crash-after-commit", SERVICES, "after-commit", "a crash after the commit, before ack and publish"),
    crash("crash-before-ack", SERVICES, "before-ack", "a crash after settling, before the ack"),
    crash("crash-after-ack", SERVICES, "after-ack", "a crash after the ack"),
    crash("crash-before-publish", PARTICIPANTS, "before-publish", "a crash between commit and publish"),
    crash("crash-before-confirm", PARTICIPANTS, "before-confirm", "a crash after the publish, before its confirm"),
    crash(
        "crash-after-confirm",
        PARTICIPANTS,
        "after-confirm",
        "a crash after the confirm, before the outbox row goes",
    ),
    crash("crash-after-lease", PAYMENT, "after-lease", "a crash with a charge leased and not begun"),
    crash(
        "crash-after-create",
        PAYMENT,
        "after-create",
        "a crash with an intent at the provider that nobody wrote down",
    ),
    crash("crash-after-store", PAYMENT, "after-store", "a crash before the charge is confirmed"),
    crash("crash-after-charge", PAYMENT, "after-charge", "a crash after the charge, before it is settled"),
    crash("crash-before-settle", PAYMENT, "before-settle", "a crash while a charge is being settled"),
    crash("crash-after-refund", PAYMENT, "after-refund", "a crash after a refund, before it is settled"),
    crash("crash-after-announce", ORDER, "after-announce", "a crash with a repeat committed and not published"),
    at("error-before-begin", SERVICES, "before-begin", "error", 30, "a transaction that cannot be opened"),
    at("error-after-steps", PARTICIPANTS, "after-steps", "error", 20, "a step that fails now and then"),
    at("error-before-commit", PARTICIPANTS, "before-commit", "error", 20, "a commit that fails"),
    at("error-before-publish", PARTICIPANTS, "before-publish", "error", 40, "a publication that fails"),
    at("error-before-create", PAYMENT, "before-create", "error", 50, "a provider that cannot be asked"),
    at("error-after-charge", PAYMENT, "after-charge", "error", 50, "a charge whose answer is an error"),
    at("error-before-refund", PAYMENT, "before-refund", "error", 70, "a refund that fails some times"),
    at("drop-before-guards", PARTICIPANTS, "before-guards", "drop", 20, "a database connection lost in a transaction"),
    at("drop-after-commit", PARTICIPANTS, "after-commit", "drop", 20, "a connection lost just after the commit"),
    at(
        "drop-before-confirm",
        PARTICIPANTS,
        "before-confirm",
        "drop",
        30,
        "a broker connection lost before the confirm",
    ),
    at("drop-before-ack", SERVICES, "before-ack", "drop", 20, "a broker connection lost before the ack"),
    at(
        "delay-after-guards",
        PARTICIPANTS,
        "after-guards",
        "delay(400)",
        30,
        "a step that holds its guard rows for long",
    ),
    at("delay-before-commit", PARTICIPANTS, "before-commit", "delay(400)", 30, "a slow commit, with all locks held"),
    at("delay-before-confirm", PARTICIPANTS, "before-confirm", "delay(1000)", 40, "slow confirms"),
    at("delay-after-charge", PAYMENT, "after-charge", "delay(3000)", 50, "a charge that takes longer than its lease"),
    at("duplicate-delivery", SERVICES, "after-delivery", "duplicate", 60, "the same batch handled twice in a row"),
    at("duplicate-publish", PARTICIPANTS, "before-publish", "duplicate", 60, "every message said twice"),
    at("skip-ack", SERVICES, "before-ack", "skip-ack", 30, "acks that never arrive: everything is delivered again"),
];

pub(super) async fn inject(site: Site, rig: &Rig, call: Call) -> Outcome {
    let (mut call, program) = (call.clone(), call.target()?);
    let service = service_of(program)?;
    let Site { point, action, percent } = site;
    let directive = format!("{service}/{point}={action}%{}", f64::from(percent) / 100.0);
    let restarts = rig.stack.restarts(program);
    let fired_before = fired(&rig.client.faults(service).await.map_err(sentence)?, point);
    rig.client.set_faults(service, &directive, call.dice.throw()).await.map_err(sentence)?;
    if action == "crash" {
        let ends = Instant::now() + call.lasts;
        while Instant::now() < ends && rig.stack.restarts(program) == restarts {
            sleep(Duration::from_millis(20)).await;
        }
        let struck_at = Utc::now();
        if rig.stack.restarts(program) == restarts {
            clear(rig, service).await?;
            return Ok(Done::missed(format!("{directive}: not reached")));
        }
        rig.stack.ready(program).await.map_err(sentence)?;
        return Ok(Done { detail: directive, fired: true, struck_at: Some(struck_at) });
    }
    rig.hold(call.lasts).await;
    let map = clear(rig, service).await?;
    // A process that was started anew by another fault counts from nothing.
    match fired(&map, point).saturating_sub(fired_before) {
        0 => Ok(Done::missed(format!("{directive}: not reached"))),
        times => Ok(Done::with(format!("{directive}: {times} times"))),
    }
}

/// Takes the process's directives back, however long it takes until it answers (10 s at most).
pub(in crate::chaos) async fn clear(rig: &Rig, service: Service) -> Result<FaultMap, NotInjected> {
    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        match rig.client.set_faults(service, "", 0).await {
            Ok(map) => return Ok(map),
            Err(error) if Instant::now() < give_up && error.is_transient() => sleep(Duration::from_millis(100)).await,
            Err(error) => return Err(sentence(error)),
        }
    }
}

fn fired(map: &FaultMap, point: &str) -> u64 {
    let is_it = |name: &str| name.split_once('/').is_some_and(|(_, name)| name == point);
    let reached = map.points.iter().filter(|it| is_it(&it.point)).flat_map(|it| &it.reached);
    reached.map(|reached| reached.fired).sum()
}

fn service_of(program: Program) -> Result<Service, NotInjected> {
    let service = Service::ALL.into_iter().find(|service| Program::from(*service) == program);
    service.ok_or_else(|| NotInjected(format!("{program} has no fault points")))
}
