//! The undo edges: what a participant can have done when a failure reaches it, and what it then answers. A table of what
//! must have run at least once; one that did not fails the run.

use uuid::Uuid;

use super::Scenario;
use crate::client::Service;

/// One way in which a participant undoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Who undoes.
    pub service: Service,
    /// What it had done, in words.
    pub had: &'static str,
    /// The failure that reaches it.
    pub failure: &'static str,
    /// What it answers: the verdict of its line `compensate` (the owner's: of its first step).
    pub answers: &'static str,
    /// The order that brings it about.
    pub scenario: Scenario,
}

const fn edge(
    service: Service,
    had: &'static str,
    failure: &'static str,
    answers: &'static str,
    scenario: Scenario,
) -> Edge {
    Edge { service, had, failure, answers, scenario }
}

/// All that are reachable. Not among them: a `stock.rejected` that finds stock reserved, or a `payment.declined` that finds
/// none, because the same service's own guard row says no (R2).
pub const EDGES: [Edge; 14] = [
    edge(Service::Inventory, "reserved", "payment.declined", "undone", Scenario::Declined),
    edge(Service::Inventory, "refused", "stock.rejected", "nothing-to-undo", Scenario::Rejected),
    edge(Service::Inventory, "reserved", "order.cancelling", "undone", Scenario::CancelledBeforeCharge),
    edge(Service::Inventory, "nothing yet", "order.cancelling", "fenced", Scenario::CancelledBeforeReservation),
    edge(Service::Inventory, "refused", "order.cancelling", "nothing-to-undo", Scenario::CancelledAndRejected),
    edge(Service::Payment, "refused", "payment.declined", "nothing-to-undo", Scenario::Declined),
    edge(Service::Payment, "nothing yet", "stock.rejected", "fenced", Scenario::Rejected),
    edge(Service::Payment, "nothing yet", "order.cancelling", "fenced", Scenario::CancelledBeforeCharge),
    edge(Service::Payment, "charged a wallet", "order.cancelling", "undone", Scenario::CancelledAfterCharge),
    edge(Service::Payment, "stored an intent", "order.cancelling", "undone", Scenario::CancelledBeforeCardCharge),
    edge(Service::Payment, "charged a card", "order.cancelling", "undone", Scenario::CancelledAfterCardCharge),
    edge(Service::Payment, "refused", "order.cancelling", "nothing-to-undo", Scenario::CancelledAndDeclined),
    edge(Service::Order, "placed", "payment.declined", "undone", Scenario::Declined),
    edge(Service::Order, "placed", "stock.rejected", "undone", Scenario::Rejected),
];

/// How often an edge ran, and with what crash.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Coverage {
    /// Who undoes.
    pub service: String,
    /// What it had done.
    pub had: &'static str,
    /// The failure.
    pub failure: &'static str,
    /// What it answers.
    pub answers: &'static str,
    /// Orders in which it really ran.
    pub ran: usize,
    /// Of those, with a crash of the service before its commit.
    pub crashed_before_commit: usize,
    /// Of those, with a crash of the service after its commit.
    pub crashed_after_commit: usize,
}

impl Edge {
    /// The crashes that each edge is run with.
    #[must_use]
    pub fn crashes(&self) -> [String; 2] {
        let at = |point| format!("{}/{point}@{}=crash", self.service, self.failure);
        [at("before-commit"), at("after-commit")]
    }

    /// The step whose verdict tells, as the service's guard rows name it.
    #[must_use]
    pub fn told_by(&self) -> &'static str {
        if self.service == Service::Order { "place-order" } else { "compensate" }
    }
}

/// An order that was to run an edge.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The order.
    pub order_id: Uuid,
    /// Which edge.
    pub edge: Edge,
    /// The verdict that the service's guard row has.
    pub verdict: Option<String>,
    /// The crash it was run with, if that fired.
    pub crashed: Option<String>,
}

/// The table.
#[must_use]
pub fn coverage(tried: &[Tried]) -> Vec<Coverage> {
    let of = |edge: &Edge| {
        let ran: Vec<&Tried> =
            tried.iter().filter(|t| t.edge == *edge && t.verdict.as_deref() == Some(edge.answers)).collect();
        let crashed =
            |when: &str| ran.iter().filter(|t| t.crashed.as_deref().is_some_and(|c| c.contains(when))).count();
        Coverage {
            service: edge.service.to_string(),
            had: edge.had,
            failure: edge.failure,
            answers: edge.answers,
            ran: ran.len(),
            crashed_before_commit: crashed("before-commit"),
            crashed_after_commit: crashed("after-commit"),
        }
    };
    EDGES.iter().map(of).collect()
}
