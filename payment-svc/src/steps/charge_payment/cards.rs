//! The calls to the provider (R3). No money moves before the intent's id is stored with the job, and only the intent
//! whose id is stored is ever confirmed: it can succeed once. What an answer leaves open is settled by asking for that
//! intent, by the next attempt.

use super::fault_points::{
    AFTER_CHARGE, AFTER_CREATE, AFTER_REFUND, AFTER_STORE, AFTER_VOID, BEFORE_CREATE, BEFORE_REFUND, BEFORE_RETRIEVE,
    BEFORE_VOID,
};
use crate::App;
use crate::domain::Status;
use crate::provider::{IntentId, IntentState, NewIntent, ProviderClient, ProviderError, RefundOutcome, RefundState};
use crate::store::{self, Payment};
use order_contracts::{Currency, Money, OrderId, PaymentCharged, PaymentDeclined, StockReserved};
use saga_common::{Cx, External, Job, Retry, Reversible, StepResult, refuse, say};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is stored with the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Card {
    amount_minor: i64,
    currency: String,
    method: String,
    /// The one intent that may be confirmed. Others may have been created, if an answer was lost; they stay as they are.
    intent_id: Option<String>,
}

impl Card {
    pub(super) fn to_charge(event: &StockReserved) -> Self {
        Self {
            amount_minor: event.amount_minor.minor(),
            currency: event.currency.as_str().to_owned(),
            method: event.payment_method.0.clone(),
            intent_id: None,
        }
    }

    pub(super) fn charged(payment: Payment) -> Self {
        Self {
            amount_minor: payment.amount_minor,
            currency: payment.currency,
            method: payment.method,
            intent_id: payment.provider_reference,
        }
    }
}

/// Charges cards at the provider, and gives their money back.
pub(crate) struct Cards;

/// What became of a charge, for good.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Called {
    Charged { intent_id: IntentId },
    Declined { intent_id: Option<IntentId>, reason: String },
}

/// What became of a charge that was to be taken back, for good.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reversed {
    status: Status,
    intent_id: Option<IntentId>,
    /// The charge had been waiting for the provider's answer when the order failed.
    unanswered: bool,
}

impl External<App> for Cards {
    type Says = PaymentCharged;
    type Refuses = PaymentDeclined;
    type Called = Called;

    async fn call(&self, job: &Job<App>) -> Result<Called, Retry> {
        let provider = &job.app().provider;
        let mut card: Card = job.data()?;
        if card.intent_id.is_none() {
            BEFORE_CREATE.reached().await?;
        }
        let (id, found) = match card.intent_id.take() {
            // An earlier attempt got this far: what it did, only the provider knows.
            Some(id) => {
                let id = IntentId::new(id)?;
                BEFORE_RETRIEVE.reached().await?;
                let found = provider.retrieve(&id).await?;
                (id, found)
            }
            None => match create(job, &card).await {
                Ok(id) => {
                    AFTER_CREATE.reached().await?;
                    card.intent_id = Some(id.as_str().to_owned());
                    // An error here ends it: the job is somebody else's now, and this intent must never be confirmed.
                    job.store(&card).await?;
                    AFTER_STORE.reached().await?;
                    (id, IntentState::Unconfirmed)
                }
                Err(ProviderError::Refused { message, code, .. }) => {
                    return Ok(Called::Declined { intent_id: None, reason: refusal(message, code) });
                }
                Err(unknown) => return Err(unknown.into()),
            },
        };
        let state = match found {
            IntentState::Unconfirmed => {
                let confirmed = provider.confirm(&id, &key(job, "confirm")).await;
                AFTER_CHARGE.reached().await?;
                confirmed
            }
            already => Ok(already),
        };
        match state {
            Ok(IntentState::Succeeded) => Ok(Called::Charged { intent_id: id }),
            Ok(IntentState::Declined { reason }) => {
                let reason = format!("card declined: {}", reason.replace('_', " "));
                Ok(Called::Declined { intent_id: Some(id), reason })
            }
            Ok(IntentState::Canceled) => {
                let reason = "the charge was cancelled at the provider".to_owned();
                Ok(Called::Declined { intent_id: Some(id), reason })
            }
            Ok(IntentState::RequiresAction) => {
                give_up(provider, id, "card declined: authentication required".to_owned()).await
            }
            Err(ProviderError::Refused { message, code, .. }) => give_up(provider, id, refusal(message, code)).await,
            Ok(IntentState::Unconfirmed | IntentState::Processing) => {
                Err(Retry::because("the provider has not finished the charge"))
            }
            Err(unknown) => Err(unknown.into()),
        }
    }

    async fn settle(&self, cx: &mut Cx<App>, called: Called) -> StepResult<PaymentCharged, PaymentDeclined> {
        let order_id = cx.saga_id().as_uuid();
        match called {
            Called::Charged { intent_id } => {
                let change = (Status::Charging, Status::Charged);
                let payment = store::turn(cx.tx(), order_id, change, Some(intent_id.as_str()), None).await?;
                say(PaymentCharged {
                    order_id: OrderId(order_id),
                    amount_minor: Money::from_minor(payment.amount_minor)?,
                    currency: Currency::try_from(payment.currency)?,
                    provider_reference: payment.provider_reference,
                })
            }
            Called::Declined { intent_id, reason } => {
                let change = (Status::Charging, Status::Declined);
                let reference = intent_id.as_ref().map(IntentId::as_str);
                store::turn(cx.tx(), order_id, change, reference, Some(&reason)).await?;
                refuse(PaymentDeclined { order_id: OrderId(order_id), reason })
            }
        }
    }
}

impl Reversible<App> for Cards {
    type Reversed = Reversed;

    async fn reverse(&self, job: &Job<App>) -> Result<Reversed, Retry> {
        let provider = &job.app().provider;
        let card: Card = job.data()?;
        let unanswered = job.call_error().is_some_and(ProviderError::tells_of_silence);
        let reversed = |status, intent_id| Reversed { status, intent_id, unanswered };
        // Nothing was confirmed, and nothing can be: whoever creates an intent now cannot store it any more.
        let Some(id) = card.intent_id else {
            return Ok(reversed(Status::Voided, None));
        };
        let id = IntentId::new(id)?;
        // First the cancel: it decides between a charge that is still under way and us.
        BEFORE_VOID.reached().await?;
        let cancelled = provider.cancel(&id).await?;
        AFTER_VOID.reached().await?;
        match cancelled {
            IntentState::Canceled => Ok(reversed(Status::Voided, Some(id))),
            IntentState::Succeeded => {
                give_back(job, job.saga_id().as_uuid(), &id, card.amount_minor).await?;
                Ok(reversed(Status::Refunded, Some(id)))
            }
            other => Err(Retry::because(format!("the charge can be neither cancelled nor refunded yet: {other:?}"))),
        }
    }

    async fn settle_reversal(&self, cx: &mut Cx<App>, reversed: Reversed) -> Result<(), Retry> {
        let change = (Status::Refunding, reversed.status);
        let reference = reversed.intent_id.as_ref().map(IntentId::as_str);
        let reason = reversed.unanswered.then_some(UNANSWERED);
        store::turn(cx.tx(), cx.saga_id().as_uuid(), change, reference, reason).await?;
        if reversed.unanswered {
            cx.remark(UNANSWERED);
        }
        Ok(())
    }
}

/// What is said of a charge that was called off while it waited for the provider.
const UNANSWERED: &str = "the payment provider did not answer";

/// A key of this attempt alone. A provider keeps the answer to a key, an error too, and would give it for ever; that
/// nothing happens twice does not rest on keys but on the intent: it is confirmed once and refunded up to its amount.
fn key(job: &Job<App>, what: &str) -> String {
    key_of(job.saga_id().as_uuid(), what, job)
}

fn key_of(order_id: Uuid, what: &str, job: &Job<App>) -> String {
    format!("{order_id}:{what}:{}", job.attempt())
}

async fn create(job: &Job<App>, card: &Card) -> Result<IntentId, ProviderError> {
    let new = NewIntent {
        order_id: job.saga_id().as_uuid(),
        amount_minor: card.amount_minor,
        currency: &card.currency,
        payment_method: &card.method,
    };
    job.app().provider.create_intent(new, &key(job, "create")).await
}

/// Makes sure that the intent can never succeed before it is called declined.
async fn give_up(provider: &ProviderClient, id: IntentId, reason: String) -> Result<Called, Retry> {
    match provider.cancel(&id).await? {
        IntentState::Canceled => Ok(Called::Declined { intent_id: Some(id), reason }),
        IntentState::Succeeded => Ok(Called::Charged { intent_id: id }),
        other => Err(Retry::because(format!("the charge cannot be called off yet: {other:?}"))),
    }
}

async fn is_given_back(provider: &ProviderClient, id: &IntentId, amount_minor: i64) -> Result<bool, ProviderError> {
    let refunds = provider.list_refunds(id).await?;
    let standing = refunds.iter().filter(|refund| refund.state != RefundState::Failed);
    Ok(standing.map(|refund| refund.amount_minor).sum::<i64>() >= amount_minor)
}

/// Refunds what was charged for an order, once: an earlier attempt of this job may have been heard without our knowing. Of the
/// order's payment no other job refunds anything, as one compare-and-set on its row has decided who does.
pub(in crate::steps) async fn give_back(
    job: &Job<App>,
    order_id: Uuid,
    id: &IntentId,
    amount_minor: i64,
) -> Result<(), Retry> {
    let provider = &job.app().provider;
    if job.attempt() > 1 && is_given_back(provider, id, amount_minor).await? {
        return Ok(());
    }
    BEFORE_REFUND.reached().await?;
    match provider.refund(id, &key_of(order_id, "refund", job)).await? {
        RefundOutcome::Refunded(refund) if refund.state == RefundState::Failed => {
            return Err(Retry::because("the provider could not give the money back"));
        }
        RefundOutcome::Refunded(_) | RefundOutcome::AlreadyRefunded => {}
    }
    Ok(AFTER_REFUND.reached().await?)
}

/// The reason for a customer whose card the provider does not take.
fn refusal(message: String, code: String) -> String {
    format!("card refused: {}", if message.is_empty() { code } else { message })
}
