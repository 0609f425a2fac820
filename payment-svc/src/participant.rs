//! The step table: all that this service reacts to, says, refuses and undoes. Open this first.

use crate::App;
use crate::steps::charge_payment::{Cards, POINTS, charge, payers, refund};
use crate::store::{LOCK_WALLETS, OPEN_WALLETS};
use saga_common::participant::ChoreographyError;
use saga_common::{Participant, set};

/// | step | reacts to | says | refuses | undo |
/// |---|---|---|---|---|
/// | `charge-payment` | `stock.reserved` | `payment.charged` | `payment.declined` | refunded, or voided |
///
/// The name is a key in the database: it is never changed.
pub(crate) fn participant(app: App) -> Result<Participant<App>, ChoreographyError> {
    Participant::new("payment", app)
        .external("charge-payment", set(charge), refund, Cards)
        .locks(payers)
        .locking(OPEN_WALLETS)
        .locking(LOCK_WALLETS)
        .fault_points(POINTS)
        .unfinished(
            "select exists (select 1 from payments where order_id >= $1 and order_id < $2
                            and status in ('charging', 'refunding'))",
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
        assert_eq!(steps.len(), 1);
        let step = &steps[0];
        assert_eq!((step.step.as_str(), step.undo), ("charge-payment", true));
        assert_eq!(step.reacts_to.as_deref(), Some("stock.reserved.v1"));
        assert_eq!(step.says.as_deref(), Some("payment.charged.v1"));
        assert_eq!(step.refuses.as_deref(), Some("payment.declined.v1"));
    }
}
