//! The step table: all that this service reacts to. Open this first.

use crate::mail::Handover;
use crate::steps::notify;
use saga_common::participant::ChoreographyError;
use saga_common::{Participant, set};

/// | step | reacts to |
/// |---|---|
/// | `notify` | `order.confirmed` |
/// | `notify` | `order.cancelled` |
/// | `notify` | `order.status-changed` |
///
/// Each message is noted once. The name is part of keys in the database: it is never changed.
pub(crate) fn participant(mails: Handover) -> Result<Participant<Handover>, ChoreographyError> {
    Participant::new("notification", mails)
        .listener("notify", set(notify::confirmed))
        .listener("notify", set(notify::cancelled))
        .listener("notify", set(notify::status_changed))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::handover;

    #[test]
    fn the_choreography_is_the_documented_one() {
        let steps = participant(handover().0).expect("it fits together").map().steps.into_iter().map(|s| {
            (s.step, s.reacts_to.unwrap_or_default(), s.says.unwrap_or_default(), s.refuses.unwrap_or_default())
        });
        let row = |a: &str, b: &str, c: &str, d: &str| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned());
        assert_eq!(
            steps.collect::<Vec<_>>(),
            [
                row("notify", "order.confirmed.v1", "", ""),
                row("notify", "order.cancelled.v1", "", ""),
                row("notify", "order.status-changed.v1", "", ""),
            ]
        );
    }
}
