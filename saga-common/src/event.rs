//! What an event is: a serde type whose serde name is its wire type.
//!
//! A contract needs serde and nothing else, so teams can share a crate of events without sharing the engine:
//!
//! ```
//! #[derive(serde::Serialize, serde::Deserialize)]
//! #[serde(rename = "parcel.shipped.v1")]
//! struct ParcelShipped { parcel_id: String }
//!
//! let wire = saga_common::event::EventType::of::<ParcelShipped>().expect("a well-formed type");
//! assert_eq!(wire.as_str(), "parcel.shipped.v1");
//! assert_eq!(wire.routing_key(), "parcel.shipped");
//! ```

use crate::step::{Retry, StepError};
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use std::fmt;

/// Anything serde can write and read. The derive's `rename` names it on the wire.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Event for T {}

/// The event that cannot be: a step that says or refuses with `Never` cannot do so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Never {}

/// What a step may say or refuse with: an [`Event`], or [`Never`].
pub trait Said: Send + Sync + 'static {
    /// How a step that may refuse with this can fail. One that cannot refuse stands after the pivot, where nothing
    /// may be given up: its error has no `dead_letter`.
    type Error: From<Retry> + Into<StepError> + Send + 'static;

    /// The wire type; `Ok(None)` for [`Never`].
    ///
    /// # Errors
    /// When the serde name is no wire type.
    fn event_type() -> Result<Option<EventType>, BadEventType>;

    /// The body, JSON.
    ///
    /// # Errors
    /// When serde cannot write the value.
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error>;
}

impl<E: Event> Said for E {
    type Error = StepError;

    fn event_type() -> Result<Option<EventType>, BadEventType> {
        EventType::of::<E>().map(Some)
    }

    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl Said for Never {
    type Error = Retry;

    fn event_type() -> Result<Option<EventType>, BadEventType> {
        Ok(None)
    }

    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        match *self {}
    }
}

/// `stock.reserved.v1`: words in lower case, a version. The part before the version is the routing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(&'static str);

/// The serde name of a type is no wire type.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no event type: give the struct a name like #[serde(rename = \"stock.reserved.v1\")]")]
pub struct BadEventType(pub String);

impl EventType {
    /// Reads the wire type off the serde name of `E`.
    ///
    /// # Errors
    /// When the name has not the form `words.in.lower-case.v1`.
    pub fn of<E: Event>() -> Result<Self, BadEventType> {
        let mut name = None;
        // The probe refuses every value, so this never succeeds: all it is after is the name serde passes in.
        let _ = E::deserialize(NameProbe(&mut name));
        match name {
            Some(name) if is_wire_type(name) => Ok(Self(name)),
            Some(name) => Err(BadEventType(name.to_owned())),
            None => Err(BadEventType(std::any::type_name::<E>().to_owned())),
        }
    }

    /// The whole type, version included: the AMQP property `type`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.0
    }

    /// The type without its version: a new major version goes the same way.
    #[must_use]
    pub fn routing_key(&self) -> &'static str {
        routing_key(self.0)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The routing key of a wire type: what stands before its version.
pub(crate) use saga_choreography::unversioned as routing_key;

fn is_wire_type(name: &str) -> bool {
    let Some((words, version)) = name.rsplit_once(".v") else {
        return false;
    };
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    words.split('.').all(word) && version.parse::<u32>().is_ok_and(|v| v > 0)
}

/// A deserializer that has nothing to give and notes the name it was asked for.
struct NameProbe<'a>(&'a mut Option<&'static str>);

#[derive(Debug)]
struct Probed;
impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("probed")
    }
}
impl std::error::Error for Probed {}
impl serde::de::Error for Probed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Probed
    }
}

impl<'de> Deserializer<'de> for NameProbe<'_> {
    type Error = Probed;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Probed> {
        Err(Probed)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Probed> {
        *self.0 = Some(name);
        Err(Probed)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Probed> {
        *self.0 = Some(name);
        Err(Probed)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize)]
    #[serde(rename = "stock.reserved.v2")]
    struct Reserved {}

    #[derive(Serialize, Deserialize)]
    struct Unnamed {}

    #[test]
    fn the_serde_name_is_the_wire_type() {
        let wire = EventType::of::<Reserved>().expect("named");
        assert_eq!((wire.as_str(), wire.routing_key()), ("stock.reserved.v2", "stock.reserved"));
    }

    #[test]
    fn a_type_without_a_wire_name_is_refused() {
        for refused in [EventType::of::<Unnamed>().is_err(), EventType::of::<String>().is_err()] {
            assert!(refused);
        }
        assert!(
            !is_wire_type("Stock.v1") && !is_wire_type("stock") && !is_wire_type("stock.v0") && !is_wire_type(".v1")
        );
    }
}
