//! What may be on the price list, without any I/O.

use order_contracts::{Currency, Money, Sku};
use std::collections::BTreeMap;
use std::fmt;

/// Products that are set by one request at most.
const MOST_PRODUCTS: usize = 1_000;

const LONGEST_NAME: usize = 200;

/// An article with its name and price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) sku: Sku,
    pub(crate) name: String,
    pub(crate) unit_price: Money,
    pub(crate) currency: Currency,
}

impl Product {
    /// Checks what somebody wants on the list.
    ///
    /// # Errors
    /// A sentence for each thing that is wrong.
    pub(crate) fn new(sku: &str, name: &str, unit_price_minor: i64, currency: &str) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        if !Sku::is_well_formed(sku) {
            wrong.push(format!("sku: {}", Sku::FORM));
        }
        let sized = (1..=LONGEST_NAME).contains(&name.chars().count());
        if !sized || name.trim().is_empty() || name.chars().any(char::is_control) {
            wrong.push(format!("name: 1 to {LONGEST_NAME} printable characters"));
        }
        let unit_price = Money::from_minor(unit_price_minor);
        let unit_price = unit_price.map_err(|why| wrong.push(format!("unit_price_minor: {why}")));
        let currency = Currency::try_from(currency.to_owned()).map_err(|why| wrong.push(format!("currency: {why}")));
        match (unit_price, currency) {
            (Ok(unit_price), Ok(currency)) if wrong.is_empty() => {
                Ok(Self { sku: sku.into(), name: name.to_owned(), unit_price, currency })
            }
            _ => Err(wrong),
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {} {}", self.sku, self.name, self.unit_price.minor(), self.currency)
    }
}

/// A few products, each article once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Products(BTreeMap<Sku, Product>);

impl fmt::Display for Products {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.values().next() {
            Some(only) if self.0.len() == 1 => only.fmt(f),
            _ => write!(f, "{} products", self.0.len()),
        }
    }
}

impl From<Product> for Products {
    fn from(product: Product) -> Self {
        Self(BTreeMap::from([(product.sku.clone(), product)]))
    }
}

impl Products {
    /// A list of products, as each of them was read.
    ///
    /// # Errors
    /// A sentence for each thing that is wrong, with its place in the list.
    pub(crate) fn new(rows: impl ExactSizeIterator<Item = Result<Product, Vec<String>>>) -> Result<Self, Vec<String>> {
        if !(1..=MOST_PRODUCTS).contains(&rows.len()) {
            return Err(vec![format!("1 to {MOST_PRODUCTS} products, not {}", rows.len())]);
        }
        let (mut products, mut wrong) = (BTreeMap::new(), Vec::new());
        for (n, row) in rows.enumerate() {
            match row {
                Ok(product) if products.contains_key(&product.sku) => {
                    wrong.push(format!("[{n}].sku: it was there before"));
                }
                Ok(product) => drop(products.insert(product.sku.clone(), product)),
                Err(why) => wrong.extend(why.into_iter().map(|why| format!("[{n}].{why}"))),
            }
        }
        if wrong.is_empty() { Ok(Self(products)) } else { Err(wrong) }
    }

    /// In the order of their SKUs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Product> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_with_a_product_is_said_at_once() {
        let places = |wrong: Vec<String>| wrong.iter().filter_map(|why| why.split_once(':')).count();
        let wrong = Product::new("no mug", "\0", -1, "eur").expect_err("nothing is right");
        assert_eq!((wrong.len(), places(wrong)), (4, 4));
        assert!(Product::new("MUG", "Ein Krug, 0,5 l", 0, "EUR").is_ok());
        assert!(Product::new("MUG", &"ü".repeat(200), 1, "EUR").is_ok());
        for name in ["", " ", "a\nb", &"ü".repeat(201)] {
            assert!(Product::new("MUG", name, 1, "EUR").is_err(), "{name:?}");
        }
        assert!(Product::new("MUG", "Mug", Money::MAX.minor() + 1, "EUR").is_err());
    }

    #[test]
    fn everything_wrong_in_a_list_is_said_with_its_place() {
        let row = |sku: &str, price| Product::new(sku, "Mug", price, "EUR");
        let rows = [row("MUG", 1), row("no pot", -1), row("MUG", 2)];
        let wrong = Products::new(rows.into_iter()).expect_err("three things are wrong");
        let places: Vec<&str> = wrong.iter().filter_map(|why| why.split(':').next()).collect();
        assert_eq!(places, ["[1].sku", "[1].unit_price_minor", "[2].sku"]);
        assert!(Products::new([].into_iter()).is_err());
        assert!(Products::new((0..1_001).map(|_| row("MUG", 1)).collect::<Vec<_>>().into_iter()).is_err());
    }
}
