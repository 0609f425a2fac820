//! Which faults can be tried where: every point of every service with every event that passes it. Pure; taken from the
//! services' own maps (`GET /choreography`) and lists of fault points (`GET /faults`).

use std::collections::BTreeSet;

use saga_choreography::unversioned;

use super::Scenario;
use crate::client::{Choreography, FaultMap, FaultPoint, Service, StepMap};

/// One fault at one point, while one event passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Whose point it is.
    pub service: Service,
    /// The point's name.
    pub point: String,
    /// The event's type, without its version.
    pub event: String,
    /// What happens.
    pub action: String,
    /// What must go wrong before, for the point to be reached at all.
    pub prelude: Vec<String>,
    /// The order that gets there.
    pub scenario: Scenario,
}

impl Cell {
    /// The directive that is the cell.
    #[must_use]
    pub fn directive(&self) -> String {
        format!("{}/{}@{}={}", self.service, self.point, self.event, self.action)
    }

    /// All directives its order carries.
    #[must_use]
    pub fn directives(&self) -> String {
        let mut all = self.prelude.clone();
        all.extend(self.scenario.directives());
        all.push(self.directive());
        all.join(",")
    }
}

/// A service, as it describes itself.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Which.
    pub service: Service,
    /// What it reacts to and says.
    pub map: Choreography,
    /// Its fault points.
    pub faults: FaultMap,
}

/// A point that no order's message passes, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unreachable {
    /// `<service>/<point>`, with the event if only that is meant.
    pub cell: String,
    /// Why.
    pub why: &'static str,
}

/// What order-svc says first in a saga, because somebody asked for it.
const BEGINNINGS: [&str; 2] = ["order.placed", "return.requested"];

/// Every reachable cell with these actions (those that a point takes), and what cannot be reached.
#[must_use]
pub fn cells(participants: &[Participant], actions: &[&str]) -> (Vec<Cell>, Vec<Unreachable>) {
    let failures: BTreeSet<String> = participants.iter().flat_map(|p| p.refuses()).collect();
    let (mut cells, mut unreachable) = (Vec::new(), Vec::new());
    for participant in participants {
        for point in &participant.faults.points {
            let name = point.point.rsplit('/').next().unwrap_or_default();
            if let Some(why) = never(name, participant) {
                unreachable.push(Unreachable { cell: point.point.clone(), why });
                continue;
            }
            for event in participant.passing(name, &point.place, &failures) {
                let Some(scenario) = scenario(participant.service, name, &point.place, &event) else {
                    let why = "no order of the shop brings this event";
                    unreachable.push(Unreachable { cell: format!("{}@{event}", point.point), why });
                    continue;
                };
                let meant = |action: &&&str| {
                    takes(point, action)
                        && !(is_a_beginning(point, &event) && ["duplicate", "hold"].iter().any(|it| names(action, it)))
                };
                cells.extend(actions.iter().filter(meant).map(|action| Cell {
                    service: participant.service,
                    point: name.to_owned(),
                    event: event.clone(),
                    action: (*action).to_owned(),
                    prelude: prelude(participant.service, name, &event),
                    scenario,
                }));
            }
        }
    }
    (cells, unreachable)
}

fn takes(point: &FaultPoint, action: &str) -> bool {
    point.actions.iter().any(|taken| names(action, taken))
}

fn names(action: &str, name: &str) -> bool {
    action.split(['(', '*', '%']).next() == Some(name)
}

/// What begins a saga is no message: nobody would handle it again, or knows its id while it is held.
fn is_a_beginning(point: &FaultPoint, event: &str) -> bool {
    point.point.starts_with("order-svc/")
        && BEGINNINGS.contains(&event)
        && !matches!(&*point.place, "publish" | "sweep")
}

/// Points that no single order reaches.
fn never(point: &str, participant: &Participant) -> Option<&'static str> {
    match point {
        "before-subscribe" => Some("no message passes it; chaos sets it for the whole process"),
        "before-sweep" => Some("no message passes it; chaos sets it for the whole process"),
        "before-park" | "after-park" => Some("only messages that cannot be handled pass it; chaos sends such"),
        "before-announce" | "after-announce" if participant.service != Service::Order => {
            Some("only the owner of the saga announces")
        }
        "after-lease" | "after-call" | "before-settle" | "after-settle" if participant.service != Service::Payment => {
            Some("the service calls nobody outside")
        }
        _ => None,
    }
}

impl Participant {
    fn named(&self, pick: impl Fn(&StepMap) -> &Option<String>) -> Vec<String> {
        self.map.steps.iter().flat_map(pick).map(|event| unversioned(event).to_owned()).collect()
    }

    /// What it refuses with.
    fn refuses(&self) -> Vec<String> {
        self.named(|step| &step.refuses)
    }

    /// The events that pass a point of this place.
    fn passing(&self, point: &str, place: &str, failures: &BTreeSet<String>) -> BTreeSet<String> {
        let mut published: BTreeSet<String> = self.named(|step| &step.says).into_iter().collect();
        published.extend(self.refuses());
        let reverses = self.map.steps.iter().any(|step| step.undo) && self.service != Service::Order;
        if reverses {
            published.insert("saga.compensated".to_owned());
        }
        if matches!(place, "publish" | "sweep") {
            return published;
        }
        if point.ends_with("-announce") {
            return ["order.confirmed", "order.cancelling", "return.requested"].map(str::to_owned).into();
        }
        if place == "call" || point == "before-settle" {
            return ["stock.reserved", "saga.compensated", "return.requested"].map(str::to_owned).into();
        }
        let mut handled: BTreeSet<String> = self.named(|step| &step.reacts_to).into_iter().collect();
        if self.map.steps.iter().any(|step| step.undo) {
            handled.extend(failures.iter().cloned());
        }
        // Units that no message begins. (The user's cancellation passes as `order.cancelling`.)
        if self.service == Service::Order && matches!(point, "before-commit" | "after-commit") {
            handled.extend(BEGINNINGS.map(str::to_owned));
        }
        handled
    }
}

/// An order that brings the event past the point.
fn scenario(service: Service, point: &str, place: &str, event: &str) -> Option<Scenario> {
    if place == "call" || point == "before-settle" {
        return call_scenario(point, event);
    }
    if point.ends_with("-announce") {
        return Some(match event {
            "order.confirmed" => Scenario::PaidAndAnnouncedAgain,
            "return.requested" => Scenario::ReturnedAndAnnouncedAgain,
            _ => Scenario::DeclinedAndAnnouncedAgain,
        });
    }
    match event {
        "order.placed" | "stock.reserved" | "payment.charged" | "order.confirmed" | "stock.committed" => {
            Some(Scenario::Paid)
        }
        "payment.declined" | "order.cancelled" => Some(Scenario::Declined),
        "saga.compensated" if service == Service::Order => Some(Scenario::Rejected),
        "saga.compensated" => Some(Scenario::Declined),
        "stock.rejected" => Some(Scenario::Rejected),
        // Where the reservation is there and the money is not: the one that most undos have to cope with.
        "order.cancelling" if service == Service::Payment => Some(Scenario::CancelledAfterCharge),
        "order.cancelling" => Some(Scenario::CancelledBeforeCharge),
        "return.requested" | "return.restocked" | "return.refunded" | "order.status-changed" => {
            Some(Scenario::Returned)
        }
        _ => None,
    }
}

fn call_scenario(point: &str, event: &str) -> Option<Scenario> {
    let (undo, is_return) = (event == "saga.compensated", event == "return.requested");
    match point {
        "before-void" | "after-void" if is_return => None,
        "before-refund" | "after-refund" if is_return => Some(Scenario::ReturnedByCard),
        "before-create" | "after-create" | "after-store" | "after-charge" | "before-retrieve" if undo || is_return => {
            None
        }
        "before-void" | "after-void" | "before-refund" | "after-refund" if !undo => None,
        _ if undo => Some(Scenario::CancelledAfterCardCharge),
        _ if is_return => Some(Scenario::ReturnedByCard),
        _ => Some(Scenario::PaidByCard),
    }
}

/// What has to happen first.
fn prelude(service: Service, point: &str, event: &str) -> Vec<String> {
    let at = |site: &str, action: &str| vec![format!("{service}/{site}@{event}={action}")];
    match point {
        // Delivered again; and, marked suspect already, met as such.
        "before-suspect" | "after-suspect" => at("before-ack", "drop*1"),
        "after-count" => [at("before-ack", "drop*1"), at("after-suspect", "error*1")].concat(),
        // Fails in the batch, and alone. Some attempts are lost with connections that other cells drop.
        "before-wait" | "after-wait" | "after-due" => at("after-steps", "error*4"),
        "after-sweep" => at("before-publish", "error*1"),
        "before-retrieve" => at("after-store", "error*1"),
        _ => Vec::new(),
    }
}
