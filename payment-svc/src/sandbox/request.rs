//! Form-encoded parameters, and the commands they spell. Pure.

use std::collections::BTreeMap;

use super::refusal::Refusal;

/// A request that may change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Create { amount: i64, currency: String, payment_method: String, metadata: BTreeMap<String, String> },
    Confirm { intent: String },
    Cancel { intent: String },
    Refund { intent: String, amount: Option<i64> },
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// 1 to 100.
    pub(super) limit: usize,
    /// Continue behind this id.
    pub(super) starting_after: Option<String>,
}

/// The parameters of one request, consumed one by one so that what nobody took can be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads `application/x-www-form-urlencoded`: a body or a query. Of a parameter given twice the last counts.
    pub(super) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The same text for the same parameters in any order.
    pub(super) fn canonical(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// `POST /v1/payment_intents`.
    pub(super) fn create(mut self) -> Result<Command, Refusal> {
        let amount = self.integer("amount")?.ok_or(Refusal::ParameterMissing { param: "amount" })?;
        let currency = self.required("currency")?.to_ascii_lowercase();
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Refusal::Invalid { message: "currency must be a three-letter ISO 4217 code." });
        }
        let payment_method = self.required("payment_method")?;
        if self.0.remove("confirm").is_some_and(|confirm| confirm != "false") {
            return Err(Refusal::Invalid { message: "This sandbox only creates unconfirmed PaymentIntents." });
        }
        let metadata = self.metadata();
        self.ignore(&["payment_method_types[", "automatic_payment_methods[", "description"]);
        self.nothing_else()?;
        Ok(Command::Create { amount, currency, payment_method, metadata })
    }

    /// `POST /v1/payment_intents/{id}/confirm`.
    pub(super) fn confirm(self, intent: String) -> Result<Command, Refusal> {
        self.nothing_else()?;
        Ok(Command::Confirm { intent })
    }

    /// `POST /v1/payment_intents/{id}/cancel`.
    pub(super) fn cancel(mut self, intent: String) -> Result<Command, Refusal> {
        self.ignore(&["cancellation_reason"]);
        self.nothing_else()?;
        Ok(Command::Cancel { intent })
    }

    /// `POST /v1/refunds`.
    pub(super) fn refund(mut self) -> Result<Command, Refusal> {
        let intent = self.required("payment_intent")?;
        let amount = self.integer("amount")?;
        self.ignore(&["reason", "metadata["]);
        self.nothing_else()?;
        Ok(Command::Refund { intent, amount })
    }

    /// The query of a list; what remains must have been taken before.
    pub(super) fn page(mut self) -> Result<Page, Refusal> {
        let limit = match self.integer("limit")? {
            None => 10,
            Some(limit @ 1..=100) => limit as usize,
            Some(_) => return Err(Refusal::InvalidInteger { param: "limit" }),
        };
        let starting_after = self.0.remove("starting_after");
        self.nothing_else()?;
        Ok(Page { limit, starting_after })
    }

    /// Takes an optional parameter.
    pub(super) fn optional(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn required(&mut self, name: &'static str) -> Result<String, Refusal> {
        self.0.remove(name).filter(|value| !value.is_empty()).ok_or(Refusal::ParameterMissing { param: name })
    }

    /// A positive integer.
    fn integer(&mut self, name: &'static str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.0.remove(name) else {
            return Ok(None);
        };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number @ 1..) if digits => Ok(Some(number)),
            _ => Err(Refusal::InvalidInteger { param: name }),
        }
    }

    fn metadata(&mut self) -> BTreeMap<String, String> {
        let inner = |name: &str| Some(name.strip_prefix("metadata[")?.strip_suffix(']')?.to_owned());
        let taken = self.0.extract_if(.., |name, _| inner(name).is_some());
        taken.filter_map(|(name, value)| Some((inner(&name)?, value))).collect()
    }

    /// Drops what a real account wants and a sandbox does not need.
    fn ignore(&mut self, prefixes: &[&str]) {
        self.0.retain(|name, _| !prefixes.iter().any(|prefix| name.starts_with(prefix)));
    }

    fn nothing_else(self) -> Result<(), Refusal> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(param) => Err(Refusal::ParameterUnknown { param }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(encoded: &str) -> Result<Command, Refusal> {
        Params::parse(encoded.as_bytes()).create()
    }

    #[test]
    fn a_create_is_read_with_its_metadata() {
        let read = create(
            "amount=1290&currency=EUR&payment_method=pm_card_visa&payment_method_types%5B%5D=card&metadata[order_id]=a%26b&confirm=false",
        );
        let metadata = BTreeMap::from([("order_id".to_owned(), "a&b".to_owned())]);
        let (currency, payment_method) = ("eur".to_owned(), "pm_card_visa".to_owned());
        assert_eq!(read, Ok(Command::Create { amount: 1290, currency, payment_method, metadata }));
    }

    #[test]
    fn an_amount_is_a_positive_integer_that_fits() {
        for amount in ["0", "-1", "+1", "1.5", "1e3", "", " 1", "9223372036854775808", "99999999999999999999", "0x10"] {
            let read = Params::parse(format!("amount={}", amount.replace('+', "%2B")).as_bytes()).create();
            assert_eq!(read, Err(Refusal::InvalidInteger { param: "amount" }), "{amount:?}");
            let read =
                Params::parse(format!("payment_intent=pi_1&amount={}", amount.replace('+', "%2B")).as_bytes()).refund();
            assert_eq!(read, Err(Refusal::InvalidInteger { param: "amount" }), "{amount:?}");
        }
        assert!(create("amount=9223372036854775807&currency=eur&payment_method=pm_card_visa").is_ok());
    }

    #[test]
    fn missing_and_unknown_parameters_are_named() {
        assert_eq!(create("currency=eur"), Err(Refusal::ParameterMissing { param: "amount" }));
        assert_eq!(create("amount=1&payment_method=x"), Err(Refusal::ParameterMissing { param: "currency" }));
        assert_eq!(
            create("amount=1&currency=eur&payment_method="),
            Err(Refusal::ParameterMissing { param: "payment_method" })
        );
        let unknown = Err(Refusal::ParameterUnknown { param: "amuont".into() });
        assert_eq!(create("amount=1&currency=eur&payment_method=x&amuont=2"), unknown);
        assert_eq!(Params::parse(b"amuont=2").confirm("pi_1".into()), unknown);
        assert!(matches!(create("amount=1&currency=euro&payment_method=x"), Err(Refusal::Invalid { .. })));
        assert!(matches!(create("amount=1&currency=eur&payment_method=x&confirm=true"), Err(Refusal::Invalid { .. })));
    }

    #[test]
    fn pages_are_bounded() {
        let page = |query: &str| Params::parse(query.as_bytes()).page();
        assert_eq!(page(""), Ok(Page { limit: 10, starting_after: None }));
        assert_eq!(page("limit=100&starting_after=pi_1"), Ok(Page { limit: 100, starting_after: Some("pi_1".into()) }));
        for limit in ["0", "101", "many"] {
            assert_eq!(page(&format!("limit={limit}")), Err(Refusal::InvalidInteger { param: "limit" }));
        }
    }

    #[test]
    fn the_order_of_parameters_does_not_matter() {
        let canonical = |encoded: &str| Params::parse(encoded.as_bytes()).canonical();
        assert_eq!(canonical("b=2&a=1%20x"), canonical("a=1+x&b=2"));
        assert_ne!(canonical("a=1&b=2"), canonical("a=1%26b%3D2"));
    }
}
