//! Every kind of fault: one table per group, and what carries it out.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::dice::Dice;
use super::rig::Rig;
use crate::stack::Program;

pub mod broker;
pub mod clients;
pub mod database;
pub mod messages;
pub mod network;
pub mod points;
pub mod process;
pub mod topology;

/// A kind of fault.
#[derive(Debug, PartialEq)]
pub struct Kind {
    /// Such as `kill-payment-svc`.
    pub name: &'static str,
    /// Which family it belongs to.
    pub group: Group,
    /// What is done, in one sentence.
    pub does: &'static str,
    /// Which trouble of real life it stands for.
    pub stands_for: &'static str,
    /// Who puts it right again.
    pub heals: &'static str,
    /// How long it is held, in milliseconds, from and to; 0 for what happens in a moment.
    pub lasts_ms: (u64, u64),
    /// About how long doing it and undoing it take besides, in milliseconds.
    pub overhead_ms: u64,
    /// Whom it needs for itself.
    pub claim: Claim,
    /// One of these is hit; none means the system as a whole.
    pub targets: &'static [Program],
    /// From when on the time to recovery counts.
    pub recovers: Recovers,
    /// What is carried out.
    pub fault: Fault,
}

/// A family of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Processes are killed, restarted, frozen.
    Process,
    /// RabbitMQ stops, crashes, raises alarms, closes connections.
    Broker,
    /// Queues, bindings and exchanges disappear.
    Topology,
    /// PostgreSQL stops, crashes, cuts off, locks.
    Database,
    /// The proxy between a service and a server misbehaves.
    Network,
    /// Messages are repeated, reordered, held, forged.
    Messages,
    /// A named place in a service's code fails.
    Points,
    /// Callers misbehave.
    Clients,
}

/// Whom a fault needs for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The process it hits, with its links.
    Target,
    /// Broker and database: nobody else may touch them.
    Servers,
    /// Broker and database must be up, others may use them as well.
    ServersUp,
    /// Nobody.
    Nothing,
}

/// From when on the time to recovery counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovers {
    /// From the blow: nobody heals it but the system itself.
    FromBegin,
    /// From the end of the fault.
    FromEnd,
}

/// What is carried out, by group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// See [`process`].
    Process(process::Blow),
    /// See [`broker`].
    Broker(broker::Trouble),
    /// See [`topology`].
    Topology(topology::Damage),
    /// See [`database`].
    Database(database::Trouble),
    /// See [`network`].
    Network(network::Disturbance),
    /// See [`messages`].
    Messages(messages::Mischief),
    /// See [`points`].
    Points(points::Site),
    /// See [`clients`].
    Clients(clients::Misbehaviour),
}

/// One injection's own circumstances.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who is hit, if the kind has targets.
    pub target: Option<Program>,
    /// How long it is held.
    pub lasts: Duration,
    /// For whatever else is left to chance.
    pub dice: Dice,
}

/// What an injection came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What happened, in a few words; empty if the kind says all.
    pub detail: String,
    /// False if the fault was ready and nothing came by that it could hit.
    pub fired: bool,
    /// When it struck, if that is not when it was begun.
    pub struck_at: Option<DateTime<Utc>>,
}

impl Done {
    pub(super) fn quietly() -> Self {
        Self::with(String::new())
    }

    pub(super) fn with(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), fired: true, struck_at: None }
    }

    pub(in crate::chaos) fn missed(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), fired: false, struck_at: None }
    }
}

/// Why a fault could not be injected. One sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotInjected(pub String);

/// Any error's sentence.
pub(super) fn sentence(error: impl std::fmt::Display) -> NotInjected {
    NotInjected(error.to_string())
}

/// What an injection returns.
pub type Outcome = Result<Done, NotInjected>;

/// All kinds, group by group.
pub fn all() -> Vec<&'static Kind> {
    let tables: [&'static [Kind]; 8] = [
        process::KINDS,
        broker::KINDS,
        topology::KINDS,
        database::KINDS,
        network::KINDS,
        messages::KINDS,
        points::KINDS,
        clients::KINDS,
    ];
    tables.into_iter().flatten().collect()
}

/// The kinds that a list names: `all`, groups, kinds; `-name` takes away again.
///
/// # Errors
/// A word that names nothing, or nothing left.
pub fn chosen(words: &[String]) -> Result<Vec<&'static Kind>, String> {
    let mut names = BTreeSet::new();
    for word in words {
        let (without, wanted) = match word.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, word.as_str()),
        };
        let is_meant = |kind: &Kind| wanted == "all" || wanted == kind.name || wanted == kind.group.name();
        let meant: Vec<&str> = all().into_iter().filter(|kind| is_meant(kind)).map(|kind| kind.name).collect();
        if meant.is_empty() {
            return Err(format!("`{wanted}` is neither a kind of fault nor a group of them; --list shows all"));
        }
        for name in meant {
            if without {
                names.remove(name)
            } else {
                names.insert(name)
            };
        }
    }
    let chosen: Vec<_> = all().into_iter().filter(|kind| names.contains(kind.name)).collect();
    if chosen.is_empty() { Err("no kind of fault is left".to_owned()) } else { Ok(chosen) }
}

impl Group {
    /// The group's word on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Broker => "broker",
            Self::Topology => "topology",
            Self::Database => "database",
            Self::Network => "network",
            Self::Messages => "messages",
            Self::Points => "points",
            Self::Clients => "clients",
        }
    }
}

impl Kind {
    /// Does it, holds it and undoes it.
    ///
    /// # Errors
    /// When it could not be done. What can be put right then is left to the end of the run.
    pub async fn inject(&self, rig: &Rig, call: Call) -> Outcome {
        match self.fault {
            Fault::Process(blow) => process::inject(blow, rig, &call).await,
            Fault::Broker(trouble) => broker::inject(trouble, rig, &call).await,
            Fault::Topology(damage) => topology::inject(damage, rig, call).await,
            Fault::Database(trouble) => database::inject(trouble, rig, call).await,
            Fault::Network(disturbance) => network::inject(disturbance, rig, &call).await,
            Fault::Messages(mischief) => messages::inject(mischief, rig, call).await,
            Fault::Points(site) => points::inject(site, rig, call).await,
            Fault::Clients(misbehaviour) => clients::inject(misbehaviour, rig, call).await,
        }
    }
}

impl Call {
    /// Who is hit.
    pub(super) fn target(&self) -> Result<Program, NotInjected> {
        self.target.ok_or_else(|| NotInjected("the kind has no target".to_owned()))
    }
}

#[cfg(test)]
mod tests;
