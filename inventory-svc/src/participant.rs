//! The step table: all that this service reacts to, says, refuses and undoes. Open this first.

use crate::steps::{commit_stock, reserve_stock, restock_return};
use crate::{domain, store};
use saga_common::participant::ChoreographyError;
use saga_common::{Participant, set};

/// | step | reacts to | says | refuses | undo |
/// |---|---|---|---|---|
/// | `reserve-stock` | `order.placed` | `stock.reserved` | `stock.rejected` | back on the shelf |
/// | `commit-stock` | `order.confirmed` | `stock.committed` | - | - |
/// | `restock-return` | `return.requested` | `return.restocked` | - | - |
///
/// The names are keys in the database: they are never changed.
pub(crate) fn participant() -> Result<Participant<()>, ChoreographyError> {
    Participant::new("inventory", ())
        .compensatable("reserve-stock", set(reserve_stock::reserve), reserve_stock::release)
        .locks(domain::articles)
        .retriable("commit-stock", set(commit_stock::commit))
        .retriable("restock-return", set(restock_return::restock))
        .locks(domain::returning)
        .locking(store::LOCK_STOCK)
        .unfinished(
            "select exists (select 1 from reservations where order_id >= $1 and order_id < $2 and state = 'held')",
        )
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choreography_is_the_documented_one() {
        let steps = participant().expect("it fits together").map().steps.into_iter().map(|s| {
            (s.step, s.reacts_to.unwrap_or_default(), s.says.unwrap_or_default(), s.refuses.unwrap_or_default())
        });
        let row = |a: &str, b: &str, c: &str, d: &str| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned());
        assert_eq!(
            steps.collect::<Vec<_>>(),
            [
                row("reserve-stock", "order.placed.v1", "stock.reserved.v1", "stock.rejected.v1"),
                row("commit-stock", "order.confirmed.v1", "stock.committed.v1", ""),
                row("restock-return", "return.requested.v1", "return.restocked.v1", ""),
            ]
        );
    }
}
