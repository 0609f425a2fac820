//! R4: what is announced is repeated until it is withdrawn. Mirrors `saga-common/src/announcer.rs`.

use crate::message::{Message, Service};
use crate::protocol::Protocol;
use crate::state::{Leaving, Row, State};

impl Protocol {
    /// No repeat while the former's outbox row exists (`announcer::repeat_due`).
    pub(crate) fn can_repeat(&self, state: &State, saga: u8) -> bool {
        let Some(event) = state.sagas[usize::from(saga)].announced else { return false };
        let former =
            |row: &Row| row.service == Service::Order && (row.message.saga, row.message.event) == (saga, event);
        !state.outbox.iter().any(former)
    }

    /// One more repeat, under the id of the first and with `announcement: n`, n > 0. The clock never stops: in a system
    /// `at_rest` a repeat always comes; amidst the work of others so many come as the budget says.
    pub(crate) fn repeat(&self, state: &mut State, saga: u8, at_rest: bool) {
        let Some(event) = state.saga(saga).announced else { return };
        if at_rest {
            state.saga(saga).idle_repeats += 1;
        } else {
            state.left.repeats -= 1;
        }
        let message = Message { repeat: true, ..Message::new(saga, event) };
        self.commit(state, Service::Order, &[message], Leaving::Held);
    }
}
