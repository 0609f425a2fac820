//! The step table: all that this service reacts to. Open this first.

use crate::steps::notify;
use saga_common::participant::ChoreographyError;
use saga_common::{Participant, set};

/// | step | reacts to |
/// |---|---|
/// | `notify` | `order.confirmed` |
/// | `notify` | `order.cancelled` |
///
/// Each message is noted once. The name is part of keys in the database: it is never changed.
///
/// # Errors
/// When the table does not fit together.
pub fn participant() -> Result<Participant<()>, ChoreographyError> {
    Participant::new("notification", ())
        .listener("notify", set(notify::confirmed))
        .listener("notify", set(notify::cancelled))
        .build()
}
