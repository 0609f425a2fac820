//! What a failure does in a service: fence or undo, and one answer (R1, R3, R4). And the guard rows of all steps.
//! Mirrors `saga-common/src/{guard,consumer/undo.rs,consumer/forward.rs}`.

use crate::message::{Event, Message, Service};
use crate::mutants::Mutant;
use crate::protocol::Protocol;
use crate::state::{Guards, State, Verdict};

impl Protocol {
    /// R1: a step inserts its guard row first, `ON CONFLICT DO NOTHING`. No row inserted: a duplicate or a fenced saga, and
    /// nothing is done again. `guard::insert`, called by `forward::run` and `undo::run`.
    pub(crate) fn claims(&self, guard: &mut Verdict) -> bool {
        match *guard {
            Verdict::Absent => true,
            Verdict::Fenced => {
                if self.drops(Mutant::FenceForgotten) {
                    *guard = Verdict::Absent;
                }
                self.drops(Mutant::FenceIgnored)
            }
            _ => self.drops(Mutant::NoGuard),
        }
    }

    /// R1: the undo inserts the action's own key as `fenced`; if that succeeds the action never ran, and its late arrival
    /// will find the fence. If not, only `done` (R3: or `intent`) is undone.
    /// R3: a participant answers from `fenced`, `rejected` or `undone`; from `undoing` it stays silent.
    /// R4: it answers once; a repeated announcement makes it repeat the recorded answer.
    pub(crate) fn undo(&self, state: &mut State, service: Service, message: Message, said: &mut Vec<Message>) {
        if service == Service::Order {
            // The owner collects answers and gives none.
            return self.withdraw_order(state.saga(message.saga));
        }
        let before = *state.saga(message.saga).at(service);
        let mut outcome = Verdict::NothingToUndo;
        match before.action {
            Verdict::Absent => {
                if !self.drops(Mutant::NoFence) {
                    state.saga(message.saga).at_mut(service).action = Verdict::Fenced;
                }
                outcome = Verdict::Fenced;
            }
            Verdict::Done | Verdict::Intent => {
                outcome = self.reverse(state, service, message.saga);
            }
            Verdict::Undone if self.drops(Mutant::UndoneAgain) => {
                outcome = self.reverse(state, service, message.saga);
            }
            Verdict::Undoing => outcome = Verdict::Undoing,
            Verdict::Fenced => outcome = Verdict::Fenced,
            _ => {}
        }
        if outcome == Verdict::Undoing && self.drops(Mutant::AnswersWhileUndoing) {
            outcome = Verdict::Undone;
        }
        let answer = Message::new(message.saga, Event::Compensated(service));
        let guards: &mut Guards = state.saga(message.saga).at_mut(service);
        if before.compensate == Verdict::Absent {
            guards.compensate = outcome;
            if outcome.is_answer() {
                said.push(answer);
            }
        } else if guards.compensate.is_answer() && message.repeat && !self.drops(Mutant::AnswerNotRepeated) {
            said.push(answer);
        }
    }

    /// Runs the undo of the participant's step: `undone`, or `undoing` until its job ends.
    fn reverse(&self, state: &mut State, service: Service, saga: u8) -> Verdict {
        let done = match service {
            Service::Inventory => {
                self.release_stock(state, saga);
                true
            }
            _ => self.refund_payment(state, saga),
        };
        let verdict = if done { Verdict::Undone } else { Verdict::Undoing };
        state.saga(saga).at_mut(service).action = verdict;
        verdict
    }
}
