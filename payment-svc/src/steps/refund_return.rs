//! `refund-return`: gives back what a delivered order has cost, to a wallet here or to a card at the provider. After its
//! saga's pivot: no undo, no refusal. The order's payment is moved by compare-and-set, so that its money goes back once,
//! whoever asks: a return, or an undo of the order's own saga.

use super::charge_payment::{WALLET, give_back};
use crate::App;
use crate::domain::Status;
use crate::provider::IntentId;
use crate::store::{self, Movement, MovementKind, Payment};
use order_contracts::{Currency, Money, OrderId, ReturnId, ReturnRefunded, ReturnRequested};
use saga_common::{Cx, External, Job, Never, Outcome, Received, Retry, SetResult, StepResult, say};
use serde::{Deserialize, Serialize};

/// The wallet that a return will touch; a card touches none.
pub(crate) fn payees(event: &ReturnRequested) -> Vec<String> {
    let wallet = event.payment_method.is_wallet().then(|| event.customer_id.as_str().to_owned());
    wallet.into_iter().collect()
}

/// Refunds a batch: wallets now, for each card a call is deferred (R3).
///
/// # Errors
/// When an order has no payment that could be given back: said aloud and tried again until a person has looked, because
/// there is no way back.
pub(crate) async fn refund(cx: &mut Cx<App>, returns: &[Received<ReturnRequested>]) -> SetResult<ReturnRefunded> {
    let asked: Vec<_> = returns.iter().map(|it| (it.event.order_id.0, it.saga_id.as_uuid())).collect();
    let mut taken = store::take_back(cx.tx(), &asked).await?;
    let mut credits = Vec::new();
    let mut outcomes = Vec::with_capacity(returns.len());
    for Received { saga_id, event, .. } in returns {
        if event.return_id.0 != saga_id.as_uuid() {
            return Err(Retry::because("the event names another return than its saga"));
        }
        let order_id = event.order_id.0;
        let Some(payment) = taken.remove(&order_id) else {
            // Somebody else has had it given back: it is enough that it was.
            let payment = store::payment(cx.tx(), order_id).await?.filter(|it| it.status == Status::Refunded);
            let payment = payment.ok_or_else(|| Retry::because("the order has no charge that could be given back"))?;
            outcomes.push(Outcome::Say(refunded(event.return_id, event.order_id, &payment)?));
            continue;
        };
        if payment.method != WALLET {
            let job = Refund {
                order_id: event.order_id,
                intent_id: payment.provider_reference,
                amount_minor: payment.amount_minor,
            };
            outcomes.push(Outcome::Defer(serde_json::to_value(job)?));
            continue;
        }
        if payment.customer_id != event.customer_id.as_str() {
            return Err(Retry::because("the order was paid by another customer"));
        }
        credits.push(Movement {
            customer_id: event.customer_id.as_str(),
            kind: MovementKind::Refund(order_id),
            amount_minor: payment.amount_minor,
        });
        outcomes.push(Outcome::Say(refunded(event.return_id, event.order_id, &payment)?));
    }
    store::book(cx.tx(), &credits)?;
    Ok(outcomes)
}

/// What is stored with the job.
#[derive(Debug, Serialize, Deserialize)]
struct Refund {
    order_id: OrderId,
    intent_id: Option<String>,
    amount_minor: i64,
}

/// Refunds cards at the provider.
pub(crate) struct Refunds;

impl External<App> for Refunds {
    type Says = ReturnRefunded;
    type Refuses = Never;
    type Called = OrderId;

    async fn call(&self, job: &Job<App>) -> Result<OrderId, Retry> {
        let Refund { order_id, intent_id, amount_minor } = job.data()?;
        let intent_id = intent_id.ok_or_else(|| Retry::because("the charge has no name at the provider"))?;
        give_back(job, order_id.0, &IntentId::new(intent_id)?, amount_minor).await?;
        Ok(order_id)
    }

    async fn settle(&self, cx: &mut Cx<App>, order_id: OrderId) -> StepResult<ReturnRefunded> {
        let given_back = (Status::Refunding, Status::Refunded);
        let payment = store::turn(cx.tx(), order_id.0, given_back, None, None).await?;
        say(refunded(ReturnId(cx.saga_id().as_uuid()), order_id, &payment)?)
    }
}

fn refunded(return_id: ReturnId, order_id: OrderId, payment: &Payment) -> Result<ReturnRefunded, Retry> {
    let amount_minor = Money::from_minor(payment.amount_minor)?;
    let currency = Currency::try_from(payment.currency.clone())?;
    Ok(ReturnRefunded { return_id, order_id, amount_minor, currency })
}
