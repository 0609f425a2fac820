//! inventory-svc: sets stock aside, puts it back, lets it go. Mirrors `inventory-svc/src/{store.rs,steps/}`.

use crate::consumer::Ran;
use crate::message::{Event, Message, Service};
use crate::mutants::Mutant;
use crate::protocol::Protocol;
use crate::state::{Hold, Leaving, Saga, State, Verdict, Why};

impl Protocol {
    /// `reserve-stock`: guard row first; then what is on the shelf is set aside, or the saga is refused in the same
    /// transaction that writes `rejected` (R1, R2).
    pub(crate) fn reserve_stock(&self, state: &mut State, message: Message, said: &mut Vec<Message>) {
        if !self.claims(&mut state.saga(message.saga).at_mut(Service::Inventory).action) {
            return;
        }
        if state.available > 0 {
            state.available -= 1;
            state.reserved += 1;
            let saga = state.saga(message.saga);
            saga.taken += 1;
            saga.hold = Hold::Held;
            saga.at_mut(Service::Inventory).action = Verdict::Done;
            said.push(Message::new(message.saga, Event::StockReserved));
        } else {
            if !self.drops(Mutant::RefusesWithoutVerdict) {
                state.saga(message.saga).at_mut(Service::Inventory).action = Verdict::Rejected;
            }
            said.push(Message::new(message.saga, Event::StockRejected));
        }
    }

    /// The undo of `reserve-stock`: what the saga holds goes back on the shelf; that may be nothing.
    pub(crate) fn release_stock(&self, state: &mut State, saga: u8) {
        // A mutant may get here twice, and the business rows do not save it.
        state.available += 1;
        state.reserved -= 1;
        let row = state.saga(saga);
        row.put_back += 1;
        row.hold = Hold::Released;
    }

    /// `commit-stock`, after the pivot: what a confirmed order holds is sold. A repeated announcement makes it say
    /// `stock.committed` again, under its recorded id (R4; `forward::meet`).
    pub(crate) fn commit_stock(&self, state: &mut State, message: Message, said: &mut Vec<Message>) -> Ran {
        let saga = state.saga(message.saga);
        let committed = Message::new(message.saga, Event::StockCommitted);
        if !self.claims(&mut saga.at_mut(Service::Inventory).pivot) {
            if message.repeat && !self.drops(Mutant::CommitNotRepeated) {
                said.push(committed);
            }
            return Ran::Committed;
        }
        if saga.hold != Hold::Held {
            // The code tries for ever and alerts. It never happens; for a mutant it is the end.
            return Ran::Parked(Why::Parked);
        }
        saga.hold = Hold::Sold;
        saga.at_mut(Service::Inventory).pivot = Verdict::Done;
        state.reserved -= 1;
        state.sold += 1;
        said.push(committed);
        Ran::Committed
    }

    /// R2: once it has said success, a service can only obey. A reservation that expires inside of inventory breaks it.
    pub(crate) fn inventory_may_expire(&self, saga: &Saga) -> bool {
        saga.hold == Hold::Held && self.drops(Mutant::ReservationsExpire)
    }

    /// Only a mutant gets here.
    pub(crate) fn expire_reservation(&self, state: &mut State, saga: u8) {
        self.release_stock(state, saga);
        state.saga(saga).at_mut(Service::Inventory).action = Verdict::Undone;
        self.commit(state, Service::Inventory, &[Message::new(saga, Event::StockRejected)], Leaving::Held);
    }
}
