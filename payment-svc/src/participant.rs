//! The step table: all that this service reacts to, says, refuses and undoes. Open this first.

use crate::App;
use crate::steps::charge_payment::{self, Cards, POINTS, charge, payers};
use crate::steps::refund_return::{self, Refunds, payees};
use crate::store::{LOCK_WALLETS, OPEN_WALLETS};
use saga_common::participant::ChoreographyError;
use saga_common::{Participant, set};

/// | step | reacts to | says | refuses | undo |
/// |---|---|---|---|---|
/// | `charge-payment` | `stock.reserved` | `payment.charged` | `payment.declined` | refunded, or voided |
/// | `refund-return` | `return.requested` | `return.refunded` | - | - |
///
/// The names are keys in the database: they are never changed.
pub(crate) fn participant(app: App) -> Result<Participant<App>, ChoreographyError> {
    Participant::new("payment", app)
        .external("charge-payment", set(charge), charge_payment::refund, Cards)
        .locks(payers)
        .retriable_external("refund-return", set(refund_return::refund), Refunds)
        .locks(payees)
        .locking(OPEN_WALLETS)
        .locking(LOCK_WALLETS)
        .fault_points(POINTS)
        .unfinished(
            // Of an order, or of the return that it is given back for.
            "select exists (select 1 from payments where coalesce(return_id, order_id) >= $1
                            and coalesce(return_id, order_id) < $2 and status in ('charging', 'refunding'))",
        )
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{ProviderClient, ProviderKey, ProviderTimeouts};

    #[test]
    fn the_choreography_is_the_documented_one() {
        let key = ProviderKey::new("k");
        let provider = ProviderClient::new("http://localhost:1", &key, ProviderTimeouts::default());
        let participant = participant(App { provider: provider.expect("a client") });
        let steps = participant.expect("it fits together").map().steps;
        let steps: Vec<_> = steps
            .into_iter()
            .map(|s| (s.step, s.reacts_to.unwrap_or_default(), s.says.unwrap_or_default(), s.refuses, s.undo))
            .collect();
        let row = |a: &str, b: &str, c: &str, d: Option<&str>, undo| {
            (a.to_owned(), b.to_owned(), c.to_owned(), d.map(str::to_owned), undo)
        };
        assert_eq!(
            steps,
            [
                row("charge-payment", "stock.reserved.v1", "payment.charged.v1", Some("payment.declined.v1"), true),
                row("refund-return", "return.requested.v1", "return.refunded.v1", None, false),
            ]
        );
    }
}
