//! Has the broker still what this participant needs there? What is missing is declared again; what is there but different stays, and
//! makes the service unready until a person has mended it.
//!
//! Exchanges and queues can be looked at over AMQP (passive declarations), bindings cannot: they are bound again each time, which
//! changes nothing where they are. So a lost binding heals as fast as a lost exchange, but nobody can tell that it was lost; who
//! publishes may (`saga_unroutable_total`).

use crate::broker::{BrokerError, Link};
use crate::error::chain;
use crate::telemetry::meters;
use crate::topology::Topology;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(10);
/// For so long `/readyz` tells of what was put back: people look a while after something went wrong.
const TOLD_FOR: Duration = Duration::from_secs(600);

/// What was found when it was last looked for.
#[derive(Default)]
pub(crate) struct Drift(Mutex<Found>);

#[derive(Default)]
struct Found {
    /// What is not as it should be, and cannot be put back.
    wrong: Option<String>,
    healed: Option<(Instant, String)>,
}

impl Drift {
    /// Why nothing can be relied on, if so.
    pub(crate) fn wrong(&self) -> Option<String> {
        self.found().wrong.clone()
    }

    /// What was put back lately.
    pub(crate) fn healed(&self) -> Option<String> {
        let found = self.found();
        let (at, what) = found.healed.as_ref().filter(|(at, _)| at.elapsed() < TOLD_FOR)?;
        Some(format!("{what}: missing on the broker, and declared again {} s ago", at.elapsed().as_secs()))
    }

    /// Notes what a look has found.
    fn note(&self, looked: Result<Vec<String>, BrokerError>) {
        let mut found = self.found();
        match looked {
            Ok(missing) => {
                found.wrong = None;
                if !missing.is_empty() {
                    let missing = missing.join(", ");
                    tracing::warn!(%missing, "was missing on the broker, and is declared again");
                    found.healed = Some((Instant::now(), missing));
                    meters::topology_healed().increment(1);
                }
            }
            Err(error @ BrokerError::Different { .. }) => {
                tracing::error!(error = %chain(&error), "the broker has something else than was declared");
                found.wrong = Some(chain(&error));
            }
            // The connection's own trouble is told by who uses it.
            Err(error) => tracing::warn!(error = %chain(&error), "exchanges, queues and bindings cannot be looked at"),
        }
        meters::topology_differs(found.wrong.is_some());
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // A panic while it was held cannot leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks now and then until stopped.
pub(crate) async fn watch(drift: Arc<Drift>, link: Arc<Link>, topology: Topology, stop: CancellationToken) {
    meters::topology_differs(false);
    loop {
        tokio::select! { () = tokio::time::sleep(LOOK_EVERY) => {}, () = stop.cancelled() => return }
        drift.note(look(&link, &topology).await);
    }
}

/// What was missing, now that it is there.
async fn look(link: &Link, topology: &Topology) -> Result<Vec<String>, BrokerError> {
    let missing = link.missing(topology).await?;
    link.declare(topology).await?;
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_different_makes_the_service_unready_until_it_is_mended() {
        let drift = Drift::default();
        drift.note(Err(BrokerError::Different { name: "order.events".to_owned(), detail: "another type".to_owned() }));
        assert!(drift.wrong().is_some_and(|why| why.contains("order.events")));
        // While the broker is away nothing is known of it.
        drift.note(Err(BrokerError::Silent("declare a queue")));
        assert!(drift.wrong().is_some());
        drift.note(Ok(Vec::new()));
        assert_eq!((drift.wrong(), drift.healed()), (None, None));
    }

    #[test]
    fn what_was_put_back_is_told() {
        let drift = Drift::default();
        drift.note(Ok(vec!["exchange saga.failures".to_owned()]));
        assert_eq!(drift.wrong(), None);
        assert!(drift.healed().is_some_and(|what| what.starts_with("exchange saga.failures: missing")));
    }
}
