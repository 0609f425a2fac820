//! Payment intents and what may become of them. Pure: decisions return a [`Change`], and only [`Intent::apply`] changes anything,
//! so that a decision and its replay from the ledger cannot differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// The payment methods the sandbox knows. What each does when it is confirmed:
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Method {
    /// Succeeds.
    #[serde(rename = "pm_card_visa")]
    Visa,
    /// Is declined without a particular reason.
    #[serde(rename = "pm_card_chargeDeclined")]
    Declined,
    /// Is declined for want of money.
    #[serde(rename = "pm_card_chargeDeclinedInsufficientFunds")]
    InsufficientFunds,
    /// Asks for an action of the customer.
    #[serde(rename = "pm_card_authenticationRequired")]
    AuthenticationRequired,
    /// Succeeds, and the answer never arrives.
    #[serde(rename = "pm_card_sandboxTimeout")]
    Timeout,
    /// Succeeds, and the answer is a 500.
    #[serde(rename = "pm_card_sandboxErrorAfterCharge")]
    ErrorAfterCharge,
    /// Succeeds after a while, if nobody has cancelled meanwhile.
    #[serde(rename = "pm_card_sandboxSlow")]
    Slow,
}

impl Method {
    /// All of them, in the order in which they are shown.
    pub(super) const ALL: [Self; 7] = [
        Self::Visa,
        Self::Declined,
        Self::InsufficientFunds,
        Self::AuthenticationRequired,
        Self::Timeout,
        Self::ErrorAfterCharge,
        Self::Slow,
    ];

    /// Its name on the wire.
    pub(super) fn name(self) -> String {
        // A unit variant is written as its name.
        serde_json::to_value(self).ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// What it does, for people who choose one.
    pub(super) fn means(self) -> &'static str {
        match self {
            Self::Visa => "a card that succeeds",
            Self::Declined => "a card that is declined, without a particular reason",
            Self::InsufficientFunds => "a card that is declined for want of money",
            Self::AuthenticationRequired => "a card that asks for an action of the customer, which counts as declined",
            Self::Timeout => "sandbox only: charges, and the answer never arrives",
            Self::ErrorAfterCharge => "sandbox only: charges, and the answer is a 500",
            Self::Slow => "sandbox only: charges after three seconds, unless it is cancelled meanwhile",
        }
    }

    /// The method of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        use serde::de::{IntoDeserializer, value::Error};
        Self::deserialize(IntoDeserializer::<Error>::into_deserializer(name)).ok()
    }
}

/// Where an intent stands, in Stripe's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    RequiresConfirmation,
    RequiresAction,
    /// Only a declined intent gets here; the sandbox takes no second payment method, so all that is left is to cancel it.
    RequiresPaymentMethod,
    Succeeded,
    Canceled,
}

/// One fact in the ledger. Their names and fields are the file's format: add, never rename.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Change {
    /// A new intent, unconfirmed.
    IntentCreated {
        intent: String,
        /// Minor units, at least 1.
        amount: i64,
        currency: String,
        payment_method: Method,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        metadata: BTreeMap<String, String>,
    },
    /// The money moved.
    IntentSucceeded { intent: String, charge: String },
    /// The charge was declined.
    IntentDeclined { intent: String, decline_code: String },
    /// The customer has to act.
    IntentActionRequired { intent: String },
    /// It will never succeed.
    IntentCanceled { intent: String },
    /// Money went back.
    RefundCreated {
        refund: String,
        intent: String,
        /// Minor units, at least 1.
        amount: i64,
    },
}

/// A payment intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) method: Method,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) status: Status,
    pub(super) created_ms: i64,
    pub(super) canceled_ms: Option<i64>,
    /// The charge of a succeeded intent.
    pub(super) charge: Option<String>,
    /// Why the last confirm was declined.
    pub(super) decline_code: Option<String>,
    /// Sum of the refunds; never more than `amount`.
    pub(super) refunded: i64,
}

/// The ledger holds a change that could not have happened in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a change that is impossible at this point")]
pub(super) struct Impossible;

impl Intent {
    /// What a confirm does: a change, or nothing when the customer still has to act.
    pub(super) fn confirm(&self, charge: String) -> Result<Option<Change>, Refusal> {
        let intent = self.id.clone();
        let declined = |code: &str| Change::IntentDeclined { intent: self.id.clone(), decline_code: code.to_owned() };
        match self.status {
            Status::RequiresConfirmation => Ok(Some(match self.method {
                Method::Visa | Method::Timeout | Method::ErrorAfterCharge | Method::Slow => {
                    Change::IntentSucceeded { intent, charge }
                }
                Method::Declined => declined("generic_decline"),
                Method::InsufficientFunds => declined("insufficient_funds"),
                Method::AuthenticationRequired => Change::IntentActionRequired { intent },
            })),
            Status::RequiresAction => Ok(None),
            Status::RequiresPaymentMethod | Status::Succeeded | Status::Canceled => {
                Err(Refusal::UnexpectedState { verb: "confirm", intent: Box::new(self.clone()) })
            }
        }
    }

    /// What a cancel does.
    pub(super) fn cancel(&self) -> Result<Change, Refusal> {
        match self.status {
            Status::RequiresConfirmation | Status::RequiresAction | Status::RequiresPaymentMethod => {
                Ok(Change::IntentCanceled { intent: self.id.clone() })
            }
            Status::Succeeded | Status::Canceled => {
                Err(Refusal::UnexpectedState { verb: "cancel", intent: Box::new(self.clone()) })
            }
        }
    }

    /// What a refund of `amount`, or of all that is left, does.
    pub(super) fn refund(&self, refund: String, amount: Option<i64>) -> Result<Change, Refusal> {
        if self.status != Status::Succeeded {
            return Err(Refusal::UnexpectedState { verb: "refund", intent: Box::new(self.clone()) });
        }
        let left = self.amount - self.refunded;
        match amount.unwrap_or(left) {
            amount if (1..=left).contains(&amount) => {
                Ok(Change::RefundCreated { refund, intent: self.id.clone(), amount })
            }
            _ => Err(Refusal::AlreadyRefunded { left }),
        }
    }

    /// Takes over a change that was decided on this intent, now or before a restart.
    pub(super) fn apply(&mut self, change: &Change, at_ms: i64) -> Result<(), Impossible> {
        use Status::{Canceled, RequiresAction, RequiresConfirmation, RequiresPaymentMethod, Succeeded};
        match (self.status, change) {
            (RequiresConfirmation, Change::IntentSucceeded { charge, .. }) => {
                self.status = Succeeded;
                self.charge = Some(charge.clone());
            }
            (RequiresConfirmation, Change::IntentDeclined { decline_code, .. }) => {
                self.status = RequiresPaymentMethod;
                self.decline_code = Some(decline_code.clone());
            }
            (RequiresConfirmation, Change::IntentActionRequired { .. }) => self.status = RequiresAction,
            (RequiresConfirmation | RequiresAction | RequiresPaymentMethod, Change::IntentCanceled { .. }) => {
                self.status = Canceled;
                self.canceled_ms = Some(at_ms);
            }
            (Succeeded, Change::RefundCreated { amount, .. }) if (1..=self.amount - self.refunded).contains(amount) => {
                self.refunded += amount;
            }
            _ => return Err(Impossible),
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
