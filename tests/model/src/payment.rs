//! payment-svc: takes an order's money and gives it back; from a wallet here, from a card at the provider.
//! Mirrors `payment-svc/src/steps/charge_payment/mod.rs`.

use crate::config::Money;
use crate::message::{Event, Message, Service};
use crate::protocol::Protocol;
use crate::state::{Payment, Phase, State, Verdict};

impl Protocol {
    /// `charge-payment`. A wallet is charged in the step's own transaction; for a card the transaction commits `intent` and
    /// a durable job, and only then the message is acked (R3).
    pub(crate) fn charge_payment(&self, state: &mut State, message: Message, said: &mut Vec<Message>) {
        if !self.claims(&mut state.saga(message.saga).at_mut(Service::Payment).action) {
            return;
        }
        let has_money = state.balance > 0;
        if self.config.money == Money::Wallet && has_money {
            state.balance -= 1;
        }
        let saga = state.saga(message.saga);
        let (verdict, payment) = match self.config.money {
            Money::Card => {
                saga.job = Some(self.new_job(saga, Phase::Call, None));
                (Verdict::Intent, Payment::Charging)
            }
            Money::Wallet if has_money => {
                saga.charges += 1;
                said.push(Message::new(message.saga, Event::PaymentCharged));
                (Verdict::Done, Payment::Charged)
            }
            Money::Wallet => {
                said.push(Message::new(message.saga, Event::PaymentDeclined));
                (Verdict::Rejected, Payment::Declined)
            }
        };
        saga.payment = payment;
        saga.at_mut(Service::Payment).action = verdict;
    }

    /// The undo of `charge-payment`, by its own row: a wallet gets its money back at once; a card's job is turned round
    /// and answers later (R3). Says whether it is done.
    pub(crate) fn refund_payment(&self, state: &mut State, saga: u8) -> bool {
        if self.config.money == Money::Wallet {
            state.balance += 1;
            let row = state.saga(saga);
            row.refunds += 1;
            row.payment = Payment::Refunded;
            return true;
        }
        let row = state.saga(saga);
        row.payment = Payment::Refunding;
        let reference = row.reference;
        row.job = Some(match row.job {
            Some(job) => self.turn_round(row, job),
            None => self.new_job(row, Phase::Undo, reference),
        });
        false
    }
}
