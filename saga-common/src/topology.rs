//! Every name on the broker, and what has to be declared: pure. No other module spells a name.

use crate::choreography::Choreography;
use crate::event::routing_key;
use std::collections::BTreeSet;
use std::fmt;

/// Where success goes: a direct exchange, routing key = event type without its version.
pub const EVENTS: &str = "saga.events";
/// Where failure goes: a fanout exchange, every participant that can undo has a queue on it.
pub const FAILURES: &str = "saga.failures";
/// The backstop of every queue; nothing arrives there unless the broker itself gives a message up.
pub const DEAD_LETTERS: &str = "saga.dlx";
/// A queue that keeps the last messages of all routes, to look at in the management UI.
pub const TAP: &str = "saga.tap";

/// So high that the broker never drops an innocent message; the engine counts attempts itself.
const DELIVERY_LIMIT: i64 = 1_000_000_000;
const TAP_LENGTH: i64 = 1_000;

/// How queues are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum QueueType {
    /// Replicated; the default, also on one node.
    #[default]
    Quorum,
    /// For a single node that never grows.
    Classic,
}

/// The queues of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueRole {
    /// Successes this service reacts to.
    Events,
    /// Failures it undoes.
    Failures,
    /// What the broker dead-lettered; drained into the service's parked rows.
    Parked,
}

impl QueueRole {
    /// The role's word in names, rows and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Failures => "failures",
            Self::Parked => "parked",
        }
    }

    /// The queue of this role that belongs to `service`.
    #[must_use]
    pub fn queue(self, service: &str) -> String {
        format!("{service}.{}", self.as_str())
    }
}

/// The way an event leaves a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// Success: the direct exchange.
    Direct,
    /// Failure: the fanout exchange.
    Fanout,
}

impl Route {
    /// The exchange of this way.
    #[must_use]
    pub fn exchange(self) -> &'static str {
        match self {
            Self::Direct => EVENTS,
            Self::Fanout => FAILURES,
        }
    }

    /// The way that leads over this exchange.
    pub(crate) fn over(exchange: &str) -> Self {
        if exchange == FAILURES { Self::Fanout } else { Self::Direct }
    }
}

/// One thing to declare; all are idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declaration {
    /// A durable exchange.
    Exchange {
        /// Its name.
        name: &'static str,
        /// `direct` or `fanout`.
        fanout: bool,
    },
    /// A durable queue with the arguments safety depends on.
    Queue {
        /// Its name.
        name: String,
        /// The `x-` arguments.
        arguments: Vec<(&'static str, Argument)>,
    },
    /// A route from an exchange to a queue.
    Binding {
        /// The queue.
        queue: String,
        /// The exchange.
        exchange: &'static str,
        /// The routing key; empty for a fanout.
        key: String,
    },
}

/// What it is called to people.
impl fmt::Display for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange { name, .. } => write!(f, "exchange {name}"),
            Self::Queue { name, .. } => write!(f, "queue {name}"),
            Self::Binding { queue, exchange, key } => write!(f, "binding of {queue} to {exchange} ({key})"),
        }
    }
}

/// A queue argument's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A string.
    Text(String),
    /// A number.
    Number(i64),
}

/// What one service declares.
#[derive(Debug, Clone)]
pub struct Topology {
    /// The service's name, the first part of its queues' names.
    pub service: String,
    /// Routing keys of the events it reacts to.
    pub reacts_to: BTreeSet<String>,
    /// Routing keys of the events it says.
    pub says: BTreeSet<String>,
    /// Does it undo anything?
    pub undoes: bool,
    /// How its queues are kept.
    pub queue_type: QueueType,
    /// Does it bind what it says to [`TAP`]?
    pub tap: bool,
}

impl Topology {
    /// What the participant of this map declares.
    #[must_use]
    pub fn of(map: &Choreography, queue_type: QueueType, tap: bool) -> Self {
        let keys = |events: Vec<&String>| events.into_iter().map(|event| routing_key(event).to_owned()).collect();
        let reacts_to = map.steps.iter().filter_map(|step| step.reacts_to.as_ref());
        let says = map.steps.iter().filter_map(|step| step.says.as_ref()).chain(&map.answers);
        Self {
            service: map.participant.clone(),
            reacts_to: keys(reacts_to.collect()),
            says: keys(says.collect()),
            undoes: map.undoes,
            queue_type,
            tap,
        }
    }

    /// The queues to consume.
    #[must_use]
    pub fn consumed(&self) -> Vec<QueueRole> {
        let mut roles = vec![QueueRole::Events, QueueRole::Parked];
        if self.undoes {
            roles.push(QueueRole::Failures);
        }
        roles
    }

    /// Everything, in the order in which it has to be declared.
    #[must_use]
    pub fn declarations(&self) -> Vec<Declaration> {
        let mut all = vec![
            Declaration::Exchange { name: EVENTS, fanout: false },
            Declaration::Exchange { name: FAILURES, fanout: true },
            Declaration::Exchange { name: DEAD_LETTERS, fanout: false },
        ];
        all.extend(self.consumed().into_iter().map(|role| self.queue(role)));
        let bind = |role: QueueRole, exchange, key: &str| Declaration::Binding {
            queue: role.queue(&self.service),
            exchange,
            key: key.to_owned(),
        };
        all.extend(self.reacts_to.iter().map(|key| bind(QueueRole::Events, EVENTS, key)));
        all.push(bind(QueueRole::Parked, DEAD_LETTERS, &self.service));
        if self.undoes {
            all.push(bind(QueueRole::Failures, FAILURES, ""));
        }
        if self.tap {
            all.extend(self.tap_declarations());
        }
        all
    }

    fn queue(&self, role: QueueRole) -> Declaration {
        let queue_type = match self.queue_type {
            QueueType::Quorum => "quorum",
            QueueType::Classic => "classic",
        };
        let mut arguments = vec![("x-queue-type", Argument::Text(queue_type.to_owned()))];
        if role != QueueRole::Parked {
            arguments.push(("x-dead-letter-exchange", Argument::Text(DEAD_LETTERS.to_owned())));
            arguments.push(("x-dead-letter-routing-key", Argument::Text(self.service.clone())));
        }
        if self.queue_type == QueueType::Quorum {
            arguments.push(("x-delivery-limit", Argument::Number(DELIVERY_LIMIT)));
        }
        Declaration::Queue { name: role.queue(&self.service), arguments }
    }

    fn tap_declarations(&self) -> Vec<Declaration> {
        let arguments = vec![
            ("x-queue-type", Argument::Text("classic".to_owned())),
            ("x-max-length", Argument::Number(TAP_LENGTH)),
            ("x-overflow", Argument::Text("drop-head".to_owned())),
        ];
        let bind = |exchange, key: &str| Declaration::Binding { queue: TAP.to_owned(), exchange, key: key.to_owned() };
        let mut all = vec![Declaration::Queue { name: TAP.to_owned(), arguments }, bind(FAILURES, "")];
        all.extend(self.says.iter().map(|key| bind(EVENTS, key)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(queue_type: QueueType) -> Topology {
        Topology {
            service: "inventory".to_owned(),
            reacts_to: BTreeSet::from(["order.placed".to_owned()]),
            says: BTreeSet::from(["stock.reserved".to_owned()]),
            undoes: true,
            queue_type,
            tap: false,
        }
    }

    #[test]
    fn queues_are_declared_before_they_are_bound() {
        let all = inventory(QueueType::Quorum).declarations();
        let position = |wanted: &dyn Fn(&Declaration) -> bool| all.iter().position(wanted);
        let last_queue = all.iter().rposition(|d| matches!(d, Declaration::Queue { .. }));
        assert!(last_queue < position(&|d| matches!(d, Declaration::Binding { .. })));
    }

    #[test]
    fn a_quorum_queue_never_drops_an_innocent_message() {
        let limited = |t: QueueType| {
            inventory(t).declarations().iter().any(
                |d| matches!(d, Declaration::Queue { arguments, .. } if arguments.iter().any(|(k, _)| *k == "x-delivery-limit")),
            )
        };
        assert!(limited(QueueType::Quorum) && !limited(QueueType::Classic));
    }

    #[test]
    fn who_undoes_nothing_has_no_failures_queue() {
        let listener = Topology { undoes: false, ..inventory(QueueType::Quorum) };
        assert!(
            !listener
                .declarations()
                .iter()
                .any(|d| matches!(d, Declaration::Binding { exchange: "saga.failures", .. }))
        );
    }
}
