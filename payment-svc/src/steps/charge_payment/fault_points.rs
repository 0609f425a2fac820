//! Where failures can be injected into the calls to the provider.

use saga_common::faults::{FaultPoint, Place};

macro_rules! points {
    ($($name:ident $text:literal $stands_for:literal)*) => {
        $(pub(super) static $name: FaultPoint = FaultPoint::new($text, Place::Call, $stands_for);)*
        /// Around every call to the provider.
        pub(crate) static POINTS: &[&FaultPoint] = &[$(&$name),*];
    };
}

points! {
    BEFORE_CREATE "before-create" "the provider does not know of the charge yet"
    AFTER_CREATE "after-create" "the provider has an unconfirmed intent, whose id is not stored"
    AFTER_STORE "after-store" "the intent's id is stored, the charge is not confirmed"
    AFTER_CHARGE "after-charge" "the provider has charged the card, and nobody here knows"
    BEFORE_RETRIEVE "before-retrieve" "an earlier attempt's intent is about to be looked up"
    BEFORE_VOID "before-void" "a charge is to be taken back, the provider has not been asked"
    AFTER_VOID "after-void" "the provider has cancelled the intent, or said that it has charged it"
    BEFORE_REFUND "before-refund" "the money is to go back, the refund is not asked for"
    AFTER_REFUND "after-refund" "the provider has refunded, and nobody here knows"
}
