//! Which orders are placed: a pure function of the mix, the seed and the order's number.

use std::fmt;
use std::str::FromStr;

use crate::chaos::dice::Dice;
use crate::client::{Item, NewOrder};

/// So expensive that no wallet pays for it.
pub const DEAR: &str = "LOAD-DEAR";
/// There is none of it.
pub const NONE_LEFT: &str = "LOAD-NONE";
/// Customers who order again and again.
const CUSTOMERS: u64 = 1_000;

/// What orders are like. Its text form, `items=1-2,declines=3`, leaves out what is as usual.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// Fewest lines of an order.
    pub fewest_items: u64,
    /// Most lines of an order, each of another article.
    pub most_items: u64,
    /// How many articles there are to choose from; 1: everybody buys the same.
    pub skus: u64,
    /// Percent of orders that the customer cannot pay.
    pub declines: f64,
    /// Percent of orders with an article of which there is none.
    pub out_of_stock: f64,
    /// Percent of orders that are cancelled as soon as they are placed, if that is not too late.
    pub cancels: f64,
    /// Percent of orders paid by card, at the provider; the others from a wallet.
    pub card: f64,
    /// Percent of orders that are placed with an Idempotency-Key.
    pub keys: f64,
}

/// The mix that results are quoted for: 1 or 2 of 1,000 articles, wallets, 3 % declined.
impl Default for Mix {
    fn default() -> Self {
        Self {
            fewest_items: 1,
            most_items: 2,
            skus: 1_000,
            declines: 3.0,
            out_of_stock: 0.0,
            cancels: 0.0,
            card: 0.0,
            keys: 0.0,
        }
    }
}

/// Why a text is no mix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMix {
    /// There is no such part.
    #[error(
        "`{0}` is no part of a mix: items=1-2, skus=1000, and in percent declines, out-of-stock, cancels, card, keys"
    )]
    Unknown(String),
    /// The value cannot be.
    #[error("`{part}` cannot be {value}")]
    Value {
        /// The part.
        part: String,
        /// What was given.
        value: String,
    },
}

impl FromStr for Mix {
    type Err = BadMix;

    fn from_str(text: &str) -> Result<Self, BadMix> {
        let mut mix = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| BadMix::Unknown(part.to_owned()))?;
            let bad = || BadMix::Value { part: name.to_owned(), value: value.to_owned() };
            let percent = || value.parse().ok().filter(|it| (0.0..=100.0).contains(it)).ok_or_else(bad);
            match name {
                "items" => {
                    let (fewest, most) = value.split_once('-').unwrap_or((value, value));
                    mix.fewest_items = fewest.parse().map_err(|_| bad())?;
                    mix.most_items = most.parse().map_err(|_| bad())?;
                    if !(1..=mix.most_items).contains(&mix.fewest_items) || mix.most_items > 20 {
                        return Err(bad());
                    }
                }
                "skus" => mix.skus = value.parse().ok().filter(|skus| (1..=100_000).contains(skus)).ok_or_else(bad)?,
                "declines" => mix.declines = percent()?,
                "out-of-stock" => mix.out_of_stock = percent()?,
                "cancels" => mix.cancels = percent()?,
                "card" => mix.card = percent()?,
                "keys" => mix.keys = percent()?,
                _ => return Err(BadMix::Unknown(part.to_owned())),
            }
        }
        Ok(mix)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::default();
        write!(f, "items={}-{},skus={}", self.fewest_items, self.most_items, self.skus)?;
        for (name, percent, usual) in [
            ("declines", self.declines, usual.declines),
            ("out-of-stock", self.out_of_stock, usual.out_of_stock),
            ("cancels", self.cancels, usual.cancels),
            ("card", self.card, usual.card),
            ("keys", self.keys, usual.keys),
        ] {
            #[expect(clippy::float_cmp, reason = "is it what the usual mix says, to the bit?")]
            if percent != usual {
                write!(f, ",{name}={percent}")?;
            }
        }
        Ok(())
    }
}

/// An order to be placed, and what its customer does besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The order.
    pub order: NewOrder,
    /// Whether it is placed with a key of its own.
    pub keyed: bool,
    /// Whether the customer changes their mind at once.
    pub cancel: bool,
}

impl Mix {
    /// The articles that are there for everybody.
    pub fn articles(&self) -> impl Iterator<Item = String> {
        (0..self.skus).map(sku)
    }

    /// Those who order.
    pub fn customers() -> impl Iterator<Item = String> {
        (0..CUSTOMERS).map(customer)
    }

    /// The order of this number.
    #[must_use]
    pub fn wish(&self, seed: u64, n: u64) -> Wish {
        let mut dice = Dice::new(seed, n);
        let customer_id = customer(dice.between(0, CUSTOMERS - 1));
        let mut items = self.items(&mut dice);
        let (declined, out, card) =
            (hits(&mut dice, self.declines), hits(&mut dice, self.out_of_stock), hits(&mut dice, self.card));
        if declined && !card {
            items.push(Item { sku: DEAR.to_owned(), quantity: 1 });
        }
        if out {
            items.push(Item { sku: NONE_LEFT.to_owned(), quantity: 1 });
        }
        let payment_method = match (card, declined) {
            (false, _) => "wallet",
            (true, false) => "pm_card_visa",
            (true, true) => "pm_card_chargeDeclined",
        };
        Wish {
            order: NewOrder {
                customer_id,
                currency: "EUR".to_owned(),
                items,
                payment_method: payment_method.to_owned(),
            },
            keyed: hits(&mut dice, self.keys),
            cancel: hits(&mut dice, self.cancels),
        }
    }

    /// Different articles, one to three of each.
    fn items(&self, dice: &mut Dice) -> Vec<Item> {
        let lines = dice.between(self.fewest_items, self.most_items).min(self.skus);
        let mut chosen: Vec<u64> = Vec::new();
        while (chosen.len() as u64) < lines {
            let article = dice.between(0, self.skus - 1);
            if !chosen.contains(&article) {
                chosen.push(article);
            }
        }
        let mut item = |article| Item { sku: sku(article), quantity: u32::try_from(dice.between(1, 3)).unwrap_or(1) };
        chosen.into_iter().map(&mut item).collect()
    }
}

fn customer(n: u64) -> String {
    format!("load-{n:04}")
}

fn sku(article: u64) -> String {
    format!("LOAD-{article:05}")
}

/// True this often in a hundred throws; a thousandth of a percent counts.
fn hits(dice: &mut Dice, percent: f64) -> bool {
    (dice.between(0, 99_999) as f64) < percent * 1_000.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_mix_reads_back_as_it_was_written_and_nonsense_is_refused() {
        for text in ["", "items=2-4,skus=10", "items=3,declines=0.5,card=40", "cancels=5,out-of-stock=2,keys=100"] {
            let mix: Mix = text.parse().expect("a mix");
            assert_eq!(mix.to_string().parse(), Ok(mix), "{text}");
        }
        assert_eq!("items=3".parse::<Mix>().map(|mix| (mix.fewest_items, mix.most_items)), Ok((3, 3)));
        for text in [
            "items",
            "items=0",
            "items=3-2",
            "items=1-21",
            "skus=0",
            "declines=101",
            "declines=-1",
            "colour=red",
            "card=x",
        ] {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_same_number_is_the_same_order_and_the_shares_are_those_of_the_mix() {
        let mix: Mix =
            "items=1-3,skus=50,declines=10,out-of-stock=5,cancels=20,card=30,keys=50".parse().expect("a mix");
        let wishes: Vec<Wish> = (0..10_000).map(|n| mix.wish(7, n)).collect();
        assert_eq!(wishes, (0..10_000).map(|n| mix.wish(7, n)).collect::<Vec<_>>());
        let percent = |is: &dyn Fn(&Wish) -> bool| wishes.iter().filter(|it| is(it)).count() as f64 / 100.0;
        let has = |it: &Wish, sku: &str| it.order.items.iter().any(|item| item.sku == sku);
        let about = |wanted: f64, is: f64| assert!((wanted - is).abs() < 1.5, "{is} is not about {wanted}");
        about(20.0, percent(&|it| it.cancel));
        about(50.0, percent(&|it| it.keyed));
        about(30.0, percent(&|it| it.order.payment_method != "wallet"));
        about(10.0, percent(&|it| has(it, DEAR) || it.order.payment_method == "pm_card_chargeDeclined"));
        about(5.0, percent(&|it| has(it, NONE_LEFT)));
        let skus: BTreeSet<&str> = wishes.iter().flat_map(|it| &it.order.items).map(|item| item.sku.as_str()).collect();
        assert_eq!(skus.len(), 52, "all that there are, and the two special ones");
    }

    #[test]
    fn an_order_never_asks_for_more_articles_than_there_are() {
        let mix: Mix = "items=2-4,skus=1,declines=0".parse().expect("a mix");
        assert!((0..100).all(|n| mix.wish(1, n).order.items.len() == 1));
    }
}
