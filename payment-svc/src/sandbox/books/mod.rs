//! All intents and refunds: commands are decided and carried out here, and the ledger's changes are taken over. No I/O, no clock.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    answer::{Answer, intent_json},
    intents::{Change, Impossible, Intent, Method, Status},
    refusal::Refusal,
    request::{Command, Page},
};

/// The state that the ledger describes.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// In order of creation, as are the refunds.
    intents: Vec<Intent>,
    intent_at: HashMap<String, usize>,
    refunds: Vec<Refund>,
    refund_at: HashMap<String, usize>,
    /// Positions of the refunds of an intent.
    refunds_of: HashMap<String, Vec<usize>>,
}

#[derive(Debug)]
struct Refund {
    id: String,
    intent: String,
    amount: i64,
    created_ms: i64,
}

/// What a command did.
#[derive(Debug)]
pub(super) struct Decision {
    /// The fact to be written to the ledger, already part of the books.
    pub(super) change: Option<Change>,
    /// The answer, which is also what a repeated key gets.
    pub(super) answer: Answer,
    pub(super) delivery: Delivery,
}

/// Whether the client gets to see its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Normal,
    /// Keep the client waiting until it gives up.
    Withheld,
}

impl Books {
    /// Carries out a command. `fresh` becomes the id of what it creates.
    pub(super) fn execute(&mut self, command: &Command, at_ms: i64, fresh: Uuid) -> Decision {
        match self.decide(command, fresh) {
            Err(refusal) => Decision { change: None, answer: refusal.into(), delivery: Delivery::Normal },
            Ok((intent, change)) => {
                if let Some(change) = &change {
                    self.apply(change, at_ms).expect("a change is possible in the state it was decided on");
                }
                let (answer, delivery) = self.answer(&intent, change.as_ref());
                Decision { change, answer, delivery }
            }
        }
    }

    /// Takes over a change, from a decision or from the ledger.
    pub(super) fn apply(&mut self, change: &Change, at_ms: i64) -> Result<(), Impossible> {
        match change {
            Change::IntentCreated { intent: id, amount, currency, payment_method, metadata } => {
                if *amount < 1 || self.intent_at.contains_key(id) {
                    return Err(Impossible);
                }
                self.intent_at.insert(id.clone(), self.intents.len());
                self.intents.push(Intent {
                    id: id.clone(),
                    amount: *amount,
                    currency: currency.clone(),
                    method: *payment_method,
                    metadata: metadata.clone(),
                    status: Status::RequiresConfirmation,
                    created_ms: at_ms,
                    canceled_ms: None,
                    charge: None,
                    decline_code: None,
                    refunded: 0,
                });
            }
            Change::RefundCreated { refund: id, intent, amount } => {
                if self.refund_at.contains_key(id) {
                    return Err(Impossible);
                }
                self.intent_mut(intent)?.apply(change, at_ms)?;
                let position = self.refunds.len();
                self.refund_at.insert(id.clone(), position);
                self.refunds_of.entry(intent.clone()).or_default().push(position);
                self.refunds.push(Refund {
                    id: id.clone(),
                    intent: intent.clone(),
                    amount: *amount,
                    created_ms: at_ms,
                });
            }
            Change::IntentSucceeded { intent, .. }
            | Change::IntentDeclined { intent, .. }
            | Change::IntentActionRequired { intent }
            | Change::IntentCanceled { intent } => self.intent_mut(intent)?.apply(change, at_ms)?,
        }
        Ok(())
    }

    /// Whether the command is a confirm that takes its time: the charge then happens at the end of the delay.
    pub(super) fn is_slow(&self, command: &Command) -> bool {
        let Command::Confirm { intent } = command else {
            return false;
        };
        let slow = |intent: &Intent| intent.method == Method::Slow && intent.status == Status::RequiresConfirmation;
        self.intent(intent).is_some_and(slow)
    }

    /// `GET /v1/payment_intents/{id}`.
    pub(super) fn retrieve(&self, id: &str) -> Result<Answer, Refusal> {
        Ok(Answer::ok(&intent_json(self.known(id, None)?)))
    }

    /// `GET /v1/payment_intents`, newest first.
    pub(super) fn list_intents(&self, page: &Page) -> Result<Answer, Refusal> {
        let end = position(&self.intent_at, page)?.unwrap_or(self.intents.len());
        let (data, more) = cut(page, (0..end).rev().map(|at| intent_json(&self.intents[at])));
        Ok(Answer::list("/v1/payment_intents", &data, more))
    }

    /// `GET /v1/refunds`, newest first: of one intent, or all.
    pub(super) fn list_refunds(&self, intent: Option<&str>, page: &Page) -> Result<Answer, Refusal> {
        let end = position(&self.refund_at, page)?.unwrap_or(self.refunds.len());
        let (data, more) = match intent {
            None => cut(page, (0..end).rev().map(|at| self.refund_json(&self.refunds[at]))),
            Some(id) => {
                let id = &self.known(id, Some("payment_intent"))?.id;
                let of_intent = self.refunds_of.get(id).map(Vec::as_slice).unwrap_or_default();
                let older = of_intent.iter().rev().filter(|at| **at < end);
                cut(page, older.map(|at| self.refund_json(&self.refunds[*at])))
            }
        };
        Ok(Answer::list("/v1/refunds", &data, more))
    }

    /// How many intents there are.
    pub(super) fn len(&self) -> usize {
        self.intents.len()
    }

    /// The intent that the command is about, and what happens to it.
    fn decide(&self, command: &Command, fresh: Uuid) -> Result<(String, Option<Change>), Refusal> {
        let id = |prefix: &str| format!("{prefix}_{}", fresh.simple());
        match command {
            Command::Create { amount, currency, payment_method, metadata } => {
                let missing = || Refusal::Missing {
                    what: "PaymentMethod",
                    id: payment_method.clone(),
                    param: Some("payment_method"),
                };
                let created = Change::IntentCreated {
                    intent: id("pi"),
                    amount: *amount,
                    currency: currency.clone(),
                    payment_method: Method::named(payment_method).ok_or_else(missing)?,
                    metadata: metadata.clone(),
                };
                Ok((id("pi"), Some(created)))
            }
            Command::Confirm { intent } => Ok((intent.clone(), self.known(intent, None)?.confirm(id("ch"))?)),
            Command::Cancel { intent } => Ok((intent.clone(), Some(self.known(intent, None)?.cancel()?))),
            Command::Refund { intent, amount } => {
                let refund = self.known(intent, Some("payment_intent"))?.refund(id("re"), *amount)?;
                Ok((intent.clone(), Some(refund)))
            }
        }
    }

    /// The answer after the change: this is where the misbehaving methods misbehave.
    fn answer(&self, intent: &str, change: Option<&Change>) -> (Answer, Delivery) {
        let intent = self.intent(intent).expect("an intent that was decided on exists");
        match change {
            Some(Change::RefundCreated { .. }) => {
                let refund = self.refunds.last().expect("the refund that was just made");
                (Answer::ok(&self.refund_json(refund)), Delivery::Normal)
            }
            Some(Change::IntentDeclined { .. }) => (Answer::declined(intent), Delivery::Normal),
            Some(Change::IntentSucceeded { .. }) if intent.method == Method::ErrorAfterCharge => {
                (Answer::api_error(500, "An unexpected error occurred."), Delivery::Normal)
            }
            Some(Change::IntentSucceeded { .. }) if intent.method == Method::Timeout => {
                (Answer::ok(&intent_json(intent)), Delivery::Withheld)
            }
            _ => (Answer::ok(&intent_json(intent)), Delivery::Normal),
        }
    }

    fn intent(&self, id: &str) -> Option<&Intent> {
        self.intent_at.get(id).map(|at| &self.intents[*at])
    }

    fn intent_mut(&mut self, id: &str) -> Result<&mut Intent, Impossible> {
        self.intent_at.get(id).map(|at| &mut self.intents[*at]).ok_or(Impossible)
    }

    fn known(&self, id: &str, param: Option<&'static str>) -> Result<&Intent, Refusal> {
        self.intent(id).ok_or_else(|| Refusal::Missing { what: "payment_intent", id: id.to_owned(), param })
    }

    fn refund_json(&self, refund: &Refund) -> Value {
        let intent = self.intent(&refund.intent);
        json!({
            "id": refund.id,
            "object": "refund",
            "amount": refund.amount,
            "charge": intent.and_then(|intent| intent.charge.as_deref()),
            "created": refund.created_ms.div_euclid(1_000),
            "currency": intent.map(|intent| intent.currency.as_str()),
            "payment_intent": refund.intent,
            "status": "succeeded",
        })
    }
}

/// The position of the page's `starting_after`.
fn position(positions: &HashMap<String, usize>, page: &Page) -> Result<Option<usize>, Refusal> {
    let Some(id) = &page.starting_after else {
        return Ok(None);
    };
    let missing = || Refusal::Missing { what: "object", id: id.clone(), param: Some("starting_after") };
    positions.get(id).copied().map(Some).ok_or_else(missing)
}

/// The first page of what comes, and whether more would come.
fn cut(page: &Page, mut rest: impl Iterator<Item = Value>) -> (Vec<Value>, bool) {
    let data = rest.by_ref().take(page.limit).collect();
    (data, rest.next().is_some())
}

#[cfg(test)]
mod tests;
