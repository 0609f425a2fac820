//! R6, retention: guard rows are dropped by partition, never of unfinished sagas; what comes later is parked as expired,
//! before any insert. Mirrors `saga-common/src/partitions/mod.rs` and `Window::check`.
//!
//! Here a saga counts as finished when its order is, at every service. A participant of the code knows less: it looks at its
//! own rows only ([`Mutant::DropsByOwnRows`]), and relies on retention being longer than any saga takes to end.

use crate::message::Service;
use crate::mutants::Mutant;
use crate::protocol::Protocol;
use crate::state::{Guards, Hold, Payment, State, Status, Why};

impl Protocol {
    /// May this service drop the partition with the saga's guard rows?
    pub(crate) fn may_drop(&self, state: &State, saga: u8, service: Service) -> bool {
        let row = &state.sagas[usize::from(saga)];
        if row.at(service).dropped {
            return false;
        }
        let finished = row.status == Status::Cancelled || row.closed;
        // What each service's `unfinished` query knows.
        let looks_finished = match service {
            Service::Order => finished,
            Service::Inventory => row.hold != Hold::Held,
            Service::Payment => !matches!(row.payment, Payment::Charging | Payment::Refunding),
        };
        let decided = finished || looks_finished && self.drops(Mutant::DropsByOwnRows);
        let waiting = |why| matches!(why, Why::Suspect | Why::Waiting);
        let busy = row.job.is_some()
            || row.announced.is_some()
            || state.outbox.iter().any(|row| row.service == service && row.message.saga == saga)
            || state
                .waiting
                .iter()
                .any(|row| row.message.saga == saga && row.queue.service == service && waiting(row.why));
        decided && !busy || self.drops(Mutant::DropsUnfinished)
    }

    /// `DROP TABLE` of the partition.
    pub(crate) fn drop_guards(&self, state: &mut State, saga: u8, service: Service) {
        *state.saga(saga).at_mut(service) = Guards { dropped: true, ..Guards::default() };
    }

    /// Is the saga's id older than the oldest partition?
    pub(crate) fn is_expired(&self, state: &State, service: Service, saga: u8) -> bool {
        state.sagas[usize::from(saga)].at(service).dropped && !self.drops(Mutant::ExpiredRuns)
    }
}
