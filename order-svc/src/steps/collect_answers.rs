//! `collect-answers`: an order is cancelled when everybody has answered (R4).

use crate::App;
use crate::metrics;
use crate::store;
use order_contracts::{OrderCancelled, OrderId};
use saga_common::{Cx, Outcome, Received, SagaCompensated, SetResult};
use std::collections::HashMap;

/// One answer a participant: the guard key.
pub(crate) fn answering(answer: &SagaCompensated) -> String {
    step_of(&answer.participant)
}

fn step_of(participant: &str) -> String {
    format!("answer:{participant}")
}

/// A participant's remark as a customer can read it, if it made one.
fn remark(answer: &SagaCompensated) -> Option<String> {
    let printable = |text: &String| text.chars().filter(|c| !c.is_control()).take(LONGEST_REMARK).collect::<String>();
    answer.remark.as_ref().map(printable).filter(|text| !text.is_empty())
}

/// Characters of a remark that are kept.
const LONGEST_REMARK: usize = 200;

/// Sets the participants' bits, whatever the status; of the answers of an order that complete it, the last one cancels it.
pub(crate) async fn collect(cx: &mut Cx<App>, answers: &[Received<SagaCompensated>]) -> SetResult<OrderCancelled> {
    let order = |answer: &Received<SagaCompensated>| OrderId(answer.saga_id.as_uuid());
    // PostgreSQL would refuse a name with a zero byte, and this step would be tried for ever.
    let named = |answer: &&Received<SagaCompensated>| !answer.event.participant.contains('\0');
    let given = answers.iter().filter(named);
    let given: Vec<_> = given.map(|it| (order(it), it.event.participant.as_str(), remark(&it.event))).collect();
    let orders = store::answer(cx.tx(), &given).await?;
    let mut last: HashMap<OrderId, usize> = HashMap::new();
    for (n, answer) in answers.iter().enumerate() {
        let required = orders.get(&order(answer)).filter(|it| it.cancelled).map(|it| &it.required);
        if required.is_some_and(|required| required.contains(&answer.event.participant)) {
            last.insert(order(answer), n);
        }
    }
    let mut outcomes = Vec::with_capacity(answers.len());
    for (n, answer) in answers.iter().enumerate() {
        let order_id = order(answer);
        outcomes.push(match orders.get(&order_id) {
            _ if !named(&answer) => Outcome::Superseded("no participant has such a name"),
            Some(order) if last.get(&order_id) == Some(&n) => {
                cx.withdraw_announcement(answer.saga_id);
                let (customer_id, reason) = (order.customer_id.clone(), order.reason.clone());
                let ended_by = reason.clone();
                cx.after_commit(move || metrics::cancelled(order_id, &ended_by));
                Outcome::Say(OrderCancelled { order_id, customer_id, reason })
            }
            Some(_) => Outcome::Quiet,
            None => {
                // A charge without an order was fanned out as cancelling: its announcement ends with the last answer too.
                let required: Vec<String> = cx.app().required_answers.iter().map(|name| step_of(name)).collect();
                // That of a return ends with the return, whatever strangers say of it.
                let is_return = store::is_return(cx.tx(), answer.saga_id).await?;
                if !is_return && cx.all_have_run(answer.saga_id, &required).await? {
                    cx.withdraw_announcement(answer.saga_id);
                }
                Outcome::Superseded("there is no such order")
            }
        });
    }
    Ok(outcomes)
}
