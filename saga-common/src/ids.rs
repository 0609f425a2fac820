//! Identifiers that cross module borders. No bare `Uuid` does.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new UUIDv7: ordered by the millisecond of its making.
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The same 16 bytes as a plain UUID, for SQL parameters.
            #[must_use]
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id! {
    /// One business transaction; travels as the AMQP correlation id of every message of the saga.
    SagaId
}
id! {
    /// One event; stable over republish, redelivery and redrive.
    MessageId
}

id! {
    /// One unit of work: names what it said as a whole, in `saga.outbox` and `saga.said`.
    UnitId
}

impl SagaId {
    /// When the id was made, in milliseconds since 1970; `None` unless it is a UUIDv7.
    #[must_use]
    pub fn made_at_ms(&self) -> Option<u64> {
        made_at_ms(self.0)
    }
}

impl MessageId {
    /// As [`SagaId::made_at_ms`].
    pub(crate) fn made_at_ms(&self) -> Option<u64> {
        made_at_ms(self.0)
    }
}

impl UnitId {
    /// As [`SagaId::made_at_ms`].
    pub(crate) fn made_at_ms(&self) -> Option<u64> {
        made_at_ms(self.0)
    }
}

/// What this machine's clock says, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    chrono::Utc::now().timestamp_millis().unsigned_abs()
}

fn made_at_ms(id: Uuid) -> Option<u64> {
    if id.get_version_num() != 7 {
        return None;
    }
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    Some(seconds * 1_000 + u64::from(nanos) / 1_000_000)
}

impl MessageId {
    /// The id of a message that came without a usable one: derived from its content, so that every
    /// redelivery of it meets the same parked row.
    pub(crate) fn of_content(content: &[u8]) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_saga_id_tells_when_it_was_made() {
        let made_at = SagaId::new().made_at_ms().expect("a v7 id has a time");
        let now = chrono::Utc::now().timestamp_millis().unsigned_abs();
        assert!(now.abs_diff(made_at) < 60_000);
    }

    #[test]
    fn an_id_that_is_not_v7_has_no_time() {
        let v5 = MessageId::of_content(b"x").as_uuid();
        assert_eq!(SagaId::from(v5).made_at_ms(), None);
    }
}
