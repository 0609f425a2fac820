//! The step table: all that this service reacts to, says, refuses and undoes. Open this first.

use crate::steps::{commit_stock, reserve_stock};
use crate::{domain, store};
use saga_common::participant::ChoreographyError;
use saga_common::{Participant, set};

/// | step | reacts to | says | refuses | undo |
/// |---|---|---|---|---|
/// | `reserve-stock` | `order.placed` | `stock.reserved` | `stock.rejected` | back on the shelf |
/// | `commit-stock` | `order.confirmed` | `stock.committed` | - | - |
///
/// The names are keys in the database: they are never changed.
///
/// # Errors
/// When the table does not fit together.
pub fn participant() -> Result<Participant<()>, ChoreographyError> {
    Participant::new("inventory", ())
        .compensatable("reserve-stock", set(reserve_stock::reserve), reserve_stock::release)
        .locks(domain::articles)
        .retriable("commit-stock", set(commit_stock::commit))
        .locking(store::LOCK_STOCK)
        .unfinished(
            "select exists (select 1 from reservations where order_id >= $1 and order_id < $2 and state = 'held')",
        )
        .build()
}
