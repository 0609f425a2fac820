//! Wallets, and where a payment stands. Pure.

use order_contracts::{Currency, Money};
use std::fmt;
use std::str::FromStr;

/// A wallet as a batch of payments sees it: locked, and charged in memory first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wallet {
    /// Never below zero.
    pub(crate) balance_minor: i64,
    /// ISO 4217.
    pub(crate) currency: String,
}

/// Why a wallet does not pay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Declined {
    /// There is less in it than it would have to pay.
    #[error("insufficient funds")]
    InsufficientFunds,
    /// It holds another currency than the order is in.
    #[error("the wallet holds {holds}, the order is in {wants}")]
    OtherCurrency {
        /// The wallet's.
        holds: String,
        /// The order's.
        wants: Currency,
    },
}

impl Wallet {
    /// Takes an amount out.
    ///
    /// # Errors
    /// When the wallet cannot pay; it is as before then.
    pub(crate) fn pay(&mut self, amount: Money, currency: &Currency) -> Result<(), Declined> {
        if self.currency != currency.as_str() {
            return Err(Declined::OtherCurrency { holds: self.currency.clone(), wants: currency.clone() });
        }
        if amount.minor() > self.balance_minor {
            return Err(Declined::InsufficientFunds);
        }
        self.balance_minor -= amount.minor();
        Ok(())
    }
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// A card is to be charged, or may have been already.
    Charging,
    /// The money was taken.
    Charged,
    /// No money was taken, and none will be.
    Declined,
    /// The money is to be given back, if it was taken.
    Refunding,
    /// The money was taken and given back.
    Refunded,
    /// The charge was called off before any money was taken.
    Voided,
}

/// A word in the database that is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no status of a payment")]
pub(crate) struct UnknownStatus(String);

impl Status {
    const ALL: [Self; 6] =
        [Self::Charging, Self::Charged, Self::Declined, Self::Refunding, Self::Refunded, Self::Voided];

    /// The word in the database and over HTTP.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Charging => "charging",
            Self::Charged => "charged",
            Self::Declined => "declined",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
            Self::Voided => "voided",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == word);
        known.ok_or_else(|| UnknownStatus(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn euro() -> Currency {
        Currency::try_from("EUR".to_owned()).expect("a currency")
    }

    fn wallet(balance_minor: i64) -> Wallet {
        Wallet { balance_minor, currency: "EUR".into() }
    }

    fn money(minor: i64) -> Money {
        Money::from_minor(minor).expect("an amount")
    }

    #[test]
    fn a_wallet_pays_down_to_nothing_and_not_below() {
        let mut wallet = wallet(1_000);
        assert_eq!(wallet.pay(money(400), &euro()), Ok(()));
        assert_eq!(wallet.pay(money(601), &euro()), Err(Declined::InsufficientFunds));
        assert_eq!(wallet.pay(money(600), &euro()), Ok(()));
        assert_eq!(wallet.balance_minor, 0);
        assert_eq!(wallet.pay(Money::ZERO, &euro()), Ok(()));
        assert_eq!(wallet.pay(Money::MAX, &euro()), Err(Declined::InsufficientFunds));
    }

    #[test]
    fn a_wallet_pays_in_its_own_currency_only() {
        let mut euros = wallet(1_000);
        let dollar = Currency::try_from("USD".to_owned()).expect("a currency");
        let declined = euros.pay(money(1), &dollar).expect_err("dollars");
        assert_eq!(declined.to_string(), "the wallet holds EUR, the order is in USD");
        assert_eq!(euros, wallet(1_000));
    }

    #[test]
    fn every_status_is_read_as_it_is_written() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("paid".parse::<Status>().is_err());
    }
}
