//! The life of an order after it was placed, without any I/O.

use order_contracts::Fulfilment;
use std::fmt;
use std::str::FromStr;

/// Where an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Confirmed,
    Shipped,
    Delivered,
    Cancelling,
    Cancelled,
    Returning,
    Returned,
}

/// A word in the database that is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no status of an order")]
pub(crate) struct UnknownStatus(String);

/// A status that an order is to be given by whoever ships and delivers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fulfilled {
    Shipped,
    Delivered,
}

impl Status {
    /// In the order in which they are shown.
    pub(crate) const ALL: [Self; 8] = [
        Self::Pending,
        Self::Confirmed,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelling,
        Self::Cancelled,
        Self::Returning,
        Self::Returned,
    ];

    /// The word in the database and over HTTP.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Returning => "returning",
            Self::Returned => "returned",
        }
    }

    /// What an order can become, as whoever asks for something else is told.
    fn prospects(self) -> &'static str {
        match self {
            Self::Pending => "it will be confirmed or cancelled first",
            Self::Confirmed => "it can become shipped",
            Self::Shipped => "it can become delivered",
            Self::Delivered => "it can be returned",
            Self::Cancelling => "it will be cancelled",
            Self::Returning => "it will be returned",
            Self::Cancelled | Self::Returned => "it stays so",
        }
    }
}

impl Fulfilled {
    /// From which status to which.
    pub(crate) fn change(self) -> (Status, Status) {
        match self {
            Self::Shipped => (Status::Confirmed, Status::Shipped),
            Self::Delivered => (Status::Shipped, Status::Delivered),
        }
    }

    /// The same as other services hear of it.
    pub(crate) fn said(self) -> Fulfilment {
        match self {
            Self::Shipped => Fulfilment::Shipped,
            Self::Delivered => Fulfilment::Delivered,
        }
    }

    /// Can an order be given this status now? `false`: it has it already. An order is not shipped before it is closed: what
    /// leaves the warehouse has been taken off the shelf, in the books too.
    pub(crate) fn is_next(self, now: Status, closed: bool) -> Result<bool, String> {
        let (from, to) = self.change();
        if now == to {
            Ok(false)
        } else if now != from {
            Err(format!("the order is {now}, so it cannot become {to}: {}", now.prospects()))
        } else if !closed {
            Err(format!("the order is {now}, but its stock is still being taken from the shelf: try again in a moment"))
        } else {
            Ok(true)
        }
    }
}

/// Can an order be returned now? `false`: it is coming back already.
pub(crate) fn may_return(now: Status) -> Result<bool, String> {
    match now {
        Status::Delivered => Ok(true),
        Status::Returning | Status::Returned => Ok(false),
        now => Err(format!("the order is {now}, so it cannot be returned: {}", now.prospects())),
    }
}

/// Why an order with this status cannot be cancelled any more.
pub(crate) fn not_cancelled(now: &str) -> String {
    let prospects = now.parse().map_or("it stays so", Status::prospects);
    format!("the order is {now}, so it cannot be cancelled any more: {prospects}")
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

    #[test]
    fn an_order_is_shipped_once_it_is_closed_and_delivered_once_it_is_shipped() {
        let allowed = |wanted: Fulfilled, closed| {
            let all = Status::ALL.into_iter();
            all.filter(|now| wanted.is_next(*now, closed) == Ok(true)).collect::<Vec<_>>()
        };
        assert_eq!(allowed(Fulfilled::Shipped, true), [Status::Confirmed]);
        assert_eq!(allowed(Fulfilled::Delivered, true), [Status::Shipped]);
        assert_eq!(allowed(Fulfilled::Shipped, false), []);
        assert_eq!(Fulfilled::Shipped.is_next(Status::Shipped, true), Ok(false));
        assert_eq!(Fulfilled::Delivered.is_next(Status::Delivered, true), Ok(false));
    }

    #[test]
    fn only_a_delivered_order_comes_back_and_only_once() {
        let begins: Vec<_> = Status::ALL.into_iter().filter(|now| may_return(*now) == Ok(true)).collect();
        assert_eq!(begins, [Status::Delivered]);
        let again: Vec<_> = Status::ALL.into_iter().filter(|now| may_return(*now) == Ok(false)).collect();
        assert_eq!(again, [Status::Returning, Status::Returned]);
    }

    #[test]
    fn a_refusal_says_what_the_order_is_and_what_it_can_become() {
        let refused = |wanted: Fulfilled, now| wanted.is_next(now, true).expect_err("refused");
        assert_eq!(
            refused(Fulfilled::Delivered, Status::Confirmed),
            "the order is confirmed, so it cannot become delivered: it can become shipped"
        );
        assert_eq!(
            refused(Fulfilled::Shipped, Status::Cancelled),
            "the order is cancelled, so it cannot become shipped: it stays so"
        );
        assert_eq!(
            may_return(Status::Shipped).expect_err("refused"),
            "the order is shipped, so it cannot be returned: it can become delivered"
        );
        assert_eq!(
            not_cancelled("shipped"),
            "the order is shipped, so it cannot be cancelled any more: it can become delivered"
        );
    }

    #[test]
    fn every_status_is_read_as_it_is_written() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("lost".parse::<Status>().is_err());
    }
}
