//! Identifiers that services exchange.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// An order: the id of its saga.
    OrderId
}
id! {
    /// A return of an order: the id of its own saga.
    ReturnId
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// A customer, as the shop calls them.
    CustomerId
}
text! {
    /// An article.
    Sku
}
text! {
    /// `wallet`, or the external provider's name for a card (`pm_card_visa`).
    PaymentMethod
}

impl PaymentMethod {
    /// Is it charged inside of payment-svc's own database?
    #[must_use]
    pub fn is_wallet(&self) -> bool {
        self.0 == "wallet"
    }
}

impl Sku {
    /// The longest one.
    pub const LONGEST: usize = 64;

    /// What an article may be called, for people.
    pub const FORM: &'static str =
        "1 to 64 letters, digits, dashes, dots or underscores, of which the first is no dot; not `import`";

    /// Can this text name an article? Catalogue and stock take no other, so that it fits into an address, a file and a database,
    /// whatever it is. (`import` is an address of both.)
    #[must_use]
    pub fn is_well_formed(text: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let sized = (1..=Self::LONGEST).contains(&text.len());
        sized && text.bytes().all(fits) && !text.starts_with('.') && text != "import"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_article_is_called_what_fits_into_an_address() {
        for good in ["MUG-STONE", "a", "7.5_mm", &"M".repeat(64), "imports"] {
            assert!(Sku::is_well_formed(good), "{good}");
        }
        for bad in ["", "MUG STONE", "M\0G", "a/b", ".", "..", ".x", "Ü", "import", &"M".repeat(65)] {
            assert!(!Sku::is_well_formed(bad), "{bad}");
        }
    }
}
