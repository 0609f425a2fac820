//! What every service tells about itself: the events it reacts to, and what it says.

pub use saga_choreography::{Choreography, StepMap};

use super::{Client, ClientError, Service};

impl Client {
    /// `GET /choreography` of one service: what it reacts to and says.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn choreography(&self, service: Service) -> Result<Choreography, ClientError> {
        self.get(service, &["choreography"]).await
    }
}

/// The maps of all services as they were when this program was built: generated from the services' own code.
///
/// # Panics
/// Never: a test reads them.
#[must_use]
pub fn built_in_maps() -> Vec<Choreography> {
    serde_json::from_str(include_str!("../../../docs/choreography.json")).expect("a test has read them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_a_built_in_map() {
        let maps = built_in_maps();
        let names: Vec<&str> = maps.iter().map(|map| map.participant.as_str()).collect();
        assert_eq!(names, Service::ALL.map(Service::name));
    }
}
