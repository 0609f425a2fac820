//! order-svc: owns the order row, the linearisation point of every saga (R2), and collects the answers (R4).
//! Mirrors `order-svc/src/{store,cancel,deadline}.rs` and `order-svc/src/steps/`.

use crate::consumer::Ran;
use crate::message::{ALL_ANSWERED, Event, Message, Service};
use crate::mutants::Mutant;
use crate::protocol::Protocol;
use crate::state::{Leaving, Saga, State, Status, Verdict, Why};

impl Protocol {
    /// `confirm-order`, the pivot: one compare-and-set `pending -> confirmed` on the order row, which races with that of
    /// deadline and cancel (R2). A charge that differs from the order is refused; one that comes too late is superseded.
    pub(crate) fn confirm_order(&self, state: &mut State, message: Message, said: &mut Vec<Message>) -> Ran {
        let saga = state.saga(message.saga);
        let guards = saga.at_mut(Service::Order);
        if !self.claims(&mut guards.pivot) {
            // R1: the same key with another body is parked, not "duplicate".
            if guards.pivot_altered != message.altered && !self.drops(Mutant::BodyNotCompared) {
                return Ran::Parked(Why::Conflict);
            }
            return Ran::Committed;
        }
        guards.pivot_altered = message.altered;
        let fits = !message.altered || self.drops(Mutant::AnyAmountConfirms);
        if saga.status != Status::Pending && !self.drops(Mutant::ConfirmsAnyStatus) {
            saga.at_mut(Service::Order).pivot = Verdict::Superseded;
        } else if fits {
            saga.at_mut(Service::Order).pivot = Verdict::Done;
            decide(saga, Status::Confirmed);
            said.push(Message::new(message.saga, Event::OrderConfirmed));
            if !self.drops(Mutant::ConfirmedNotAnnounced) {
                saga.announced = Some(Event::OrderConfirmed);
            }
        } else {
            // Our own copy of this refusal moves the order.
            saga.at_mut(Service::Order).pivot = Verdict::Rejected;
            said.push(Message::new(message.saga, Event::OrderCancelling));
        }
        Ran::Committed
    }

    /// `close-order`: the stock has left the shelf, so `order.confirmed` has been heard and is announced no more (R4).
    pub(crate) fn close_order(&self, state: &mut State, message: Message) {
        let saga = state.saga(message.saga);
        if !self.claims(&mut saga.at_mut(Service::Order).close) {
            return;
        }
        if saga.status == Status::Confirmed && !saga.closed {
            saga.closed = true;
            saga.at_mut(Service::Order).close = Verdict::Done;
            if !self.drops(Mutant::NeverWithdrawn) {
                saga.announced = None;
            }
        } else {
            saga.at_mut(Service::Order).close = Verdict::Superseded;
        }
    }

    /// `collect-answers`: a participant's answer sets its bit in the order row by one UPDATE, *whatever the status*; the
    /// same UPDATE tests whether all bits are set. Its guard key is `answer:<participant>`, so it counts once (R1, R4).
    pub(crate) fn collect_answer(&self, state: &mut State, message: Message, participant: Service) {
        let saga = state.saga(message.saga);
        let mut bit = participant.bit();
        if saga.at(Service::Order).answers & bit != 0 {
            if !self.drops(Mutant::AnswersCounted) {
                return;
            }
            bit = ALL_ANSWERED;
        }
        saga.at_mut(Service::Order).answers |= bit;
        if saga.status == Status::Pending && self.drops(Mutant::EarlyAnswersIgnored) {
            return;
        }
        saga.answers |= bit;
        if self.drops(Mutant::WithdrawnTooEarly) {
            saga.announced = None;
        }
        let everybody = saga.answers == ALL_ANSWERED || self.drops(Mutant::OneAnswerIsEnough);
        if saga.status == Status::Cancelling && everybody && !self.drops(Mutant::LastAnswerDoesNotLook) {
            self.cancelled(saga);
        }
    }

    /// Deadline and user cancel belong to order-svc alone: a compare-and-set on the order row (R2). It fans out
    /// `order.cancelling` and announces it until everybody has answered (R4). `cancel.rs`, `deadline.rs`, `Unit::fail`.
    pub(crate) fn cancel_by_owner(&self, state: &mut State, saga: u8) {
        let row = state.saga(saga);
        row.at_mut(Service::Order).action = Verdict::Undone;
        if self.cancel(row) {
            if !self.drops(Mutant::CancellingNotAnnounced) {
                row.announced = Some(Event::OrderCancelling);
            }
            self.commit(state, Service::Order, &[Message::new(saga, Event::OrderCancelling)], Leaving::Held);
        }
    }

    /// The undo of `place-order`, on order-svc's own copy of a failure: `pending -> cancelling`, no answer of its own. The
    /// failure's fanout may have missed a queue, so it is announced (R4). `steps/place_order.rs`.
    pub(crate) fn withdraw_order(&self, saga: &mut Saga) {
        if saga.at(Service::Order).action != Verdict::Done {
            return;
        }
        saga.at_mut(Service::Order).action = Verdict::Undone;
        if saga.status == Status::Pending && self.cancel(saga) && !self.drops(Mutant::OwnCopyNotAnnounced) {
            saga.announced = Some(Event::OrderCancelling);
        }
    }

    /// `store::cancel`: the UPDATE that sets `cancelling` tests whether all bits are set already (R4). Says whether there
    /// is somebody to wait for.
    fn cancel(&self, saga: &mut Saga) -> bool {
        let everybody = saga.answers == ALL_ANSWERED && !self.drops(Mutant::CancelDoesNotLook);
        if everybody || self.drops(Mutant::CancelledAtOnce) {
            self.cancelled(saga);
        } else {
            saga.status = Status::Cancelling;
        }
        saga.status == Status::Cancelling
    }

    /// Everybody has answered: `cancelled`, said once.
    fn cancelled(&self, saga: &mut Saga) {
        decide(saga, Status::Cancelled);
        saga.announced = None;
        saga.told = saga.told.saturating_add(1);
    }
}

/// Writes a terminal status, and notes the first.
fn decide(saga: &mut Saga, status: Status) {
    saga.status = status;
    saga.decided = saga.decided.or(Some(status));
}
