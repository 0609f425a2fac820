//! The payment provider: intents, confirmations, refunds. Each function is one request as the provider carries it out;
//! whether its answer is heard is another matter. Mirrors `payment-svc/src/sandbox/{intents,books}`.

use crate::config::Reply;
use crate::state::{Intent, Saga};

/// `POST /v1/payment_intents`: no money moves.
pub(crate) fn create(saga: &mut Saga) -> u8 {
    saga.intents.push(Intent::Unconfirmed);
    u8::try_from(saga.intents.len() - 1).unwrap_or(u8::MAX)
}

/// `POST /v1/payment_intents/{id}/confirm`: moves the money, at most once; refused once the intent was cancelled.
pub(crate) fn confirm(saga: &mut Saga, intent: u8, reply: Reply) -> Intent {
    let state = &mut saga.intents[usize::from(intent)];
    if *state == Intent::Unconfirmed {
        *state = match reply {
            Reply::Succeed => Intent::Succeeded,
            Reply::Decline => Intent::Declined,
            Reply::RequireAction => Intent::RequiresAction,
        };
        saga.charges += u8::from(reply == Reply::Succeed);
    }
    saga.intents[usize::from(intent)]
}

/// `GET /v1/payment_intents/{id}`.
pub(crate) fn retrieve(saga: &Saga, intent: u8) -> Intent {
    saga.intents[usize::from(intent)]
}

/// `POST /v1/payment_intents/{id}/cancel`: it can never succeed any more, unless it has.
pub(crate) fn cancel(saga: &mut Saga, intent: u8) -> Intent {
    let state = &mut saga.intents[usize::from(intent)];
    if *state != Intent::Succeeded {
        *state = Intent::Canceled;
    }
    *state
}

/// The customer does what a charge has asked for: the money moves.
pub(crate) fn authenticate(saga: &mut Saga, intent: u8) {
    if saga.intents[usize::from(intent)] == Intent::RequiresAction {
        saga.intents[usize::from(intent)] = Intent::Succeeded;
        saga.charges += 1;
    }
}

/// `GET /v1/refunds`: how often the charge was given back.
pub(crate) fn list_refunds(saga: &Saga) -> u8 {
    saga.refunds
}

/// `POST /v1/refunds`: gives all that is left of a charge back. Not every provider looks at what is left.
pub(crate) fn refund(saga: &mut Saga, intent: u8, caps: bool) {
    let charged = saga.intents[usize::from(intent)] == Intent::Succeeded;
    if charged && (!caps || saga.refunds == 0) {
        saga.refunds += 1;
    }
}
