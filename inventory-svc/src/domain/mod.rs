//! The rules of the shelf, without a database: what an order wants, and whether it can have it; what else may change it.

mod counting;

pub(crate) use counting::{Adjustment, Count, Counts, Moved, NotMoved};

use order_contracts::{Line, OrderPlaced, ReturnRequested, Shortage, Sku};
use saga_common::SagaId;
use std::collections::BTreeMap;

/// What an order asks for: each article once, in the order of their keys, and of each at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted(BTreeMap<Sku, i64>);

/// An order that nobody could fill, however much there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadOrder {
    /// Undone, it would be looked for under another id.
    #[error("the order {0} is not the saga that its message belongs to")]
    OtherSaga(order_contracts::OrderId),
    /// Nothing to reserve.
    #[error("the order has no lines")]
    Empty,
    /// Less than one piece.
    #[error("the order asks for {quantity} of {sku}")]
    NotPositive {
        /// The article.
        sku: Sku,
        /// How many.
        quantity: i64,
    },
    /// More than can be counted.
    #[error("the order asks for more of {0} than can be counted")]
    TooMany(Sku),
}

impl Wanted {
    /// Reads an order; lines of the same article are added up.
    ///
    /// # Errors
    /// [`BadOrder`]: what comes over the wire is not believed.
    pub(crate) fn by(saga_id: SagaId, order: &OrderPlaced) -> Result<Self, BadOrder> {
        if order.order_id.0 != saga_id.as_uuid() {
            return Err(BadOrder::OtherSaga(order.order_id));
        }
        let mut wanted = BTreeMap::new();
        for line in &order.lines {
            let (sku, quantity) = (&line.sku, line.quantity);
            if quantity < 1 {
                return Err(BadOrder::NotPositive { sku: sku.clone(), quantity });
            }
            let sum: &mut i64 = wanted.entry(sku.clone()).or_default();
            *sum = sum.checked_add(quantity).ok_or_else(|| BadOrder::TooMany(sku.clone()))?;
        }
        if wanted.is_empty() { Err(BadOrder::Empty) } else { Ok(Self(wanted)) }
    }

    /// The articles and how many of each. Any text may be among them: see [`Sku::is_well_formed`].
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&Sku, i64)> {
        self.0.iter().map(|(sku, quantity)| (sku, *quantity))
    }
}

/// The keys of the stock rows that reserving for this order will touch.
pub(crate) fn articles(order: &OrderPlaced) -> Vec<String> {
    skus(&order.lines)
}

/// The keys of the stock rows that this return will touch.
pub(crate) fn returning(order: &ReturnRequested) -> Vec<String> {
    skus(&order.lines)
}

fn skus(lines: &[Line]) -> Vec<String> {
    let skus = lines.iter().map(|line| line.sku.as_str());
    skus.filter(|sku| Sku::is_well_formed(sku)).map(str::to_owned).collect()
}

/// What is available, while several orders in a row take from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shelf(BTreeMap<Sku, i64>);

impl FromIterator<(Sku, i64)> for Shelf {
    fn from_iter<T: IntoIterator<Item = (Sku, i64)>>(rows: T) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl Shelf {
    /// Takes everything that is wanted, or nothing.
    ///
    /// # Errors
    /// What is missing; of an unknown article there are 0.
    pub(crate) fn take(&mut self, wanted: &Wanted) -> Result<(), Vec<Shortage>> {
        let available = |sku| self.0.get(sku).copied().unwrap_or(0);
        let short = wanted.lines().filter(|(sku, requested)| *requested > available(sku));
        let shortages: Vec<Shortage> =
            short.map(|(sku, requested)| Shortage { sku: sku.clone(), requested, available: available(sku) }).collect();
        if !shortages.is_empty() {
            return Err(shortages);
        }
        for (sku, quantity) in wanted.lines() {
            if let Some(available) = self.0.get_mut(sku) {
                *available -= quantity;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use order_contracts::{Money, OrderId};

    pub(crate) fn placed(saga_id: SagaId, lines: &[(&str, i64)]) -> OrderPlaced {
        OrderPlaced {
            order_id: OrderId(saga_id.as_uuid()),
            customer_id: "anna".into(),
            lines: lines.iter().map(|&(sku, quantity)| Line { sku: sku.into(), quantity }).collect(),
            amount_minor: Money::ZERO,
            currency: "EUR".to_owned().try_into().expect("a currency"),
            payment_method: "wallet".into(),
        }
    }

    fn wanted(lines: &[(&str, i64)]) -> Result<Wanted, BadOrder> {
        let saga_id = SagaId::new();
        Wanted::by(saga_id, &placed(saga_id, lines))
    }

    fn shelf(rows: &[(&str, i64)]) -> Shelf {
        rows.iter().map(|&(sku, available)| (sku.into(), available)).collect()
    }

    #[test]
    fn an_order_takes_all_its_lines_or_none() {
        let mut shelf = shelf(&[("MUG", 5), ("TEA", 1)]);
        let order = wanted(&[("MUG", 2), ("TEA", 2), ("no\0pot", 1)]).expect("an order");
        let shortage = |sku: &str, requested, available| Shortage { sku: sku.into(), requested, available };
        assert_eq!(shelf.take(&order), Err(vec![shortage("TEA", 2, 1), shortage("no\0pot", 1, 0)]));
        assert_eq!(shelf.take(&wanted(&[("MUG", 5), ("TEA", 1)]).expect("an order")), Ok(()));
    }

    #[test]
    fn of_several_orders_the_first_come_are_served_until_the_shelf_is_empty() {
        let mut shelf = shelf(&[("MUG", 3)]);
        let order = wanted(&[("MUG", 2)]).expect("an order");
        let one = wanted(&[("MUG", 1)]).expect("an order");
        let served = [&order, &order, &one, &one].map(|wanted| shelf.take(wanted).is_ok());
        assert_eq!(served, [true, false, true, false]);
    }

    #[test]
    fn lines_of_one_article_are_added_up() {
        let order = wanted(&[("MUG", 2), ("TEA", 1), ("MUG", 3)]).expect("an order");
        assert_eq!(order.lines().collect::<Vec<_>>(), [(&"MUG".into(), 5), (&"TEA".into(), 1)]);
    }

    #[test]
    fn what_nobody_could_fill_is_no_order() {
        let not_positive = |quantity| Err(BadOrder::NotPositive { sku: "MUG".into(), quantity });
        assert_eq!(wanted(&[]), Err(BadOrder::Empty));
        assert_eq!(wanted(&[("MUG", 0)]), not_positive(0));
        assert_eq!(wanted(&[("MUG", i64::MIN)]), not_positive(i64::MIN));
        assert_eq!(wanted(&[("MUG", i64::MAX), ("MUG", 1)]), Err(BadOrder::TooMany("MUG".into())));
        let other = Wanted::by(SagaId::new(), &placed(SagaId::new(), &[("MUG", 1)]));
        assert!(matches!(other, Err(BadOrder::OtherSaga(_))));
    }
}
