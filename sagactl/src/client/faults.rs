//! Failure injection: which points a service has, and what is set for its process.

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

/// The sites of directives (`payment-svc/after-charge`) that no service of these has: what would never fire. What cannot be read
/// is left to the services, which say why.
#[must_use]
pub fn unknown_sites(services: &[FaultMap], directives: &str) -> Vec<String> {
    let sites = directives.split(',').filter_map(|directive| Some(directive.split_once('=')?.0.trim()));
    let named = sites.filter_map(|site| site.split('@').next()?.split_once('/'));
    let has = |service: &str, point: &str| {
        let of = |full: &str| {
            full.split_once('/').is_some_and(|(owner, name)| {
                name == point && (service == "*" || owner == service || owner.strip_suffix("-svc") == Some(service))
            })
        };
        services.iter().flat_map(|map| &map.points).any(|it| of(&it.point))
    };
    named.filter(|(service, point)| !has(service, point)).map(|(service, point)| format!("{service}/{point}")).collect()
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
    fn a_site_that_no_service_has_is_told() {
        let point = |name: &str| serde_json::json!({"point": name, "place": "call", "stands_for": "", "actions": [], "reached": []});
        let map = serde_json::json!({"enabled": true, "directives": "", "points": [point("payment-svc/after-charge")]});
        let maps = [serde_json::from_value::<FaultMap>(map).expect("a map")];
        for known in
            ["payment-svc/after-charge=crash", "payment/after-charge@stock.reserved=error*2,*/after-charge=drop", "?"]
        {
            assert_eq!(unknown_sites(&maps, known), Vec::<String>::new(), "{known}");
        }
        let unknown = "payment-svc/after-nonsense=crash,nowhere/after-charge=crash,*/x@y=drop";
        assert_eq!(unknown_sites(&maps, unknown), ["payment-svc/after-nonsense", "nowhere/after-charge", "*/x"]);
    }
}
