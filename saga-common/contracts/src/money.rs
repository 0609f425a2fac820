//! Money in integer minor units: no floats, no silent overflow.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount in minor units (cents) of some [`Currency`]; on the wire a number, which is refused where it is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema), schema(minimum = 0, maximum = 9_007_199_254_740_991_i64))]
pub struct Money(i64);

/// An amount or a currency that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoneyError {
    /// The amount does not fit.
    Overflow,
    /// The amount is below zero.
    Negative,
    /// The currency is not three capital letters.
    BadCurrency(String),
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow => f.write_str("the amount is too large"),
            Self::Negative => f.write_str("the amount is below zero"),
            Self::BadCurrency(given) => write!(f, "`{given}` is no currency: three capital letters are (ISO 4217)"),
        }
    }
}

impl std::error::Error for MoneyError {}

impl Money {
    /// The largest amount there is: also what JSON numbers hold without loss, so every client can read it.
    pub const MAX: Self = Self(9_007_199_254_740_991);
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of minor units.
    ///
    /// # Errors
    /// Below zero or above [`Money::MAX`].
    pub fn from_minor(minor: i64) -> Result<Self, MoneyError> {
        match minor {
            ..0 => Err(MoneyError::Negative),
            minor if minor > Self::MAX.0 => Err(MoneyError::Overflow),
            minor => Ok(Self(minor)),
        }
    }

    /// The minor units.
    #[must_use]
    pub fn minor(self) -> i64 {
        self.0
    }

    /// The price of several.
    ///
    /// # Errors
    /// When the result is too large, or `quantity` is below zero.
    pub fn times(self, quantity: i64) -> Result<Self, MoneyError> {
        // Also of nothing: what is free may not be ordered below zero times.
        if quantity < 0 {
            return Err(MoneyError::Negative);
        }
        Self::from_minor(self.0.checked_mul(quantity).ok_or(MoneyError::Overflow)?)
    }

    /// The sum.
    ///
    /// # Errors
    /// When it is too large.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        Self::from_minor(self.0.checked_add(other.0).ok_or(MoneyError::Overflow)?)
    }
}

impl TryFrom<i64> for Money {
    type Error = MoneyError;
    fn try_from(minor: i64) -> Result<Self, MoneyError> {
        Self::from_minor(minor)
    }
}

impl From<Money> for i64 {
    fn from(amount: Money) -> Self {
        amount.0
    }
}

/// An ISO 4217 currency code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema), schema(pattern = "^[A-Z]{3}$"))]
pub struct Currency(String);

impl Currency {
    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Self, MoneyError> {
        let well_formed = code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
        if well_formed { Ok(Self(code)) } else { Err(MoneyError::BadCurrency(code)) }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_never_wrap() {
        let price = Money::from_minor(1_290).expect("an amount");
        assert_eq!(price.times(3), Money::from_minor(3_870));
        assert_eq!(price.times(i64::MAX), Err(MoneyError::Overflow));
        for below in [-1, i64::MIN] {
            assert_eq!(price.times(below), Err(MoneyError::Negative));
            assert_eq!(Money::ZERO.times(below), Err(MoneyError::Negative));
        }
        assert_eq!(Money::MAX.plus(price), Err(MoneyError::Overflow));
        assert_eq!(Money::from_minor(-1), Err(MoneyError::Negative));
    }

    #[test]
    fn an_amount_that_cannot_be_is_not_read() {
        let price = Money::from_minor(1_290).expect("an amount");
        assert_eq!(serde_json::to_string(&price).expect("a number"), "1290");
        assert_eq!(serde_json::from_str::<Money>("1290").expect("an amount"), price);
        for bad in ["-1", "9007199254740992", "1.5", "\"1290\""] {
            assert!(serde_json::from_str::<Money>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert!(serde_json::from_str::<Currency>("\"EUR\"").is_ok());
        for bad in ["\"eur\"", "\"EURO\"", "\"\"", "7"] {
            assert!(serde_json::from_str::<Currency>(bad).is_err(), "{bad}");
        }
    }
}
