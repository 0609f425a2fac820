//! Failure injection: which points a service has, and what is set for its process.

use std::collections::BTreeSet;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use uuid::Uuid;

use super::{Client, ClientError, Service, receive};

/// Fault injection of one service's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultMap {
    /// Was the process started with it?
    pub enabled: bool,
    /// What is set for the whole process.
    pub directives: String,
    /// Every fault point of the service.
    pub points: Vec<FaultPoint>,
}

/// One fault point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPoint {
    /// `<service>/<point>`, as a directive names it.
    pub point: String,
    /// What it is at: `subscription`, `delivery`, `database`, `commit`, `ack`, `publish`, `sweep`,
    /// `announcement` or `call`.
    pub place: String,
    /// What a crash there means.
    pub stands_for: String,
    /// The actions that mean something there.
    pub actions: Vec<String>,
    /// How often it was reached, by event.
    pub reached: Vec<Reached>,
}

/// How often a point was reached by one type of event since the process started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The type without its version; empty where no event was handled.
    pub event: String,
    /// How often it was reached.
    pub times: u64,
    /// How often something happened there.
    pub fired: u64,
}

/// Directives that would never fire: for a point that no service of these has (`payment-svc/after-nonsense`), with an action that
/// means nothing there (`payment-svc/after-delivery=skip-ack`), or for an event that is none of `events` (types without their versions).
/// What cannot be read is left to the services, which say why.
#[must_use]
pub fn never_fire(services: &[FaultMap], events: &BTreeSet<String>, directives: &str) -> Vec<String> {
    let fires = |(site, action): (&str, &str)| {
        let (place, event) = site.split_once('@').map_or((site, None), |(place, event)| (place, Some(event)));
        let Some((service, point)) = place.split_once('/') else { return true };
        if event.is_some_and(|event| !events.contains(event)) {
            return false;
        }
        let action = action.split(['(', '*', '%']).next().unwrap_or_default();
        let is_meant = |full: &str| {
            full.split_once('/').is_some_and(|(owner, name)| {
                name == point && (service == "*" || owner == service || owner.strip_suffix("-svc") == Some(service))
            })
        };
        let mut points = services.iter().flat_map(|map| &map.points).filter(|it| is_meant(&it.point));
        points.any(|it| it.actions.iter().any(|offered| offered.split('(').next() == Some(action)))
    };
    let parts = directives.split(',').map(str::trim).filter_map(|directive| directive.split_once('='));
    let never = parts.filter(|parts| !fires((parts.0.trim(), parts.1.trim())));
    never.map(|(site, action)| format!("{site}={action}")).collect()
}

impl Client {
    /// `GET /faults` of one service.
    pub async fn faults(&self, service: Service) -> Result<FaultMap, ClientError> {
        self.get(service, &["faults"]).await
    }

    /// `PUT /faults`: what is to go wrong in the whole process from now on; empty for nothing. `seed` decides those with a
    /// probability.
    pub async fn set_faults(&self, service: Service, directives: &str, seed: u64) -> Result<FaultMap, ClientError> {
        let body = serde_json::json!({ "directives": directives, "seed": seed });
        let request = self.request(Method::PUT, service, &["faults"])?.json(&body);
        Ok(receive(service, request).await?.body)
    }

    /// `PUT /faults`: ends every hold of this saga in the service, for good, also those that have not held anything yet;
    /// tells how many. One that the service has not heard of yet (no message of the saga has come) is not among them.
    pub async fn release(&self, service: Service, saga_id: Uuid) -> Result<u64, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            released: u64,
        }
        let request = self.request(Method::PUT, service, &["faults"])?.json(&serde_json::json!({ "release": saga_id }));
        Ok(receive::<Answer>(service, request).await?.body.released)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_never_fire_is_told() {
        let point = |name: &str| {
            let actions = ["crash", "error", "drop", "delay(ms)"];
            serde_json::json!({"point": name, "place": "call", "stands_for": "", "actions": actions, "reached": []})
        };
        let map = serde_json::json!({"enabled": true, "directives": "", "points": [point("payment-svc/after-charge")]});
        let maps = [serde_json::from_value::<FaultMap>(map).expect("a map")];
        let events = BTreeSet::from(["stock.reserved".to_owned()]);
        for known in [
            "payment-svc/after-charge=crash",
            "payment/after-charge@stock.reserved=error*2, */after-charge=delay(5)%0.5",
            "?",
        ] {
            assert_eq!(never_fire(&maps, &events, known), Vec::<String>::new(), "{known}");
        }
        let never = [
            "payment-svc/after-nonsense=crash",
            "nowhere/after-charge=crash",
            "*/x@y=drop",
            "payment-svc/after-charge=skip-ack",
            "payment-svc/after-charge@stock.reservd=crash",
        ];
        assert_eq!(never_fire(&maps, &events, &never.join(",")), never);
    }
}
