//! `charge-payment`: takes an order's money, from a wallet here or from a card at the provider; its undo gives it back.

mod cards;
mod fault_points;

pub(crate) use cards::Cards;
pub(in crate::steps) use cards::give_back;
pub(crate) use fault_points::POINTS;

use crate::App;
use crate::domain::{Status, Wallet};
use crate::store::{self, Movement, MovementKind, NewPayment};
use cards::Card;
use order_contracts::{OrderId, PaymentCharged, PaymentDeclined, StockReserved};
use saga_common::{Cx, Outcome, Received, Retry, SagaId, SetResult, StepError, Undo, UndoResult};
use std::collections::BTreeMap;

/// The wallet an event will touch; a card touches none.
pub(crate) fn payers(event: &StockReserved) -> Vec<String> {
    wallet_payer(event).map(str::to_owned).into_iter().collect()
}

/// Charges a batch: wallets now, in the order of delivery; for each card a call is deferred (R3).
pub(crate) async fn charge(
    cx: &mut Cx<App>,
    events: &[Received<StockReserved>],
) -> SetResult<PaymentCharged, PaymentDeclined> {
    let mut wallets = store::wallets(cx.locked());
    let mut payments = Vec::with_capacity(events.len());
    let mut movements = Vec::new();
    let mut outcomes = Vec::with_capacity(events.len());
    for Received { saga_id, event, .. } in events {
        let (payment, outcome) = decide(*saga_id, event, &mut wallets)?;
        if payment.status == Status::Charged {
            movements.push(Movement {
                customer_id: payment.customer_id,
                kind: MovementKind::Charge(payment.order_id),
                amount_minor: -payment.amount_minor,
            });
        }
        payments.push(payment);
        outcomes.push(outcome);
    }
    store::record(cx.tx(), &payments, &movements)?;
    Ok(outcomes)
}

/// Gives the money back, or calls the charge off. Reads its own row only.
pub(crate) async fn refund(cx: &mut Cx<App>) -> UndoResult {
    let order_id = cx.saga_id().as_uuid();
    let Some(payment) = store::payment(cx.tx(), order_id).await? else {
        return Ok(Undo::Done);
    };
    let by_wallet = payment.method == WALLET;
    match payment.status {
        Status::Charged if by_wallet => {
            let given_back = (Status::Charged, Status::Refunded);
            store::turn(cx.tx(), order_id, given_back, None, None).await?;
            let credit = Movement {
                customer_id: &payment.customer_id,
                kind: MovementKind::Refund(order_id),
                amount_minor: payment.amount_minor,
            };
            store::book(cx.tx(), &[credit])?;
            Ok(Undo::Done)
        }
        // The job may have stored an intent meanwhile: it keeps its data.
        Status::Charging => {
            let called_off = (Status::Charging, Status::Refunding);
            store::turn(cx.tx(), order_id, called_off, None, None).await?;
            Ok(Undo::Defer(None))
        }
        Status::Charged => {
            let given_back = (Status::Charged, Status::Refunding);
            store::turn(cx.tx(), order_id, given_back, None, None).await?;
            Ok(Undo::Defer(Some(serde_json::to_value(Card::charged(payment))?)))
        }
        Status::Declined | Status::Refunding | Status::Refunded | Status::Voided => Ok(Undo::Done),
    }
}

/// How wallets are called among payment methods.
pub(in crate::steps) const WALLET: &str = "wallet";

fn wallet_payer(event: &StockReserved) -> Option<&str> {
    event.payment_method.is_wallet().then(|| event.customer_id.as_str())
}

type Ended = Outcome<PaymentCharged, PaymentDeclined>;

/// What becomes of one payment, and what is said of it.
fn decide<'a>(
    saga_id: SagaId,
    event: &'a StockReserved,
    wallets: &mut BTreeMap<String, Wallet>,
) -> Result<(NewPayment<'a>, Ended), StepError> {
    let payment = |status, reason| NewPayment {
        order_id: saga_id.as_uuid(),
        customer_id: event.customer_id.as_str(),
        amount_minor: event.amount_minor.minor(),
        currency: event.currency.as_str(),
        method: &event.payment_method.0,
        status,
        reason,
    };
    let order_id = OrderId(saga_id.as_uuid());
    if !event.payment_method.is_wallet() {
        let job = serde_json::to_value(Card::to_charge(event))?;
        return Ok((payment(Status::Charging, None), Outcome::Defer(job)));
    }
    let opened = || Retry::because("a wallet was charged that no statement has opened");
    let wallet = wallets.get_mut(event.customer_id.as_str()).ok_or_else(opened)?;
    Ok(match wallet.pay(event.amount_minor, &event.currency) {
        Ok(()) => {
            let charged = PaymentCharged {
                order_id,
                amount_minor: event.amount_minor,
                currency: event.currency.clone(),
                provider_reference: None,
            };
            (payment(Status::Charged, None), Outcome::Say(charged))
        }
        Err(declined) => {
            let reason = declined.to_string();
            let refused = PaymentDeclined { order_id, reason: reason.clone() };
            (payment(Status::Declined, Some(reason)), Outcome::Refuse(refused))
        }
    })
}
