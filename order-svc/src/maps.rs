//! The maps of all participants: what a timeline reads off them, and whether the setting of who must answer a cancellation fits
//! them. A participant that undoes but is not waited for would be trusted blindly; one that is waited for but never answers would
//! keep orders cancelling.

use crate::metrics;
use crate::peers::{Peers, Silent};
use futures::future::join_all;
use saga_common::Choreography;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Maps change with a deployment only.
const LOOK_NOW_AND_THEN: Duration = Duration::from_secs(300);

/// The maps, as they were when their services were last asked. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Maps {
    peers: Peers,
    own: Arc<Choreography>,
    known: Arc<Mutex<BTreeMap<String, Arc<Choreography>>>>,
}

impl Maps {
    pub(crate) fn new(own: Choreography, peers: Peers) -> Self {
        Self { peers, own: Arc::new(own), known: Arc::default() }
    }

    /// order-svc's own.
    pub(crate) fn own(&self) -> &Choreography {
        &self.own
    }

    /// The other services.
    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The maps of the other services, by name. Who is not known yet is asked, and left out if they do not answer.
    pub(crate) async fn of_peers(&self) -> BTreeMap<String, Arc<Choreography>> {
        let known = self.known().clone();
        let missing = self.peers.services().filter(|(service, _)| !known.contains_key(*service));
        let asked = join_all(missing.map(|(service, url)| self.ask(service, url))).await;
        match asked.is_empty() {
            true => known,
            false => self.known().clone(),
        }
    }

    /// Asks everybody anew.
    async fn look(&self) -> Result<(), Silent> {
        let asked = self.peers.services().map(|(service, url)| self.ask(service, url));
        join_all(asked).await.into_iter().collect()
    }

    async fn ask(&self, service: &str, url: &str) -> Result<(), Silent> {
        let map: Choreography = self.peers.get(url, "/choreography").await?;
        self.known().insert(service.to_owned(), Arc::new(map));
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Choreography>>> {
        // A panic while it was held cannot leave the list half-changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares the setting with the maps, soon after the start and now and then; a difference is an error in the log and
/// `order_participants_differ` = 1.
pub(crate) async fn check(required: Vec<String>, maps: Maps, stop: CancellationToken) {
    let required: BTreeSet<String> = required.into_iter().collect();
    loop {
        let looked = maps.look().await;
        let undoing: BTreeSet<String> =
            maps.known().values().filter(|map| map.undoes).map(|map| map.participant.clone()).collect();
        let wait = match looked {
            Ok(()) => {
                let differ = difference(&required, &undoing);
                metrics::participants_differ(differ.is_some());
                if let Some(why) = differ {
                    tracing::error!("{why}");
                }
                LOOK_NOW_AND_THEN
            }
            Err(error) => {
                tracing::debug!(error = %error, "a participant does not show its map yet");
                // Whoever undoes and is not waited for is wrong, whatever the others say.
                if !undoing.is_subset(&required) {
                    metrics::participants_differ(true);
                }
                LOOK_AGAIN
            }
        };
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = stop.cancelled() => return }
    }
}

fn difference(required: &BTreeSet<String>, undoing: &BTreeSet<String>) -> Option<String> {
    if required == undoing {
        return None;
    }
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    Some(format!(
        "PARTICIPANTS says that {} must answer a cancellation, but those who undo are {}",
        list(required),
        list(undoing)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_participant_that_undoes_but_is_not_waited_for_is_noticed() {
        assert_eq!(difference(&names(&["inventory", "payment"]), &names(&["payment", "inventory"])), None);
        let why = difference(&names(&["payment"]), &names(&["inventory", "payment"])).expect("they differ");
        assert!(why.contains("inventory"));
    }
}
