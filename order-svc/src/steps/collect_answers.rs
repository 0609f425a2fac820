//! `collect-answers`: an order is cancelled when everybody has answered (R4).

use crate::App;
use crate::store::{self, Answered};
use order_contracts::{OrderCancelled, OrderId};
use saga_common::{Cx, Outcome, SagaCompensated, StepResult, say};

/// One answer a participant: the guard key.
pub(crate) fn answering(answer: &SagaCompensated) -> String {
    step_of(&answer.participant)
}

fn step_of(participant: &str) -> String {
    format!("answer:{participant}")
}

/// Sets the participant's bit, whatever the status; the last one cancels the order.
pub(crate) async fn collect(cx: &mut Cx<App>, answer: SagaCompensated) -> StepResult<OrderCancelled> {
    let order_id = OrderId(cx.saga_id().as_uuid());
    if answer.participant.contains('\0') {
        // PostgreSQL would refuse the name, and this step would be tried for ever.
        return Ok(Outcome::Superseded("no participant has such a name"));
    }
    match store::answer(cx.tx(), order_id, &answer.participant).await? {
        Answered::All { customer_id, reason } => {
            cx.withdraw_announcement(cx.saga_id());
            say(OrderCancelled { order_id, customer_id, reason })
        }
        Answered::Noted => Ok(Outcome::Quiet),
        Answered::NoSuchOrder => {
            // A charge without an order was fanned out as cancelling: its announcement ends with the last answer too.
            let required: Vec<String> = cx.app().required_answers.iter().map(|name| step_of(name)).collect();
            if cx.all_have_run(&required).await? {
                cx.withdraw_announcement(cx.saga_id());
            }
            Ok(Outcome::Superseded("there is no such order"))
        }
    }
}
