//! Whether money and stock of an order that comes back are where its status says.

use super::{Contradiction, RETURNED, RETURNING};
use crate::audit::facts::{Order, Reservations, Saga};

pub(super) fn restocked(saga: &Saga) -> Option<Contradiction> {
    let order = coming_back(saga)?;
    let Reservations { held, released, sold, returned, contents, returns } =
        saga.reservations.clone().unwrap_or_default();
    let back = returned > 0 && sold == 0 && returns.iter().eq(&order.return_id);
    let not_yet = order.status == RETURNING && sold > 0 && returned == 0;
    let right = contents == order.contents && held + released == 0 && (back || not_yet);
    (!right).then(|| {
        let actual =
            format!("{contents}: {held} held, {released} released, {sold} sold, {returned} returned by {returns:?}");
        (format!("{} back on the shelf by {:?}", order.contents, order.return_id), actual)
    })
}

pub(super) fn refunded(saga: &Saga) -> Option<Contradiction> {
    let order = coming_back(saga)?;
    let payment = saga.payment.as_ref();
    let (status, by) = payment.map_or(("no payment", None), |payment| (payment.status.as_str(), payment.return_id));
    let back = status == "refunded" && by == order.return_id;
    let not_yet = order.status == RETURNING
        && (status == "charged" && by.is_none() || status == "refunding" && by == order.return_id);
    (!(back || not_yet)).then(|| (format!("refunded for {:?}", order.return_id), format!("{status} for {by:?}")))
}

fn coming_back(saga: &Saga) -> Option<&Order> {
    saga.order.as_ref().filter(|order| matches!(order.status.as_str(), RETURNING | RETURNED))
}
