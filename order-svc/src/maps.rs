//! Who must answer a cancellation is a setting; whether it fits is read off the participants' own maps. One that undoes
//! but is not waited for would be trusted blindly; one that is waited for but never answers would keep orders cancelling.

use crate::metrics;
use crate::peers::{Peers, Silent};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LOOK_AGAIN: Duration = Duration::from_secs(5);
const LOOK_NOW_AND_THEN: Duration = Duration::from_secs(300);

/// What `GET /choreography` says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Map {
    participant: String,
    steps: Vec<MapStep>,
}

#[derive(Debug, Deserialize)]
struct MapStep {
    undo: bool,
}

/// Compares the setting with the maps, soon after the start and now and then; a difference is an error in the log and
/// `order_participants_differ` = 1.
pub(crate) async fn check(required: Vec<String>, peers: Peers, stop: CancellationToken) {
    let required: BTreeSet<String> = required.into_iter().collect();
    loop {
        let wait = match undoing(&peers).await {
            Ok(undoing) => {
                let differ = difference(&required, &undoing);
                metrics::participants_differ(differ.is_some());
                if let Some(why) = differ {
                    tracing::error!("{why}");
                }
                LOOK_NOW_AND_THEN
            }
            Err(error) => {
                tracing::debug!(error = %error, "a participant does not show its map yet");
                LOOK_AGAIN
            }
        };
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = stop.cancelled() => return }
    }
}

async fn undoing(peers: &Peers) -> Result<BTreeSet<String>, Silent> {
    let mut undoing = BTreeSet::new();
    for (_, url) in peers.services() {
        let map: Map = peers.get(url, "/choreography").await?;
        if map.steps.iter().any(|step| step.undo) {
            undoing.insert(map.participant);
        }
    }
    Ok(undoing)
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
